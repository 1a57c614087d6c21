"""One configuration that the trials support, and no rules that contradict each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import optuna
import pytest
from optuna.samplers import RandomSampler, TPESampler
from optuna.trial import FixedTrial

from hpsearch.analysis import explain
from hpsearch.analysis.effects.failures import ChanceToFail
from hpsearch.analysis.effects.one_subspace import Settings, analyse
from hpsearch.analysis.read.frame import COMPLETE, read_study
from hpsearch.analysis.read.subspaces import subspaces
from hpsearch.analysis.rules.recommendation import (
    drawn_back,
    of_one_run,
    recommend,
    that_go_together,
)
from hpsearch.analysis.rules.rules import rules_of


def ridge(p):
    """x0 and x1 must be equal."""
    return -12 * (p[:, 0] - p[:, 1]) ** 2 + p[:, 2]


@pytest.fixture(scope="module")
def analysed(studies):
    frame = read_study(studies.uniform(ridge, 120, 3, noise=0.05))
    space = subspaces(frame)[0][0]
    return frame, analyse(frame, space, Settings(0.9, "forest"), np.random.SeedSequence(0))


def rule_like(found, param, value):
    """A rule of the parameter that names a value, whatever the trials say."""
    rule = next(rule for rule in rules_of(found.curves, "value") if rule.param == "x2")
    low, high = value - 0.05, value + 0.05
    return replace(
        rule, param=param, kind="optimum", value=value, low=low, high=high,
        unit_low=low, unit_high=high,
    )  # fmt: skip


def test_rules_that_contradict_each_other_do_not_hold(analysed):
    frame, found = analysed
    rules = [rule_like(found, "x0", 0.1), rule_like(found, "x1", 0.9)]  # true: 7.7 below the best
    advised = recommend(frame, found, rules, 0.9, ChanceToFail(frame, np.random.SeedSequence(0)))
    assert not advised.rules_hold
    assert advised.shortfall == pytest.approx(7.7, abs=0.8)
    assert "no rule is printed" in advised.statement
    row = int(np.flatnonzero(frame.number == advised.trial)[0])
    assert frame.state[row] == COMPLETE
    assert list(advised.params.values()) == pytest.approx(frame.unit[row].tolist())


def test_of_rules_that_contradict_each_other_one_is_left_out(analysed):
    """x0 and x1 must be equal, as they nearly are in the best trial; x2 is best at 1."""
    frame, found = analysed
    x0, x1, _ = frame.unit[np.argmax(frame.value)]
    far = 0.1 if x1 > 0.5 else 0.9
    named = {"x0": float(x0), "x1": far, "x2": 0.95}
    rules = [rule_like(found, param, value) for param, value in named.items()]
    chance = ChanceToFail(frame, np.random.SeedSequence(0))
    kept, advised = that_go_together(frame, [found], rules, 0.9, chance)
    assert advised.rules_hold
    assert [rule.param for rule in kept] == ["x0", "x2"]
    assert advised.against == ("x1",)
    assert "On average another `x1` is better" in advised.statement


def test_rules_that_agree_hold(analysed):
    frame, found = analysed
    rules = [rule_like(found, "x0", 0.5), rule_like(found, "x1", 0.5)]
    assert recommend(
        frame, found, rules, 0.9, ChanceToFail(frame, np.random.SeedSequence(0))
    ).rules_hold


def test_nothing_is_recommended_far_from_all_trials(studies):
    """Both rise to the end, but no trial has both high."""
    rng = np.random.default_rng(0)
    points = rng.random((400, 2))
    points = points[points.sum(axis=1) < 1.1][:150]
    values = points.sum(axis=1) + 0.02 * rng.normal(size=len(points))
    rows = [{"x0": float(a), "x1": float(b)} for a, b in points]
    study = studies.of(rows, values, {"x0": studies.unit, "x1": studies.unit})
    advised = explain(study).recommendation
    assert sum(advised.params.values()) < 1.15


def test_where_runs_fail_is_said(studies):
    """A fifth of the runs fails above .5, where the metric is best: too few to avoid that."""
    rng = np.random.default_rng(1)
    points = rng.random((200, 2))
    dead = (points[:, 0] > 0.5) & (rng.random(200) < 0.2)
    values = points[:, 0] + 0.05 * rng.normal(size=200)
    space = {"x0": studies.unit, "x1": studies.unit}
    rows = [{"x0": float(a), "x1": float(b)} for a, b in points]
    alive = np.flatnonzero(~dead)
    study = studies.of([rows[i] for i in alive], values[alive], space)
    study.add_trials([studies.failed(rows[i], space) for i in np.flatnonzero(dead)])
    advised = explain(study).recommendation
    assert advised.params["x0"] > 0.8
    assert advised.failures == pytest.approx(0.2, abs=0.15)
    assert f"{advised.failures:.0%} of runs fail" in advised.statement


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_the_interval_of_one_run_holds_as_many_runs_as_it_says(level):
    """Of 20 normal errors and a run with another one: on average the level, whatever it is."""
    rng, held = np.random.default_rng(0), []
    for _ in range(4000):
        errors, new = rng.normal(0, 1, 20), rng.normal(0, 1)
        found = of_one_run(3.0, errors, level, (-np.inf, np.inf))
        held.append(found.low <= 3.0 + new <= found.high)
    assert np.mean(held) == pytest.approx(level, abs=0.02)


def test_a_prediction_beyond_a_bound_is_what_runs_cut_there_are_on_average():
    """Half of a standard normal law lies below 0: max(z, 0) is 1 / sqrt(2 pi) on average."""
    errors = np.random.default_rng(0).normal(0, 1, 100_000)
    found = of_one_run(0.0, errors, 0.9, (0.0, np.inf))
    assert found.value == pytest.approx(1 / np.sqrt(2 * np.pi), abs=0.01)
    assert (found.low, found.high) == pytest.approx((0.0, 1.645), abs=0.02)
    assert of_one_run(50.0, errors, 0.9, (0.0, np.inf)).value == pytest.approx(50.0)


def test_a_prediction_that_was_picked_for_being_the_best_is_what_comes_true():
    """Of 60 configurations that differ by 1 one is picked for its prediction, which is off by 1.

    That is too good by half: it regresses to the mean by 1 / (1 + 1).
    """
    rng, off = np.random.default_rng(0), []
    for _ in range(300):
        true = rng.normal(size=60)
        predicted, values = true + rng.normal(size=60), true + rng.normal(size=60)
        best = int(np.argmax(predicted))
        half = np.argsort(-predicted)[:30]
        found = drawn_back(predicted[[best]], predicted[half], values[half])[0]
        off.append([predicted[best] - true[best], found - true[best]])
    plain, honest = np.mean(off, axis=0)
    assert plain > 1.4
    assert abs(honest) < plain / 4


def branches(trial):
    """The best: model net, rate 0.1, no dropout, worth 0.9; the best tree is worth 0.75."""
    if trial.suggest_categorical("model", ["tree", "net"]) == "tree":
        return 0.75 - 0.002 * (trial.suggest_int("depth", 1, 12) - 6) ** 2
    rate, drop = trial.suggest_float("rate", 1e-4, 1, log=True), trial.suggest_float("drop", 0, 0.9)
    return 0.9 - 0.05 * (np.log10(rate) + 1) ** 2 - 0.02 * drop


@pytest.mark.parametrize("sampler", [RandomSampler(seed=1), TPESampler(seed=1)])
def test_the_branch_of_a_conditional_space_decides_on_what_only_it_has(sampler):
    """The whole study's model knows the model alone: all nets are alike to it."""
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(branches, n_trials=80)
    advised = explain(study).recommendation
    assert advised.params["model"] == "net"
    truth = branches(FixedTrial(advised.params))
    assert truth >= study.best_value - 1e-9  # and so at least as good as the best of 80
    assert advised.predicted.low - 1e-3 <= truth <= advised.predicted.high + 1e-3


