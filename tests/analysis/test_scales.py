"""Shares belong to what the search drew from: other names for the same draws change nothing."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from hpsearch.analysis import explain


def unit_points(n):
    return np.random.default_rng(5).random((n, 3))


def ishigami(u):
    x = (2 * u - 1) * np.pi
    return np.sin(x[:, 0]) + 7 * np.sin(x[:, 1]) ** 2 + 0.1 * x[:, 2] ** 4 * np.sin(x[:, 0])


def study_on(studies, space, columns, values):
    rows = [dict(zip(space, row, strict=True)) for row in zip(*columns, strict=True)]
    return studies.of(rows, values, space)


def shares(study):
    return {one.params: one.share for one in explain(study).importances}


@pytest.fixture(scope="module")
def linear(studies):
    points = unit_points(300)
    space = {name: FloatDistribution(0.0, 1.0) for name in "abc"}
    return study_on(studies, space, points.T.tolist(), ishigami(points))


@pytest.fixture(scope="module")
def logarithmic(studies):
    """The same draws as powers of ten."""
    points = unit_points(300)
    space = {name: FloatDistribution(1e-6, 10.0, log=True) for name in "abc"}
    return study_on(studies, space, (1e-6 * 1e7**points.T).tolist(), ishigami(points))


def test_a_log_scale_changes_our_shares_nowhere_and_optunas_everywhere(linear, logarithmic):
    ours, same = shares(linear), shares(logarithmic)
    assert same == pytest.approx(ours, abs=0.01)

    def theirs(study):
        evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=16, seed=0)
        return evaluator.evaluate(study)

    one, other = theirs(linear), theirs(logarithmic)
    # It integrates over the raw range: of 1e-6 to 10 nine tenths lie in the last decade of seven.
    assert max(abs(one[name] - other[name]) for name in "abc") > 0.15


def test_another_unit_with_its_range_changes_no_share(studies, linear):
    points = unit_points(300)
    space = {
        "a": FloatDistribution(-40.0, 160.0),
        "b": FloatDistribution(3e-9, 4e-9),
        "c": FloatDistribution(1e3, 1e5, log=True),
    }
    columns = [200 * points[:, 0] - 40, (3 + points[:, 1]) * 1e-9, 1e3 * 100 ** points[:, 2]]
    study = study_on(studies, space, [c.tolist() for c in columns], ishigami(points))
    assert shares(study) == pytest.approx(shares(linear), abs=0.01)


def test_parameters_that_never_change_take_no_share(studies, linear):
    points = unit_points(300)
    space = {name: FloatDistribution(0.0, 1.0) for name in "abc"} | {
        "kind": CategoricalDistribution(["only"]),
        "depth": IntDistribution(2, 6),
    }
    columns = [*points.T.tolist(), ["only"] * 300, [4] * 300]
    found = shares(study_on(studies, space, columns, ishigami(points)))
    before = shares(linear)
    assert {key: found.get(key, 0.0) for key in before} == pytest.approx(before, abs=0.02)
    assert sum(share for key, share in found.items() if key not in before) <= 0.01


@pytest.mark.parametrize(("n", "d"), [(10, 1), (60, 1), (150, 50)])
def test_one_parameter_and_fifty(studies, n, d):
    """What matters is named first, however much stands beside it, or the trials are too few."""
    study = studies.uniform(lambda u: -((u[:, 0] - 0.3) ** 2), n, d, noise=0.3)
    explanation = explain(study)
    assert explanation.importances[0].params == ("x0",)
    assert [rule.param for rule in explanation.rules][:1] in (["x0"], [])
    assert explanation.rules or explanation.reason
