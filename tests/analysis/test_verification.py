"""The statistics of verify, against truths: power, false confirmations, what failed runs may do."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from hpsearch.analysis.verification import MIN_PAIRS, judge, pairs_needed

sys.path.insert(0, str(Path(__file__).parent.parent / "search"))
import fake_trainer


def test_pairs_needed_are_the_published_ones():
    """One-sided paired t-test at 5% with 80% power, as G*Power 3.1 prints for dz 0.5 and 0.8."""
    assert pairs_needed(0.5, 1.0, 0.9) == 27
    assert pairs_needed(0.8, 1.0, 0.9) == 12
    assert pairs_needed(100.0, 1.0, 0.9) == MIN_PAIRS
    assert pairs_needed(1.0, 0.0, 0.9) == MIN_PAIRS


def runs(value, against, pairs, noise, first):
    """Scores (pairs,) of the tests' trainer with x at two values, as verify would run them."""
    rng = np.random.default_rng(first)
    configs = [{"lr": 10 ** rng.uniform(-3, -1), "depth": 1, "kind": "a"} for _ in range(pairs)]
    seeds = rng.integers(2**31, size=pairs)

    def score(x):
        return np.array([
            fake_trainer.score({**config, "x": x}, seed, 1, 1)
            + fake_trainer.own_noise({"noise": noise}, {**config, "x": x}, seed)
            for config, seed in zip(configs, seeds, strict=True)
        ])  # fmt: skip

    return score(value), score(against)


NOISE = 0.02


def verdicts(value, against, claimed, n=1500):
    pairs = pairs_needed(claimed, math.sqrt(2) * NOISE, 0.9)
    found = [judge(*runs(value, against, pairs, NOISE, i), claimed, 0.9) for i in range(n)]
    return pairs, found


def rate(found, verdict):
    return float(np.mean([one.verdict == verdict for one in found]))


def test_a_true_gain_is_confirmed_with_the_planned_power():
    """x = 0.3 against 0.45 gains 0.0225; over 1,500 verifications 80% are confirmed."""
    pairs, found = verdicts(0.3, 0.45, 0.0225)
    alpha, gain = 0.05, 0.0225 / (math.sqrt(2) * NOISE) * math.sqrt(pairs)
    planned = stats.nct.sf(stats.t.ppf(1 - alpha, pairs - 1), pairs - 1, gain)
    assert rate(found, "confirmed") == pytest.approx(planned, abs=0.03)
    assert planned >= 0.8
    assert rate(found, "refuted") < 0.07  # the interval lies below the truth in 5%
    covered = np.mean([one.low <= 0.0225 <= one.high for one in found])
    assert covered == pytest.approx(0.9, abs=0.025)


def test_without_a_gain_one_in_twenty_is_confirmed_and_most_are_refuted():
    """x = 0.15 and 0.45 are as good: 5% false confirmations, the claim is refuted at its power."""
    _, found = verdicts(0.15, 0.45, 0.0225)
    assert rate(found, "confirmed") == pytest.approx(0.05, abs=0.017)
    assert rate(found, "refuted") > 0.75


def test_a_worse_value_is_hardly_ever_confirmed():
    _, found = verdicts(0.45, 0.3, 0.0225, n=400)
    assert rate(found, "confirmed") < 0.005
    assert rate(found, "refuted") > 0.95


def test_runs_that_failed_confirm_nothing():
    value, against = np.full(8, 1.0) + 0.01 * np.arange(8), np.zeros(8)
    assert judge(value, against, 0.5, 0.9).verdict == "confirmed"
    value[:2] = np.nan
    done = judge(value, against, 0.5, 0.9)
    assert (done.verdict, done.pairs) == ("inconclusive", 6)
    assert "failed 2 times" in done.reason
    against[:3] = np.nan
    assert judge(value, against, 0.5, 0.9).verdict == "confirmed"
    value[2:] = np.nan
    assert "only 0 of 8 pairs" in judge(value, against, 0.5, 0.9).reason


def test_a_deterministic_metric_has_an_interval_of_no_width():
    done = judge(np.full(5, 0.3), np.full(5, 0.2), 0.1, 0.9)
    assert done.verdict == "confirmed"
    assert done.low == pytest.approx(done.high)
