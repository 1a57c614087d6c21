"""The statistics of a verification: how many pairs it needs, and what they say (spec, section 7).

A pair is two runs with the same seed and the same remaining parameters, one with the rule's value,
one with the reference. The gains of the pairs are independent, their number is fixed before the
first run, and one paired t-test at its end decides: nothing is looked at on the way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from hpsearch.analysis.axes import Floats

POWER = 0.8
MIN_PAIRS = 5  # with fewer the t-test's quantiles hang on how normal the differences are
MAX_PAIRS = 100  # more than that nobody runs without being asked

Verdict = Literal["confirmed", "refuted", "inconclusive"]


def power(pairs: int, gain: float, spread: float, level: float) -> float:
    """The probability that so many pairs confirm a `gain` that is true.

    `spread` is the standard deviation of the gain within one pair. The test is one-sided at
    (1 - level) / 2, so that an interval of `level` above 0 is its rejection; its power is that of
    the noncentral t distribution.
    """
    if spread <= 0:
        return 1.0
    bar = stats.t.ppf((1 + level) / 2, pairs - 1)
    return float(stats.nct.sf(bar, pairs - 1, gain / spread * math.sqrt(pairs)))


def pairs_needed(gain: float, spread: float, level: float, wanted: float = POWER) -> int:
    """How many pairs confirm a true `gain` above 0 with the power `wanted`, MIN_PAIRS or more."""
    low, high = MIN_PAIRS - 1, MIN_PAIRS
    while power(high, gain, spread, level) < wanted:
        low, high = high, 2 * high
        if high > 1 << 20:
            return high
    while high - low > 1:
        middle = (low + high) // 2
        enough = power(middle, gain, spread, level) >= wanted
        low, high = (low, middle) if enough else (middle, high)
    return high


@dataclass(frozen=True)
class Outcome:
    """What the pairs say: the mean `gain` with its interval, in the metric's unit, positive is
    better; how many pairs counted; the verdict and why."""

    gain: float
    low: float
    high: float
    pairs: int
    verdict: Verdict
    reason: str


def judge(value: Floats, against: Floats, claimed: float, level: float) -> Outcome:
    """The verdict on pairs of scores (n,), larger is better, NaN where a run failed.

    Confirmed: the interval of the mean gain lies above 0. Refuted: it does not, and lies below the
    claimed gain. Pairs without a gain are left out; but a value whose runs fail more often than the
    reference's is not confirmed by the runs that it survived.
    """
    gains = (value - against)[np.isfinite(value - against)]
    n, planned = len(gains), len(value)
    if n < 2 or 2 * n <= planned:
        reason = f"only {n} of {planned} pairs ran to the end"
        return Outcome(math.nan, -math.inf, math.inf, n, "inconclusive", reason)
    mean = float(np.mean(gains))
    error = float(np.std(gains, ddof=1)) / math.sqrt(n)
    half = float(stats.t.ppf((1 + level) / 2, n - 1)) * error
    low, high = mean - half, mean + half
    verdict, reason = _verdict(low, high, claimed)
    lost, lost_against = int(np.isnan(value).sum()), int(np.isnan(against).sum())
    if verdict == "confirmed" and lost > lost_against:
        verdict = "inconclusive"
        reason = f"its runs failed {lost} times, those of the reference {lost_against} times"
    return Outcome(mean, low, high, n, verdict, reason)


def _verdict(low: float, high: float, claimed: float) -> tuple[Verdict, str]:
    if low > 0:
        return "confirmed", "the interval of the gain lies above zero"
    if high < 0:
        return "refuted", "it is worse: the interval of the gain lies below zero"
    if high < claimed:
        return "refuted", "no gain is seen, and one as large as claimed is excluded"
    return "inconclusive", "the interval holds both zero and the claimed gain"
