"""The functional ANOVA against tables computed directly and against closed forms."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from hpsearch.analysis import explain
from hpsearch.analysis.read.axes import Axis
from hpsearch.analysis.surrogate.anova import decompose
from hpsearch.analysis.surrogate.forest import Settings, build_table, choose_settings, grow


def shares_of(explanation):
    return {frozenset(i.params): i.share for i in explanation.importances}


def table_shares(table):
    """Main and pair shares of a full factorial table, by averaging over its other axes."""
    centred = table - table.mean()
    total = np.mean(centred**2)
    axes = range(table.ndim)
    main = {j: centred.mean(axis=tuple(a for a in axes if a != j), keepdims=True) for j in axes}
    shares = {(j,): np.mean(effect**2) / total for j, effect in main.items()}
    for i, j in combinations(axes, 2):
        both = centred.mean(axis=tuple(a for a in axes if a not in (i, j)), keepdims=True)
        shares[i, j] = np.mean((both - main[i] - main[j]) ** 2) / total
    return shares


def test_factorial_table_equals_the_anova_of_the_table(studies):
    """Linear, log, integer and categorical axes, levels at the centres of equal cells."""
    space = {
        "linear": FloatDistribution(-2.0, 6.0),
        "log": FloatDistribution(1e-5, 1e-1, log=True),
        "whole": IntDistribution(10, 50, step=10),
        "kind": CategoricalDistribution(["a", "b", "c"]),
    }
    levels = [
        [-2.0 + 8.0 * (k + 0.5) / 6 for k in range(6)],
        [10 ** (-5 + 4 * (k + 0.5) / 7) for k in range(7)],
        [10, 20, 30, 40, 50],
        ["a", "b", "c"],
    ]
    rng = np.random.default_rng(3)
    shape = tuple(len(axis) for axis in levels)
    table = rng.normal(size=shape) + 3 * rng.normal(size=(6, 1, 1, 1)) * rng.normal(size=(7, 1, 3))
    rows = [dict(zip(space, combination, strict=True)) for combination in product(*levels)]
    explanation = explain(studies.of(rows, table.ravel(), space), surrogate="exact")
    names, found = list(space), shares_of(explanation)
    for axes, share in table_shares(table).items():
        assert found[frozenset(names[a] for a in axes)] == pytest.approx(share, abs=1e-6)
    assert sum(found.values()) + explanation.remainder == pytest.approx(1.0, abs=1e-9)


def ishigami(u):
    x = (2 * u - 1) * np.pi
    return np.sin(x[:, 0]) + 7 * np.sin(x[:, 1]) ** 2 + 0.1 * x[:, 2] ** 4 * np.sin(x[:, 0])


ISHIGAMI = {(0,): 0.3139, (1,): 0.4424, (2,): 0.0, (0, 1): 0.0, (0, 2): 0.2437, (1, 2): 0.0}
SOBOL_A = np.array([0.0, 1.0, 4.5, 9.0, 99.0, 99.0])


def sobol_g(u):
    return np.prod((np.abs(4 * u - 2) + SOBOL_A) / (1 + SOBOL_A), axis=1)


def sobol_g_shares():
    v = 1 / (3 * (1 + SOBOL_A) ** 2)
    total = np.prod(1 + v) - 1
    shares = {(j,): v[j] / total for j in range(6)}
    return shares | {(i, j): v[i] * v[j] / total for i, j in combinations(range(6), 2)}


def forest_shares(points, values, axes):
    table = build_table(axes, points, values, np.arange(len(values)))
    rng = np.random.default_rng(0)
    forest = grow(table, choose_settings(table, rng), rng)
    anova = decompose(forest)
    shares = {(j,): anova.main[j] for j in range(len(axes))}
    shares |= {(i, j): anova.pair[i, j] for i, j in combinations(range(len(axes)), 2)}
    return {key: value / anova.variance for key, value in shares.items()}


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("name", ["ishigami", "sobol_g"])
def test_closed_forms_at_2000_points(name, log):
    """Within .02 of the published shares, on a linear and on a log-scaled version alike."""
    function, truth = (ishigami, ISHIGAMI) if name == "ishigami" else (sobol_g, sobol_g_shares())
    d = 3 if name == "ishigami" else 6
    points = np.random.default_rng(1).random((2000, d))
    values = function(points)
    axes = [Axis(f"x{j}", "float") for j in range(d)]
    if log:
        axes = [Axis(f"x{j}", "float", 1e-6, 10.0, log=True) for j in range(d)]
        raw = 1e-6 * 1e7**points
        points = np.column_stack([axis.to_unit(raw[:, j]) for j, axis in enumerate(axes)])
    found = forest_shares(points, values, axes)
    for key, share in truth.items():
        assert found[key] == pytest.approx(share, abs=0.02), key


def test_difference_arrays_equal_brute_force():
    """Marginals, pairs and variance of a small forest against averages over its whole grid."""
    rng = np.random.default_rng(0)
    points = (rng.integers(0, 6, (60, 3)) + 0.5) / 6
    values = points[:, 0] * points[:, 1] + rng.normal(size=60)
    axes = [Axis(f"x{j}", "float") for j in range(3)]
    table = build_table(axes, points, values, np.arange(60))
    forest = grow(table, Settings(leaf=2, stages=2, n_trees=5), rng)
    anova = decompose(forest, n_points_log2=14)
    fine = (np.arange(12) + 0.5) / 12  # splits lie between sixths' centres
    grid = np.array(list(product(fine, repeat=3)), np.float32)
    surface = forest.predict(grid).reshape(12, 12, 12)
    shares = table_shares(surface)
    assert anova.mean == pytest.approx(surface.mean(), rel=1e-6)
    for axes_, share in shares.items():
        variance = anova.main[axes_[0]] if len(axes_) == 1 else anova.pair[axes_]
        assert variance == pytest.approx(share * surface.var(), rel=1e-6)
    assert anova.variance == pytest.approx(surface.var(), rel=0.02)
