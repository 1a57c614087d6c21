"""P-values of effects: uniform where there is none, small where there is one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2, f_oneway, kstest

from hpsearch.analysis.effects.partial_residuals import PartialResiduals
from hpsearch.analysis.effects.smooth import Scatter
from hpsearch.analysis.effects.tests_of_effects import (
    curve_variances,
    effect_p_values,
    p_value,
    shuffles,
)
from hpsearch.analysis.read.axes import Axis
from hpsearch.analysis.read.exchangeable import Strata
from hpsearch.analysis.surrogate.fit import fit
from hpsearch.analysis.surrogate.forest import build_table


def p_of(x, r, stratum, rng, *, levels=False):
    positions, index = np.unique(x, return_inverse=True)
    scatter = Scatter(positions, index, r, np.ones(len(r)))
    found = curve_variances(scatter, stratum, shuffles(stratum, rng), levels=levels, rng=rng)
    return p_value(found[0], found[1:])


def test_p_values_are_uniform_where_only_time_moves_both():
    rng = np.random.default_rng(0)
    stratum, one = np.repeat([0, 1, 2], 10), np.zeros(30, np.int64)
    within, over_all = [], []
    for _ in range(100):
        x = 0.25 * stratum + 0.4 * rng.random(30)
        r = stratum + rng.normal(size=30)
        within.append(p_of(x, r, stratum, rng))
        over_all.append(p_of(x, r, one, rng))
    assert kstest(within, "uniform").pvalue > 0.05
    assert np.mean(np.array(over_all) < 0.05) > 0.5  # which strata are there to prevent


def test_p_values_of_many_configurations_are_uniform_too():
    rng = np.random.default_rng(1)
    stratum = np.zeros(2200, np.int64)
    found = [
        p_of(rng.integers(0, 30, 2200) / 30, rng.normal(size=2200), stratum, rng) for _ in range(40)
    ]
    assert kstest(found, "uniform").pvalue > 0.05


def test_levels_are_tested_like_an_analysis_of_variance():
    rng = np.random.default_rng(2)
    x = rng.permutation(np.repeat([0.1, 0.5, 0.9], 20))
    r = rng.normal(size=60) + 0.5 * (x == 0.5)
    found = p_of(x, r, np.zeros(60, np.int64), rng, levels=True)
    expected = f_oneway(*(r[x == level] for level in (0.1, 0.5, 0.9))).pvalue
    assert found == pytest.approx(expected, abs=0.015)


def test_beyond_all_shuffles_the_tail_of_chi_squared_goes_on():
    shuffled = chi2.ppf((np.arange(999) + 0.5) / 999, 4)
    for observed in (25.0, 40.0):
        found = p_value(observed, shuffled)
        assert np.log(found) == pytest.approx(np.log(chi2.sf(observed, 4)), rel=0.1)


def test_shuffles_stay_within_their_stratum():
    stratum = np.array([5, 7, 5, 7, 7, 9])
    order = shuffles(stratum, np.random.default_rng(4))
    assert (stratum[order] == stratum).all()
    assert len(np.unique(order, axis=0)) == 2 * 6


def test_effects_of_a_sixth_of_the_variance_are_found_among_sixty_trials_and_nothing_else():
    axes = [Axis(f"x{j}", "float") for j in range(6)]
    strata = Strata(np.zeros(60, np.int64), np.ones(60, np.bool_))
    weak, nothing = [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        x = rng.random((60, 6))
        parts = [np.sin(7 * x[:, 0]), 1.2 * x[:, 1], 3 * (x[:, 2] - 0.5) ** 2 * 0.8]
        y = sum(parts) + 0.25 * rng.normal(size=60)
        fitted = fit(build_table(axes, x, y, np.arange(60)), "forest", rng)
        found = effect_p_values(PartialResiduals(fitted, rng), [False] * 6, strata, rng)
        weak += found[:2]
        nothing += found[3:]
    assert np.mean(np.array(weak) < 0.01) > 0.9
    assert np.mean(np.array(nothing) < 0.05) <= 0.15