def test_a_branch_that_is_worse_on_average_is_recommended_where_its_best_is_better():
    """Nets are worth 0.4 on average and 0.9 at the best rate, trees 0.75 whatever the depth."""
    rng = np.random.default_rng(1)

    def objective(trial):
        if trial.suggest_categorical("model", ["tree", "net"]) == "tree":
            return 0.75 + 0 * trial.suggest_float("depth", 0, 1) + 0.01 * rng.normal()
        rate = np.log10(trial.suggest_float("rate", 1e-5, 1, log=True))
        return 0.9 - 0.1 * (rate + 3) ** 2 + 0.01 * rng.normal()

    study = optuna.create_study(direction="maximize", sampler=RandomSampler(seed=1))
    study.optimize(objective, n_trials=100)
    found = explain(study)
    advised = found.recommendation
    assert advised.params["model"] == "net"
    assert np.log10(advised.params["rate"]) == pytest.approx(-3, abs=0.4)
    assert advised.predicted.low <= 0.9 <= advised.predicted.high
    assert "model" not in {rule.param for rule in found.rules}
    assert "another `model` is better, but not at its best" in advised.statement


def test_a_condition_on_a_number_decides_on_a_branch_too():
    """Momentum is there only for rates above 0.5, where the best lies: 0.8 and 0.3."""

    def objective(trial):
        rate = trial.suggest_float("rate", 0, 1)
        momentum = trial.suggest_float("momentum", 0, 1) if rate > 0.5 else None
        gain = 0.0 if momentum is None else 1 - 2 * (momentum - 0.3) ** 2
        return gain - (rate - 0.8) ** 2

    study = optuna.create_study(direction="maximize", sampler=RandomSampler(seed=0))
    study.optimize(objective, n_trials=80)
    advised = explain(study).recommendation
    assert objective(FixedTrial(advised.params)) >= study.best_value - 0.01
