"""The lesson's spreadsheet: the busiest are picked, and the descent is that of the gradient."""

import numpy as np
import pandas as pd
import pytest

from hpsearch.errors import InputError
from hpsearch.trainers.collab.recommender.lesson_spreadsheet import busiest, descend


def table(rows):
    return pd.DataFrame(rows, columns=["user", "item", "rating"])


def test_the_busiest_users_and_items_make_the_matrix():
    ratings = table(
        [("a", "x", 1), ("a", "y", 2), ("a", "z", 3), ("b", "x", 4), ("b", "y", 5), ("c", "x", 2)]
    )
    found = busiest(ratings, 2, 2)
    assert found.index.tolist() == ["a", "b"]
    assert found.columns.tolist() == ["x", "y"]
    assert found.to_numpy().tolist() == [[1, 2], [4, 5]]
    whole = busiest(ratings, 3, 3)
    assert np.isnan(whole.loc["c", "y"])
    assert whole.notna().sum().sum() == 6


@pytest.fixture
def matrix():
    """15 x 15 products of three factors, a fifth of them unknown."""
    rng = np.random.default_rng(0)
    full = rng.random((15, 3)) @ rng.random((15, 3)).T * 2
    full[rng.random((15, 15)) < 0.2] = np.nan
    return pd.DataFrame(full, index=list("abcdefghijklmno"), columns=range(15))


def test_a_step_goes_against_the_gradient(matrix):
    lr, eps = 1e-3, 1e-6
    one = descend(matrix, steps=1, lr=lr)
    rng = np.random.default_rng(0)  # the factors that it begins with
    users, items = rng.random((15, 5)), rng.random((15, 5))

    def loss(users, items):
        return np.nansum(np.square(users @ items.T - matrix.to_numpy())) / 2

    for factors, after in ((users, one.users), (items, one.items)):
        moved = (factors - after.to_numpy()) / lr
        for place in ((0, 0), (7, 3), (14, 4)):
            kept = factors[place]
            factors[place] = kept + eps
            up = loss(users, items)
            factors[place] = kept - eps
            down = loss(users, items)
            factors[place] = kept
            assert moved[place] == pytest.approx((up - down) / (2 * eps), rel=1e-4)


def test_products_of_few_factors_are_found_and_unknown_cells_are_predicted(matrix):
    sheet = descend(matrix, n_factors=4, lr=0.02, steps=5000)
    assert sheet.rmse[-1] < 0.02
    known = matrix.notna().to_numpy()
    error = (sheet.predicted - matrix).to_numpy()[known]
    assert sheet.rmse[-1] == pytest.approx(np.sqrt(np.square(error).mean()))
    assert sheet.predicted.notna().all().all()
    assert sheet.predicted.index.equals(matrix.index)


def test_a_rate_too_high_is_said(matrix):
    with pytest.raises(InputError, match=r"diverged after \d+ steps: lower lr from 1"):
        descend(matrix, lr=1.0)
