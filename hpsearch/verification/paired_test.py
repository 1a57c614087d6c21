"""The statistics of pairs: the interval of their mean gain, and how many pairs a verification needs
(method.md, section 7).

A pair is two runs with the same seed and the same remaining parameters, one with the rule's value,
one with the reference. The gains of the pairs are independent. A look is a test of all pairs that a
contrast has. Looks share the error: each has a part of it, so a contrast may be looked at again.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from hpsearch.analysis.read.axes import Floats

POWER = 0.8
MIN_PAIRS = 5  # with fewer pairs the test depends on how normal the differences are
MAX_PAIRS = 100  # the user must ask for more pairs than this
SIMULATED = 20_000  # samples that the power is computed from
LARGE = 100  # from so many pairs on, the correction for skewness costs few of them
# The skewness of few values is too small, and none is seen before the first collapse. Chosen on the
# laws of tests.benchmarks.truth.verification: 6% at most of what gains nothing is ever confirmed.
FEW = 2.5  # so many times too small
LEAST = 0.8  # so much may be there unseen, against either end
ROUNDING = 1e-6  # of the gain: gains that vary by less are equal


def error_of_look(level: float, look: int, rules: int = 1) -> float:
    """The one-sided error of one look: of the error of all looks, the part 1 / (k (k + 1)).

    The parts add up to 1, so any number of looks has the error (1 - level) / 2 at most: the
    inequality of Bonferroni, which holds whatever the looks have in common. Rules that are verified
    by one command share the error equally.

    Args:
        level: of the interval, as the user gave it.
        look: 1 for the first one.
        rules: how many are verified together.

    Example:
        >>> [round(error_of_look(0.9, look), 4) for look in (1, 2, 3)]
        [0.025, 0.0083, 0.0042]
    """
    return (1 - level) / 2 / (look * (look + 1)) / rules


def interval(gains: Floats, error: float) -> tuple[Floats, Floats]:
    """The interval of the mean: with the probability `error` the mean is below it, or above it.

    It is that of Hall's cubic transformation, which corrects for skewness. The skewness of few
    values is hardly known: one run of ten that collapses is mostly not seen in six pairs. So each
    end is that of values which are skewed towards it by LEAST or more, and the interval is never
    narrower than Student's.

    Source: Hall 1992, On the removal of skewness by transformation, JRSS B 54, section 2, with the
    quantile of Student's t.

    Args:
        gains: (..., n) values, n >= 2; each row is a sample.
        error: of one side, above 0 and below 0.5.

    Returns:
        The lower ends and the upper ends, (...).

    Example:
        >>> low, high = interval(np.array([0.8, 1.0, 1.2, 0.9, 1.1]), error=0.05)
        >>> print(f"{low:.2f} {high:.2f}")
        0.76 1.24
    """
    n = gains.shape[-1]
    mean, spread = gains.mean(axis=-1), gains.std(axis=-1, ddof=1)
    width = float(stats.t.ppf(1 - error, n - 1)) / math.sqrt(n)
    skew = _skewness(gains) if n > 2 else np.zeros_like(mean)
    below = _hall(width, np.minimum(skew, -LEAST), n)
    above = _hall(width, np.minimum(-skew, -LEAST), n)
    return mean - spread * below, mean + spread * above


def _skewness(gains: Floats) -> Floats:
    """The skewness of each sample, 0 where all values are equal.

    Few values show less skewness than their law has, so it is multiplied by FEW.
    """
    n = gains.shape[-1]
    apart = gains - gains.mean(axis=-1, keepdims=True)
    second, third = (apart**2).mean(axis=-1), (apart**3).mean(axis=-1)
    tiny = second <= np.finfo(float).tiny ** 0.5
    skew = np.where(tiny, 0.0, third / np.where(tiny, 1.0, second) ** 1.5)
    return np.asarray(skew * math.sqrt(n * (n - 1)) / (n - 2) * FEW)


def _hall(x: float, skew: Floats, n: int) -> Floats:
    """How far below the mean the end lies, in standard deviations: Hall's inverse cubic at x; the
    skewness is not 0."""
    return np.asarray(3 / skew * (np.cbrt(1 + skew * (x - skew / (6 * n))) - 1))


def power(pairs: int, gain: float, spread: float, error: float) -> float:
    """The probability that so many pairs have an interval above 0, by simulation of normal gains.

    Args:
        pairs: how many, two or more.
        gain: the true one.
        spread: the standard deviation of the gain within one pair.
        error: of the look.

    Example:
        >>> round(power(12, gain=1.0, spread=1.0, error=0.025), 2)
        0.6
    """
    if spread <= ROUNDING * abs(gain):
        return 1.0
    rows = min(SIMULATED, max(1, 4_000_000 // pairs))
    draws = np.random.default_rng(0).standard_normal((rows, pairs))
    low, _ = interval(draws + gain / spread, error)
    return float(np.mean(low > 0))


def pairs_needed(gain: float, spread: float, error: float, wanted: float = POWER) -> int:
    """How many pairs confirm a true `gain` above 0 with the power `wanted`, MIN_PAIRS or more.

    The noncentral t distribution gives the number for a t-test; the correction for skewness takes a
    few more. Source: docs/method.md, section 7. Arguments as those of `power`.

    Example:
        >>> pairs_needed(gain=1.0, spread=1.0, error=0.025)
        17
    """
    pairs = t_test_pairs(gain, spread, error, wanted)
    while pairs < LARGE and power(pairs, gain, spread, error) < wanted:
        pairs += 1
    return pairs


def new_pairs(
    gain: float, spread: float, had: int, *, level: float, look: int, rules: int = 1
) -> int:
    """How many pairs a look adds to those that a contrast has.

    At least as many as the first look had: a user who looks again wants to know more.

    Args:
        gain: to be found with the power POWER.
        spread: the standard deviation of the gain within one pair.
        had: how many pairs there are.
        level: of the interval, as the user gave it.
        look: 1 for the first one.
        rules: how many are verified together.

    Example:
        >>> new_pairs(1.0, 1.0, 0, level=0.9, look=1), new_pairs(1.0, 1.0, 17, level=0.9, look=2)
        (17, 17)
    """
    first = pairs_needed(gain, spread, error_of_look(level, 1, rules))
    if look == 1:
        return first
    return max(first, pairs_needed(gain, spread, error_of_look(level, look, rules)) - had)


def t_test_pairs(gain: float, spread: float, error: float, wanted: float = POWER) -> int:
    """How many pairs a one-sided paired t-test needs. Arguments as those of `power`.

    Example:
        >>> t_test_pairs(gain=1.0, spread=1.0, error=0.05)
        8
    """
    if spread <= ROUNDING * abs(gain):
        return MIN_PAIRS

    def enough(pairs: int) -> bool:
        bar = stats.t.ppf(1 - error, pairs - 1)
        return bool(stats.nct.sf(bar, pairs - 1, gain / spread * math.sqrt(pairs)) >= wanted)

    low, high = MIN_PAIRS - 1, MIN_PAIRS
    while not enough(high):
        low, high = high, 2 * high
        if high > 1 << 20:
            return high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
