"""Meta-regression against least squares, subgroups against the t-test, and no false find."""

import numpy as np
import pytest
from scipy import stats

from hpsearch.analysis.pooling.moderators import moderators

X = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
Y = np.array([1.0, 3.0, 2.0, 5.0, 4.0, 7.0])
TINY = np.full(6, 1e-4)


def test_without_errors_a_slope_is_that_of_least_squares():
    (found,) = moderators([{"x": x} for x in X], Y, TINY, 0.9)
    ordinary = stats.linregress(X, Y)
    half = stats.t.ppf(0.95, 4) * ordinary.stderr
    assert found.slope == pytest.approx(ordinary.slope)
    assert (found.low, found.high) == pytest.approx((ordinary.slope - half, ordinary.slope + half))
    assert found.p_value == pytest.approx(ordinary.pvalue, rel=1e-4)


def test_a_number_that_varies_tenfold_is_taken_as_its_logarithm():
    rows = 10.0**X
    (found,) = moderators([{"rows": r} for r in rows], Y, TINY, 0.9)
    assert found.log
    assert found.slope == pytest.approx(stats.linregress(np.log(rows), Y).slope)


@pytest.mark.parametrize(("a", "b"), [("a", "b"), (1, 3), (True, False)])
def test_without_errors_two_subgroups_differ_by_the_t_test(a, b):
    (found,) = moderators([{"layers": one} for one in [a, b] * 3], Y, TINY, 0.9)
    assert found.groups == ((a, 3, pytest.approx(7 / 3)), (b, 3, pytest.approx(5.0)))
    assert found.p_value == pytest.approx(stats.ttest_ind(Y[::2], Y[1::2]).pvalue, rel=1e-4)


def test_p_values_are_corrected_for_what_was_tried():
    (alone,) = moderators([{"x": x} for x in X], Y, TINY, 0.9)
    facts = [{"x": x, "z": z, "same": 1} for x, z in zip(X, [3, 1, 4, 1, 5, 9], strict=True)]
    both = {one.name: one for one in moderators(facts, Y, TINY, 0.9)}
    assert set(both) == {"x", "z"}
    assert both["x"].p_value == pytest.approx(2 * alone.p_value)


def test_four_studies_are_too_few():
    assert moderators([{"x": x} for x in X[:4]], Y[:4], TINY[:4], 0.9) == ()


def test_errors_alone_find_nothing():
    """Of 200 sets of six studies that do not differ, the share with p below .1."""
    rng = np.random.default_rng(3)
    facts = [{"x": x} for x in X]
    below = [moderators(facts, rng.normal(size=6), np.ones(6), 0.9)[0].p_value < 0.1
             for _ in range(200)]  # fmt: skip
    assert np.mean(below) < 0.16


def test_of_five_facts_that_move_nothing_one_is_named_in_a_twentieth_of_sets_at_most():
    """100 sets of six studies that differ by twice their errors; 3 standard errors are 6.5%."""
    rng = np.random.default_rng(4)
    named = 0
    for _ in range(100):
        facts = [{"rows": 10 ** rng.uniform(3, 6), "layers": int(rng.integers(1, 5)),
                  "preset": ["quick", "cpu"][i % 2], "perplexity": rng.normal(40, 5),
                  "trainer": ["tabular", "own"][i // 3]} for i in range(6)]  # fmt: skip
        named += moderators(facts, 2 * rng.normal(size=6), np.ones(6), 0.9)[0].p_value <= 0.05
    assert named / 100 <= 0.05 + 0.065
