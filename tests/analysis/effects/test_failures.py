"""Near failures a value is worth what it gains times its chance to finish."""

from __future__ import annotations

import numpy as np
import pytest
from optuna.distributions import IntDistribution
from optuna.trial import create_trial

from hpsearch.analysis import explain
from hpsearch.analysis.effects.failures import finishing, weighed
from hpsearch.analysis.effects.grids import build_grid
from hpsearch.analysis.effects.level_set import level_set
from hpsearch.analysis.effects.partial_residuals import Marginal
from hpsearch.analysis.read.frame import read_study

POINTS = np.linspace(0, 1, 101)
EVERYWHERE = np.ones(101, bool)


def known(curve):
    """A curve of which nothing is uncertain."""
    return Marginal(
        curve, np.tile(curve, (2, 1)), np.tile(curve, (2, 1)), covariance=np.eye(101) * 0
    )


def test_a_rising_curve_whose_chance_to_finish_falls_is_best_in_the_middle():
    """x (1 - x) is best at 1/2, and within .01 of the best from .4 to .6; the default is 0."""
    chance = 1 - POINTS
    worth = weighed(known(POINTS), 1.0, 0, (chance, np.tile(chance, (2, 1))), EVERYWHERE)
    assert worth.mean == pytest.approx(POINTS * (1 - POINTS))
    inside = POINTS[level_set(worth, 1.0, 0.01, 0.9)]
    assert (inside[0], inside[-1]) == pytest.approx((0.4, 0.6))


def test_where_less_is_better_it_is_the_same_turned_round():
    chance = 1 - POINTS
    worth = weighed(known(-POINTS), -1.0, 0, (chance, np.tile(chance, (2, 1))), EVERYWHERE)
    assert worth.mean == pytest.approx(-POINTS * (1 - POINTS))


def test_a_default_that_is_the_best_is_no_reason_to_fail():
    """The median stands for it: (x - .5) times the chance is best at 3/4, not at the end."""
    chance = 1 - POINTS
    worth = weighed(known(POINTS), 1.0, 100, (chance, np.tile(chance, (2, 1))), EVERYWHERE)
    assert POINTS[np.argmax(worth.mean)] == pytest.approx(0.75)


def test_beyond_what_finishes_a_curve_is_carried_on_no_farther_than_it_spans():
    """Outside the region the curve spans .5; a curve that reaches 100 there counts as 1."""
    curve, safe = np.where(POINTS > 0.5, 100.0, POINTS), POINTS <= 0.5
    chance = np.where(safe, 1.0, 0.1)
    worth = weighed(known(curve), 1.0, 0, (chance, np.tile(chance, (2, 1))), safe)
    assert worth.mean[-1] == pytest.approx(0.1)


def test_the_unsureness_of_both_is_that_of_the_product():
    """A gain of 1 with deviation .1, a chance of .5 with .05: that of their product."""
    rng = np.random.default_rng(0)
    b = 20_000
    curves = np.zeros((b, 101))
    curves[:, 1:] = 1 + 0.1 * rng.normal(size=(b, 1))
    chances = 0.5 + 0.05 * rng.normal(size=(b, 1)) * np.ones(101)
    mean = np.append(0.0, np.ones(100))
    copies = Marginal(mean, curves, curves)
    worth = weighed(copies, 1.0, 0, (np.full(101, 0.5), chances), EVERYWHERE)
    expected = np.sqrt((0.5 * 0.1) ** 2 + 0.05**2 + (0.1 * 0.05) ** 2)
    assert worth.copies[:, -1].std() == pytest.approx(expected, rel=0.03)
    covariance = np.zeros((101, 101))
    covariance[1:, 1:] = 0.1**2
    worth = weighed(
        Marginal(mean, curves, curves, covariance=covariance),
        1.0, 0, (np.full(101, 0.5), chances), EVERYWHERE,
    )  # fmt: skip
    assert np.sqrt(worth.covariance[-1, -1]) == pytest.approx(np.hypot(0.05, 0.05), rel=0.03)


@pytest.fixture(scope="module")
def failing(studies):
    """The metric rises along x0 to the end; a trial fails with the chance of a logistic at .7."""
    rng, space = np.random.default_rng(0), {"x0": studies.unit, "x1": studies.unit}
    study = studies.of([], [], space)
    for x0, x1 in rng.random((150, 2)):
        params = {"x0": float(x0), "x1": float(x1)}
        if rng.random() < 1 / (1 + np.exp(-(x0 - 0.7) / 0.04)):
            study.add_trial(studies.failed(params, space))
        else:
            value = float(4 * x0 + 0.3 * rng.normal())
            study.add_trial(create_trial(params=params, distributions=space, value=value))
    return study


def test_the_chance_to_finish_is_near_the_true_one(failing):
    frame = read_study(failing)
    grid = build_grid(frame.axes[0], frame.unit[:, 0])
    mean, copies = finishing(frame, 0, grid, (0.7, 1.0), 300, np.random.SeedSequence(0))
    true = 1 - 1 / (1 + np.exp(-(grid.points - 0.7) / 0.04))
    assert np.abs(mean - true).mean() < 0.05
    low, high = np.quantile(copies, (0.025, 0.975), axis=0)
    assert np.mean((low - 0.05 <= true) & (true <= high + 0.05)) > 0.9
    inside = grid.points >= 0.7
    assert np.all(np.diff(copies[:, inside], axis=1) <= 0)


def test_advice_lies_before_what_fails_and_does_not_overlap_it(failing):
    """(x - 1/2) / (1 + exp((x - .7) / .04)) is best at .65, from the median .5 on."""
    found = explain(failing)
    use = next(r for r in found.rules if r.param == "x0" and r.kind != "avoid")
    avoid = next(r for r in found.rules if r.kind == "avoid")
    assert "times its chance to finish" in use.statement
    assert use.value == pytest.approx(0.65, abs=0.07)
    assert use.low < 0.65 < use.high <= avoid.low
    advised = found.recommendation
    assert advised.params["x0"] < avoid.low
    assert 1 / (1 + np.exp(-(advised.params["x0"] - 0.7) / 0.04)) < 0.5


def test_whole_numbers_to_avoid_are_those_that_fail(studies):
    """Four of five fail from 5 on. The cut lies between 4 and 5: 4 is best and none to avoid."""
    rng, space = np.random.default_rng(1), {"k": IntDistribution(1, 6), "x": studies.unit}
    study = studies.of([], [], space)
    for k, x in zip(rng.integers(1, 7, 120), rng.random(120), strict=True):
        params = {"k": int(k), "x": float(x)}
        if k >= 5 and rng.random() < 0.8:
            study.add_trial(studies.failed(params, space))
        else:
            value = float(k + x + 0.2 * rng.normal())
            study.add_trial(create_trial(params=params, distributions=space, value=value))
    rules = {rule.kind: rule for rule in explain(study).rules if rule.param == "k"}
    avoid = rules.pop("avoid")
    assert (avoid.low, avoid.high) == (5, 6)
    (use,) = rules.values()
    assert use.value == 4
    assert use.high == 4
