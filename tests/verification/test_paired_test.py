"""The statistics of pairs, against closed forms, published figures and simulations."""

import math

import numpy as np
import pytest
from scipy import stats

from hpsearch.verification.paired_test import (
    FEW,
    LEAST,
    MIN_PAIRS,
    _skewness,
    error_of_look,
    interval,
    pairs_needed,
    power,
    t_test_pairs,
)


def test_pairs_of_a_t_test_are_the_published_ones():
    """One-sided paired t-test at 5% with 80% power, as G*Power 3.1 prints for dz 0.5 and 0.8."""
    assert t_test_pairs(0.5, 1.0, 0.05) == 27
    assert t_test_pairs(0.8, 1.0, 0.05) == 12
    assert t_test_pairs(100.0, 1.0, 0.05) == MIN_PAIRS
    assert pairs_needed(1.0, 0.0, 0.05) == MIN_PAIRS


def test_the_looks_and_the_rules_share_the_error():
    looks = [error_of_look(0.9, look, rules=4) for look in range(1, 10_001)]
    assert 4 * sum(looks) == pytest.approx(0.05 * (1 - 1 / 10_001))
    assert looks[0] == pytest.approx(0.025 / 4)


@pytest.mark.parametrize(("copies", "wider"), [(1, 1.5), (4, 1.15), (400, 1.02)])
def test_without_skewness_the_interval_is_symmetric_and_with_many_pairs_students(copies, wider):
    gains = np.tile(np.array([-3.0, -1.0, -0.5, 0.5, 1.0, 3.0]) + 2, copies)
    low, high = interval(gains, 0.05)
    assert low + high == pytest.approx(2 * gains.mean())
    left, right = stats.t.interval(0.9, len(gains) - 1, np.mean(gains), stats.sem(gains))
    assert right - left < high - low < wider * (right - left)


@pytest.mark.parametrize("n", [6, 10, 20])
def test_collapses_confirm_nothing_however_often_it_is_looked(n):
    """One run of ten collapses by five spreads: a t-test of six pairs confirms that in 15%."""
    rng = np.random.default_rng(21)
    gains = rng.standard_normal((4000, 5 * n)) + 5 * (0.1 - (rng.random((4000, 5 * n)) < 0.1))
    looks = [interval(gains[:, : k * n], error_of_look(0.9, k))[0] > 0 for k in range(1, 6)]
    assert np.mean(np.any(looks, axis=0)) < 0.06 + 2 * math.sqrt(0.06 * 0.94 / 4000)


def test_the_end_towards_the_tail_solves_halls_cubic():
    """g(w) = w + c w^2 / 3 + c^2 w^3 / 27 + c / (6 n), Hall 1992, is the quantile at that end."""
    gains = np.array([0.0, 0.1, -0.1, 0.2, 0.05, -2.0, 0.1])
    n = len(gains)
    skew = stats.skew(gains, bias=False) * FEW
    low, high = interval(gains, 0.025)
    bar = stats.t.ppf(0.975, n - 1) / math.sqrt(n)
    w = (gains.mean() - low) / gains.std(ddof=1)
    assert w + skew * w**2 / 3 + skew**2 * w**3 / 27 + skew / (6 * n) == pytest.approx(bar)
    up = (high - gains.mean()) / gains.std(ddof=1)  # away from the tail it is LEAST
    least = -LEAST
    assert up + least * up**2 / 3 + least**2 * up**3 / 27 + least / (6 * n) == pytest.approx(bar)
    turned = interval(-gains, 0.025)
    assert (-turned[1], -turned[0]) == pytest.approx((low, high))


def test_the_skewness_of_few_exponential_values_is_not_too_small():
    """That of an exponential law is 2; six values alone show .85 of it, fifteen 1.32."""
    samples = np.random.default_rng(8).exponential(size=(20_000, 6))
    assert np.mean(_skewness(samples)) == pytest.approx(2, abs=0.25)


def test_equal_gains_have_an_interval_of_no_width():
    low, high = interval(np.full(5, 0.1), 0.025)
    assert low == pytest.approx(0.1)
    assert high == pytest.approx(0.1)


@pytest.mark.parametrize("spread", [0.0, 1e-16, 1e-9])
def test_gains_that_are_equal_but_for_rounding_take_the_fewest_pairs(spread):
    """As those of one's own function that draws its noise from the seed which a pair shares."""
    assert pairs_needed(0.5, spread, 0.0125) == MIN_PAIRS
    assert power(MIN_PAIRS, 0.5, spread, 0.0125) == 1.0


def test_the_planned_pairs_have_the_power():
    for gain in (0.5, 1.0, 2.0):
        pairs = pairs_needed(gain, 1.0, 0.025)
        fresh = np.random.default_rng(5).normal(gain, 1.0, (10_000, pairs))
        found = float(np.mean(interval(fresh, 0.025)[0] > 0))
        assert found >= 0.79
        assert found == pytest.approx(power(pairs, gain, 1.0, 0.025), abs=0.02)
        assert power(pairs - 1, gain, 1.0, 0.025) < 0.8 or pairs == t_test_pairs(gain, 1.0, 0.025)


def test_however_often_it_is_looked_no_more_than_the_level_is_confirmed():
    """Eight pairs a look, ten looks: a test of each eight pairs alone is wrong in 40%."""
    gains = np.random.default_rng(6).standard_normal((5000, 80))
    wrong, alone = np.zeros(5000, bool), np.zeros(5000, bool)
    for look in range(1, 11):
        wrong |= interval(gains[:, : 8 * look], error_of_look(0.9, look))[0] > 0
        alone |= stats.ttest_1samp(gains[:, 8 * look - 8 : 8 * look], 0, axis=1).statistic > 1.895
    assert np.mean(wrong) < 0.05
    assert np.mean(alone) > 0.3


def test_skewed_arms_keep_the_level():
    """The rule's runs have a tail of bad ones, those of the reference have none."""
    rng = np.random.default_rng(7)
    gains = 1 - rng.exponential(size=(10_000, 10)) + 0.5 * rng.standard_normal((10_000, 10))
    assert np.mean(interval(gains, error_of_look(0.9, 1))[0] > 0) < 0.06
    t = gains.mean(axis=1) / stats.sem(gains, axis=1)
    assert np.mean(t > stats.t.ppf(0.95, 9)) > 0.09
