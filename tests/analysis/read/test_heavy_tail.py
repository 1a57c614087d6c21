"""Losses that explode do not hide what all others say; nothing else is touched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hpsearch.analysis import explain
from hpsearch.analysis.read import heavy_tail
from hpsearch.analysis.read.frame import read_study
from hpsearch.analysis.read.heavy_tail import winsorised, without_explosions


def losses(points, rng):
    """Best at .45 of x0; one in twelve, anywhere, is some 300 times as large."""
    loss = (0.5 + (points[:, 0] - 0.45) ** 2) * np.exp(0.08 * rng.normal(size=len(points)))
    exploded = rng.random(len(points)) < 1 / 12
    return np.where(exploded, 300 * loss * rng.uniform(0.5, 2, len(points)), loss)


@pytest.fixture(scope="module")
def study(studies):
    rng = np.random.default_rng(3)
    return studies.uniform(lambda p: losses(p, rng), 80, 2, direction="minimize")


def test_a_rule_is_found_among_losses_that_explode(study, monkeypatch):
    explained = explain(study)
    (rule,) = (rule for rule in explained.rules if rule.param == "x0")
    assert rule.low < 0.45 < rule.high
    assert "times the median" in explained.notes[-1]
    monkeypatch.setattr(heavy_tail, "winsorised", lambda value, **_: (value, None))
    assert not any(rule.param == "x0" for rule in explain(study).rules)


def test_only_the_exploded_values_are_drawn_in_and_stay_the_worst(study):
    frame = without_explosions(read_study(study))
    changed = frame.final != frame.value
    assert np.array_equal(changed, frame.value > 20)
    assert len(np.unique(frame.final[changed])) == 1
    assert frame.final[changed].min() >= frame.final[~changed].max()
    assert frame.final[changed].max() < 3


@pytest.mark.parametrize(
    "value",
    [
        np.random.default_rng(0).lognormal(0, 1, 500),  # its largest is 20 times the median
        np.array([0.5, 0.4, 0.6, 0.5, 40.0]),
        np.array([-0.5, 0.4, 0.6, 0.5, 10.0]),
        np.geomspace(1e-3, 1e3, 50),  # spread over all orders: none lies apart from the others
    ],
)
def test_other_values_are_left_as_they_are(value):
    assert winsorised(value) == (pytest.approx(value), None)


def test_few_losses_that_are_some_times_as_large_hide_no_rule(studies, monkeypatch):
    """As squared errors of ratings: nine of ten within 15% of the best, the others, anywhere, up to
    four times as large. Squares see these alone."""
    rng = np.random.default_rng(7)

    def loss(points):
        good = 0.8 + 0.3 * (points[:, 0] - 0.45) ** 2 + 0.01 * rng.normal(size=len(points))
        return np.where(rng.random(len(points)) < 0.1, good * rng.uniform(1.2, 4, len(good)), good)

    study = studies.uniform(loss, 120, 2, direction="minimize")
    explained = explain(study)
    (rule,) = (rule for rule in explained.rules if rule.param == "x0")
    assert rule.low < 0.45 < rule.high
    assert " times the median and would hide" in explained.notes[-1]
    monkeypatch.setattr(heavy_tail, "_few_make_the_variance", lambda *_: False)
    assert not any(rule.param == "x0" for rule in explain(study).rules)


@pytest.mark.parametrize("metric", ["r2", "value", "neg_mse"])
def test_a_score_that_collapses_hides_no_rule(studies, metric):
    """R2 of gradient boosting, some runs of which diverge; losses that were negated."""
    rng = np.random.default_rng(4)
    sign = -1.0 if metric == "neg_mse" else 1.0

    def score(points):
        good = sign * 0.5 - (points[:, 0] - 0.45) ** 2 + 0.02 * rng.normal(size=len(points))
        diverged = rng.random(len(points)) < 1 / 12
        return np.where(diverged, -300 * rng.uniform(0.5, 2, len(points)), good)

    study = studies.uniform(score, 80, 2)
    study.set_metric_names([metric])
    explained = explain(study)
    (rule,) = (rule for rule in explained.rules if rule.param == "x0")
    assert rule.low < 0.45 < rule.high
    assert " below " in explained.notes[-1]
    best = max(trial.value for trial in study.trials)
    assert explained.recommendation.predicted.value <= best + 0.05


def test_what_has_a_worst_end_is_left_as_it_is(studies):
    """A correlation of -1 is as bad as it gets, and so is an error rate of 1."""
    study = studies.uniform(lambda p: np.where(p[:, 0] > 0.9, -1.0, 0.01 * p[:, 1]), 60, 2)
    study.set_metric_names(["mcc"])
    frame = read_study(study)
    assert np.ptp(without_explosions(frame).final) > 1
    unbounded = replace(frame, bounds=(-np.inf, np.inf))
    assert np.ptp(without_explosions(unbounded).final) < 0.1


@pytest.mark.parametrize(("metric", "least"), [("error_rate", 0.0), ("value", 0.0), ("loss", 0.1)])
def test_where_most_values_are_the_same_the_others_are_all_there_is(studies, metric, least):
    """Nine of ten trials end at the least value; the rest depends on x0 and x1."""
    rng = np.random.default_rng(5)

    def values(points):
        wrong = (points[:, 0] > 0.6) & (rng.random(len(points)) < 0.3)
        return least + (0.2 + 0.3 * points[:, 1]) * wrong

    study = studies.uniform(values, 200, 2, direction="minimize")
    study.set_metric_names([metric])
    frame = read_study(study)
    assert np.quantile(frame.final, 0.75) == least
    assert np.array_equal(without_explosions(frame).final, frame.final)
    assert explain(study).n_trials == 200


def test_where_more_is_better_good_values_are_not_drawn_in(studies):
    study = studies.uniform(lambda p: 1 + 1e4 * (p[:, 0] > 0.97), 60, 1)
    assert np.ptp(without_explosions(read_study(study)).final) == 1e4
