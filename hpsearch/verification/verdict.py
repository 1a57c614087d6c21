"""The verdict on the pairs of a contrast (method.md, section 7)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from hpsearch.analysis.read.axes import Floats
from hpsearch.core.words import digits
from hpsearch.verification.paired_test import interval

Verdict = Literal["confirmed", "smaller than claimed", "refuted", "inconclusive"]
FAILURES = 0.05  # the level of the test whether the value's runs fail more often


@dataclass(frozen=True)
class Pairs:
    """What the pairs of a contrast gave.

    `gains` holds the gain of each pair that ran to its end. `lost` counts the pairs in which only
    the run with the value failed, `lost_against` those in which only the reference's run failed,
    `lost_both` those in which both did.
    """

    gains: tuple[float, ...] = ()
    lost: int = 0
    lost_against: int = 0
    lost_both: int = 0

    @classmethod
    def of(cls, value: Floats, against: Floats) -> Pairs:
        """The pairs of two rows of scores (n,), larger is better, NaN where a run failed."""
        no_value, no_against = np.isnan(value), np.isnan(against)
        both = ~no_value & ~no_against
        return cls(
            tuple((value - against)[both].tolist()),
            int(np.sum(no_value & ~no_against)),
            int(np.sum(no_against & ~no_value)),
            int(np.sum(no_value & no_against)),
        )

    @property
    def planned(self) -> int:
        """How many pairs there are, those with failed runs among them."""
        return len(self.gains) + self.lost + self.lost_against + self.lost_both

    def turned(self) -> Pairs:
        """The pairs of the opposite contrast."""
        gains = tuple(-gain for gain in self.gains)
        return Pairs(gains, self.lost_against, self.lost, self.lost_both)

    def __add__(self, other: Pairs) -> Pairs:
        return Pairs(
            self.gains + other.gains,
            self.lost + other.lost,
            self.lost_against + other.lost_against,
            self.lost_both + other.lost_both,
        )


@dataclass(frozen=True)
class Outcome:
    """What the pairs say: the mean `gain` with its interval, in the metric's unit, positive is
    better; the verdict and why."""

    gain: float
    low: float
    high: float
    verdict: Verdict
    reason: str


def judge(pairs: Pairs, claimed: float, worth: float, error: float) -> Outcome:
    """The verdict on the pairs of a contrast.

    - confirmed: the interval of the mean gain lies above 0, and does not exclude the claimed gain.
    - smaller than claimed: it lies above 0 and below the claimed gain. The gain is real.
    - refuted: it holds 0 or lies below, and excludes each gain that is worth having.
    - inconclusive: all else. So it is where fewer than two pairs ran to the end, and where the
      value's runs fail more often than the reference's (`failing`).

    Each of the three is wrong with the probability `error` at most: a confirmed or smaller gain is
    none, a smaller one is as large as claimed, a refuted one is worth having.

    Source: docs/method.md, section 7.

    Args:
        pairs: of all verifications of the contrast.
        claimed: the gain that the rule claims.
        worth: the smallest gain that is worth having.
        error: of this look, on one side.

    Returns:
        The mean gain with its interval, the verdict and why.

    Example:
        >>> seen = Pairs(gains=(0.02, 0.03, 0.01, 0.04, 0.03) * 2)
        >>> judge(seen, claimed=0.03, worth=0.015, error=0.025).verdict
        'confirmed'
        >>> judge(seen, claimed=0.3, worth=0.15, error=0.025).verdict
        'smaller than claimed'
    """
    n = len(pairs.gains)
    if n < 2:
        reason = f"only {n} of {pairs.planned} pairs ran to the end"
        return Outcome(math.nan, -math.inf, math.inf, "inconclusive", reason)
    gains = np.array(pairs.gains)
    low, high = (float(end) for end in interval(gains, error))
    verdict, reason = _verdict(low, high, claimed, worth)
    failed = f"its runs failed {pairs.lost} times where those of the reference did not"
    chance = failing(pairs.lost, pairs.lost_against)
    if pairs.lost + pairs.lost_against:
        failed += f", the reverse {pairs.lost_against} times (p = {digits(chance, 2)})"
    if verdict in ("confirmed", "smaller than claimed") and chance <= FAILURES:
        verdict, reason = "inconclusive", failed
    elif pairs.lost:
        reason += f"; {failed}"
    return Outcome(float(np.mean(gains)), low, high, verdict, reason)


def failing(lost: int, lost_against: int) -> float:
    """The exact test whether the value's runs fail more often: McNemar's, one-sided.

    Pairs in which both runs failed, or none, say nothing about it. In the others, either arm is as
    likely to have failed if both fail equally often.

    Source: McNemar 1947, Note on the sampling error of the difference between correlated
    proportions, Psychometrika 12; the exact form is the sign test.

    Args:
        lost: in how many pairs only the value's run failed.
        lost_against: in how many only the reference's did.

    Returns:
        The probability of so many losses or more, 1 where there are none.

    Example:
        >>> failing(5, 0), failing(2, 0)
        (0.03125, 0.25)
    """
    return float(stats.binom.sf(lost - 1, lost + lost_against, 0.5))


def _verdict(low: float, high: float, claimed: float, worth: float) -> tuple[Verdict, str]:
    if low > 0 and high < claimed:
        return "smaller than claimed", "a gain is seen, and one as large as claimed is excluded"
    if low > 0:
        return "confirmed", "the interval of the gain lies above zero"
    if high < 0:
        return "refuted", "it is worse: the interval of the gain lies below zero"
    if high < worth:
        return "refuted", f"no gain is seen, and one of {digits(worth, 2)} or more is excluded"
    if high < claimed:
        return "inconclusive", "one as large as claimed is excluded, a smaller one may be"
    return "inconclusive", "the interval holds both zero and the claimed gain"
