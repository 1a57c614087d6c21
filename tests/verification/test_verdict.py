"""The verdict: what each says, when it is wrong, and what failed runs may do."""

import math

import numpy as np
import pytest
from scipy import stats

from hpsearch.verification.paired_test import interval, pairs_needed
from hpsearch.verification.verdict import Pairs, failing, judge

ERROR = 0.025
CLAIM = 1.0
SPREAD = 1.0


def verdicts(gain, n=1000):
    """Verdicts on so many samples of the pairs that are planned for the claim."""
    pairs = pairs_needed(CLAIM, SPREAD, ERROR)
    draws = np.random.default_rng(3).normal(gain, SPREAD, (n, pairs))
    return [judge(Pairs(tuple(row)), CLAIM, CLAIM / 2, ERROR) for row in draws]


def rate(found, verdict):
    return float(np.mean([one.verdict == verdict for one in found]))


def test_a_true_gain_is_confirmed_with_the_planned_power():
    found = verdicts(CLAIM)
    assert rate(found, "confirmed") == pytest.approx(0.8, abs=0.05)
    assert rate(found, "refuted") < 0.01
    assert rate(found, "smaller than claimed") < 0.04
    covered = np.mean([one.low <= CLAIM <= one.high for one in found])
    assert covered == pytest.approx(0.95, abs=0.03)


def test_without_a_gain_hardly_any_is_confirmed():
    found = verdicts(0.0)
    assert rate(found, "confirmed") + rate(found, "smaller than claimed") < 0.04
    assert rate(found, "refuted") > 0.2


def test_a_smaller_gain_is_not_refuted():
    assert rate(verdicts(CLAIM / 2), "refuted") < 0.04
    many = np.random.default_rng(4).normal(CLAIM / 2, SPREAD, 200)
    assert judge(Pairs(tuple(many)), CLAIM, CLAIM / 2, ERROR).verdict == "smaller than claimed"


def test_a_worse_value_is_refuted():
    found = verdicts(-CLAIM, n=200)
    assert rate(found, "confirmed") == 0
    assert rate(found, "refuted") > 0.9


WIDTHS = [  # the mean gain of ten pairs whose interval is the mean +- 1
    (2.0, 2.5, "confirmed", "lies above zero"),
    (2.0, 3.5, "smaller than claimed", "one as large as claimed is excluded"),
    (-2.0, 2.5, "refuted", "it is worse"),
    (0.0, 2.5, "refuted", "no gain is seen, and one of 1.2 or more is excluded"),
    (0.5, 2.5, "inconclusive", "a smaller one may be"),
    (0.5, 1.4, "inconclusive", "both zero and the claimed gain"),
]


@pytest.mark.parametrize(("mean", "claimed", "verdict", "reason"), WIDTHS)
def test_what_each_verdict_says(mean, claimed, verdict, reason):
    apart = np.array([-1.0, 1.0] * 5)
    apart /= interval(apart, ERROR)[1]
    done = judge(Pairs(tuple(apart + mean)), claimed, claimed / 2, ERROR)
    assert (done.low, done.high) == pytest.approx((mean - 1, mean + 1))
    assert done.verdict == verdict
    assert reason in done.reason


def test_the_test_of_failures_is_the_exact_sign_test():
    for lost, against in [(0, 0), (1, 0), (5, 0), (4, 2), (2, 9)]:
        n = lost + against
        expected = stats.binomtest(lost, n, alternative="greater").pvalue if n else 1.0
        assert failing(lost, against) == pytest.approx(expected)


def test_a_few_failures_do_not_hold_a_large_gain_back_and_an_excess_does():
    gains = tuple(1 + 0.01 * np.arange(12))
    few = judge(Pairs(gains, lost=2), 1.0, 0.5, ERROR)
    assert few.verdict == "confirmed"
    assert "its runs failed 2 times" in few.reason
    assert "(p = 0.25)" in few.reason
    many = judge(Pairs(gains, lost=5), 1.0, 0.5, ERROR)
    assert many.verdict == "inconclusive"
    assert "failed 5 times where those of the reference did not" in many.reason
    assert judge(Pairs(gains, lost=5, lost_against=3), 1.0, 0.5, ERROR).verdict == "confirmed"
    half = judge(Pairs(gains, lost=9, lost_against=9), 1.0, 0.5, ERROR)
    assert half.verdict == "confirmed"
    none = judge(Pairs(lost=8), 1.0, 0.5, ERROR)
    assert (none.verdict, none.reason) == ("inconclusive", "only 0 of 8 pairs ran to the end")


def test_pairs_are_counted_by_who_failed():
    nan = math.nan
    pairs = Pairs.of(np.array([3.0, nan, 1.0, nan, nan]), np.array([1.0, 1.0, nan, nan, 2.0]))
    assert pairs == Pairs((2.0,), lost=2, lost_against=1, lost_both=1)
    assert pairs.turned() == Pairs((-2.0,), lost=1, lost_against=2, lost_both=1)
    assert (pairs + pairs.turned()).gains == (2.0, -2.0)
    assert (pairs + pairs).planned == 10
