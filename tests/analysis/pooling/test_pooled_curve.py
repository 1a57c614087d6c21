"""Pooled curves of simulated studies: what they cost, where the best may lie, and what weighs."""

import numpy as np
import pytest

from hpsearch.analysis.pooling.pooled_curve import (
    StudyCurve,
    piece,
    pool_curves,
    rules_without,
    study_weights,
)

X = np.linspace(0, 1, 21)
SMOOTH = np.linalg.cholesky(np.exp(-0.5 * ((X[:, None] - X) / 0.2) ** 2) + 1e-8 * np.eye(len(X)))


def simulated(rng, centre, error=0.1, height=4.0):
    score = -height * (X - centre) ** 2 + error * SMOOTH @ rng.normal(size=len(X))
    copies = score + error * rng.normal(size=(60, len(X))) @ SMOOTH.T
    return StudyCurve(score, copies)


def exact(centre, height=4.0, worth=0.0):
    score = -height * (X - centre) ** 2
    return StudyCurve(score, np.stack([score, score]), worth=worth)


def test_without_errors_the_rule_is_the_mean_of_the_optima_and_its_cost_is_exact():
    """Of parabolas of one height: the mean regret at x is h (mean (x - c)^2)."""
    centres = np.array([0.3, 0.4, 0.5])
    pooled = pool_curves([exact(c) for c in centres], 0.9)
    assert X[pooled.best] == pytest.approx(0.4)
    expected = 4 * ((X[:, None] - centres) ** 2).mean(axis=1)
    np.testing.assert_allclose(pooled.cost.mean, expected, atol=1e-9)
    np.testing.assert_allclose(pooled.weights, 1 / 3)
    assert [X[at] for at in rules_without([exact(c) for c in centres])] == pytest.approx(
        [0.45, 0.4, 0.35]
    )


def test_what_costs_less_than_is_worth_having_is_as_good():
    """4 (x - 0.4)^2 is 0.05 at 0.4 +- 0.11."""
    inside = pool_curves([exact(0.4, worth=0.05)] * 2, 0.9).inside
    np.testing.assert_array_equal(inside, np.abs(X - 0.4) <= 0.11)
    assert pool_curves([exact(0.4)] * 2, 0.9).inside.sum() == 1


def test_of_a_slope_that_is_not_worth_having_every_place_is_as_good():
    score = 0.01 * X
    curves = [StudyCurve(score, np.stack([score, score]), worth=0.02)] * 2
    assert pool_curves(curves, 0.9).inside.all()


def test_a_noisy_study_weighs_less():
    rng = np.random.default_rng(0)
    weights = study_weights([simulated(rng, 0.4, 0.1), simulated(rng, 0.4, 0.1),
                             simulated(rng, 0.4, 0.6)])  # fmt: skip
    assert weights[2] < 0.2 * weights[:2].min()


def test_the_best_place_may_be_where_it_is():
    """50 sets of three studies whose optima differ by twice their errors; 3 errors are 13%."""
    rng = np.random.default_rng(1)
    truth = int(np.argmin(np.abs(X - 0.5)))
    inside = [
        pool_curves([simulated(rng, c) for c in rng.normal(0.5, 0.06, 3)], 0.9).inside
        for _ in range(50)
    ]
    assert 0.78 <= np.mean([one[truth] for one in inside]) <= 1
    assert np.mean([one.mean() for one in inside]) < 0.6


def test_an_edge_is_inside_where_the_curves_rise_to_it():
    rng = np.random.default_rng(2)
    pooled = pool_curves([simulated(rng, 1.2) for _ in range(4)], 0.9)
    assert pooled.inside[-1]
    assert not pooled.inside[:15].any()


def test_a_piece_is_unbroken():
    inside = np.array([True, False, True, True, True, False, True])
    assert piece(inside, 3).tolist() == [2, 3, 4]
    assert piece(np.ones(3, bool), 0).tolist() == [0, 1, 2]


def cliff(rng, centre):
    """It rises by 1.6 and falls five times as fast, with noise of 0.1."""
    fall = 1.6 * np.where(centre >= X, X - centre, 5 * (centre - X))
    score = fall + 0.1 * SMOOTH @ rng.normal(size=len(X))
    return StudyCurve(score, score + 0.1 * rng.normal(size=(60, len(X))) @ SMOOTH.T)


def test_a_cliff_whose_place_differs_holds_the_best_where_one_study_in_six_has_fallen():
    """The mean curve is best at the 1/6 quantile of normal places: 0.6 - 0.967 * 0.1 = 0.503.

    There none of three studies has fallen in 58% of sets. 60 sets; 3 errors are 12%."""
    rng = np.random.default_rng(4)
    truth = int(np.argmin(np.abs(X - 0.5)))
    pooled = [
        pool_curves([cliff(rng, c) for c in rng.normal(0.6, 0.1, 3)], 0.9, X) for _ in range(60)
    ]
    assert np.mean([one.inside[truth] for one in pooled]) >= 0.78
    assert np.mean([one.inside.mean() for one in pooled]) < 0.5
    assert {one.safer for one in pooled} <= {"below", None}


def test_below_a_cliff_is_safer_and_of_its_mirror_image_above():
    rng = np.random.default_rng(6)
    sets = [[cliff(rng, c) for c in rng.normal(0.6, 0.03, 4)] for _ in range(20)]
    turned = [[StudyCurve(c.score[::-1], c.copies[:, ::-1]) for c in one] for one in sets]
    below = [pool_curves(one, 0.9, X).safer for one in sets]
    above = [pool_curves(one, 0.9, X).safer for one in turned]
    assert below.count("below") > 10
    assert "above" not in below
    assert [{"below": "above"}.get(one) for one in below] == above


def test_neither_side_of_a_peak_is_safer():
    rng = np.random.default_rng(5)
    sets = [[simulated(rng, c) for c in rng.normal(0.5, 0.06, 3)] for _ in range(40)]
    assert np.mean([pool_curves(one, 0.9, X).safer is not None for one in sets]) <= 0.1
