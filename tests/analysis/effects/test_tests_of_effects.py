"""P-values of effects: uniform where there is none, small where there is one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2, f_oneway, kstest

from hpsearch.analysis.effects.partial_residuals import PartialResiduals
from hpsearch.analysis.effects.smooth import Scatter
from hpsearch.analysis.effects.tests_of_effects import (
    MANY,
    curve_variances,
    effect_p_values,
    p_value,
    random_signs,
    shuffles,
)
from hpsearch.analysis.read.axes import Axis
from hpsearch.analysis.read.exchangeable import Strata
from hpsearch.analysis.surrogate.fit import fit
from hpsearch.analysis.surrogate.forest import build_table


def p_of(x, r, stratum, rng, *, levels=False, null=random_signs):
    positions, index = np.unique(x, return_inverse=True)
    scatter = Scatter(positions, index, r, np.ones(len(r)))
    change = None if len(r) > MANY else null(stratum, rng)
    found = curve_variances(scatter, stratum, change, levels=levels, rng=rng)
    return p_value(found[0], found[1:])


@pytest.mark.parametrize("null", [random_signs, shuffles])
def test_p_values_are_uniform_where_only_time_moves_both(null):
    rng = np.random.default_rng(0)
    stratum, one = np.repeat([0, 1, 2], 10), np.zeros(30, np.int64)
    within, over_all = [], []
    for _ in range(100):
        x = 0.25 * stratum + 0.4 * rng.random(30)
        r = stratum + rng.normal(size=30)
        within.append(p_of(x, r, stratum, rng, null=null))
        over_all.append(p_of(x, r, one, rng, null=null))
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


def test_beyond_all_that_chance_gives_the_tail_of_chi_squared_goes_on():
    by_chance = chi2.ppf((np.arange(999) + 0.5) / 999, 4)
    for observed in (25.0, 40.0):
        found = p_value(observed, by_chance)
        assert np.log(found) == pytest.approx(np.log(chi2.sf(observed, 4)), rel=0.1)


@pytest.mark.parametrize("n", [60, 2200])
def test_noise_that_differs_along_a_parameter_is_no_effect_of_it(n):
    """Fifteenfold from one end to the other: shuffled residuals pass in a fifth of such studies."""
    rng, found = np.random.default_rng(5), []
    for _ in range(200 if n == 60 else 40):
        x = np.round(rng.random(n), 2 if n > 60 else 9)
        found.append(p_of(x, 15**x * rng.normal(size=n), np.zeros(n, np.int64), rng))
    assert np.mean(np.array(found) < 0.05) <= 0.1


def test_shuffles_stay_within_their_stratum():
    stratum = np.array([5, 7, 5, 7, 7, 9])
    found = shuffles(stratum, np.random.default_rng(4))(stratum + 0.1 * np.arange(6))
    assert (np.floor(found) == stratum).all()
    assert len(np.unique(found, axis=0)) == 2 * 6


def test_signs_leave_residuals_as_large_as_they_are_on_average():
    """The variance of each is that of the noise at its place, less the part of the mean."""
    stratum, r = np.zeros(50, np.int64), np.where(np.arange(50) < 25, 1.0, 5.0)
    r[::2] *= -1
    found = random_signs(stratum, np.random.default_rng(4))(r - r.mean())
    assert found.mean(axis=1) == pytest.approx(0, abs=1e-12)
    assert found[:, 30].std() / found[:, 10].std() == pytest.approx(5, rel=0.15)


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
