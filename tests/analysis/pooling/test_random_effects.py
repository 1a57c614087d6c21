"""Random effects against published figures, closed forms, and the coverage that they promise."""

import numpy as np
import pytest
from scipy import stats

from hpsearch.analysis.pooling.random_effects import (
    confidence_above,
    pool_rows,
    random_effects,
)

# Colditz et al. 1994: vaccinated with and without tuberculosis, controls with and without.
BCG = np.array(
    [
        (4, 119, 11, 128), (6, 300, 29, 274), (3, 228, 11, 209), (62, 13536, 248, 12619),
        (33, 5036, 47, 5761), (180, 1361, 372, 1079), (8, 2537, 10, 619), (505, 87886, 499, 87892),
        (29, 7470, 45, 7232), (17, 1699, 65, 1600), (186, 50448, 141, 27197), (5, 2493, 3, 2338),
        (27, 16886, 29, 17825),
    ],
    float,
).T  # fmt: skip


def test_the_published_analysis_of_the_bcg_trials():
    """Log relative risks, as metafor prints them: Paule-Mandel's tau^2 .3181, Q-profile .1197 to
    1.1115 (Viechtbauer 2010, section 3)."""
    a, b, c, d = BCG
    ratio = np.log(a / (a + b)) - np.log(c / (c + d))
    pooled = random_effects(ratio, np.sqrt(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d)), level=0.95)
    assert pooled.tau**2 == pytest.approx(0.3181, abs=5e-5)
    assert pooled.tau_low**2 == pytest.approx(0.1197, abs=5e-5)
    assert pooled.tau_high**2 == pytest.approx(1.1115, abs=5e-5)
    assert pooled.i2 == pytest.approx(0.923, abs=1e-3)
    assert pooled.new_low < pooled.low < pooled.mean < pooled.high < pooled.new_high


def test_the_published_interval_of_tau_for_log_odds():
    """van Houwelingen, Arends and Stijnen (2002), as metafor repeats it: .1302 to 1.1812."""
    a, b, c, d = BCG
    pooled = random_effects(np.log(a * d / b / c), np.sqrt((1 / BCG).sum(axis=0)), level=0.95)
    assert pooled.tau_low**2 == pytest.approx(0.1302, abs=1e-4)
    assert pooled.tau_high**2 == pytest.approx(1.1812, abs=1e-4)


@pytest.mark.parametrize("estimates", [[1.0, 2.0], [1.0, 2.0, 4.0], [0.1, 0.5, 0.2, 0.9, 0.7]])
def test_without_errors_the_intervals_are_those_of_students_t(estimates):
    """Then tau is the sample's standard deviation, and mean and new study are classical."""
    y = np.array(estimates)
    pooled = random_effects(y, np.zeros(len(y)), level=0.9)
    quantile, spread = stats.t.ppf(0.95, len(y) - 1), y.std(ddof=1)
    assert pooled.tau == pytest.approx(spread)
    half = quantile * spread / np.sqrt(len(y))
    assert (pooled.low, pooled.high) == pytest.approx((y.mean() - half, y.mean() + half), abs=0.02)
    half = quantile * spread * np.sqrt(1 + 1 / len(y))
    assert pooled.new_high == pytest.approx(y.mean() + half, abs=0.04)


def test_equal_estimates_leave_an_interval():
    """No spread is seen, so tau may be 0; the errors still count, at least by half."""
    pooled = random_effects(np.array([0.3, 0.3]), np.array([0.1, 0.1]))
    assert pooled.tau == pooled.tau_low == pooled.i2 == 0
    assert pooled.high - 0.3 == pytest.approx(0.5 * stats.norm.ppf(0.95) * 0.1 / np.sqrt(2))


@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize("tau", [0.0, 2.0])
def test_intervals_cover(k, tau):
    """400 sets of studies at once, their errors of different size; 3 standard errors are 4%."""
    rng = np.random.default_rng(5)
    errors = np.exp(rng.normal(0, 0.5, (400, k)))
    found = pool_rows(
        rng.normal(0, tau, (400, k)) + errors * rng.normal(size=(400, k)), errors, 0.9
    )
    new = rng.normal(0, tau, 400)
    assert 0.85 < np.mean((found.low <= 0) & (found.high >= 0)) < 0.97
    assert 0.85 < np.mean((found.new_low <= new) & (found.new_high >= new)) < 0.98


def test_the_confidence_to_be_above_0_agrees_with_the_interval():
    rng = np.random.default_rng(1)
    estimates, errors = rng.normal(0.5, 1, (40, 3)), np.full((40, 3), 0.5)
    found = pool_rows(estimates, errors, 0.9)
    above = confidence_above(estimates, errors)
    np.testing.assert_array_equal(found.low > 0, above > 0.95)
    np.testing.assert_allclose(confidence_above(-estimates, errors), 1 - above)
