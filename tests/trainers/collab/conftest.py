"""Small made-up ratings whose structure is known, and MovieLens 100K where it is at hand."""

import numpy as np
import pandas as pd
import pytest
from movielens import Dataset, archive, movielens

from hpsearch.trainers.collab import cold_start


def made_up(n_users=60, n_items=40, per_user=20, seed=0):
    """Ratings from 1 to 5 that a user's and an item's bias and one taste decide, and noise."""
    rng = np.random.default_rng(seed)
    taste, style = rng.choice([-1, 1], n_users), rng.choice([-1, 1], n_items)
    good, kind = rng.normal(0, 0.7, n_items), rng.normal(0, 0.4, n_users)
    users = np.repeat(np.arange(n_users), per_user)
    items = np.concatenate([rng.permutation(n_items)[:per_user] for _ in range(n_users)])
    value = 3 + good[items] + kind[users] + 0.8 * taste[users] * style[items]
    value = np.clip(np.round(2 * (value + rng.normal(0, 0.2, len(users)))) / 2, 1, 5)
    order = rng.permutation(len(users))
    ratings = pd.DataFrame(
        {
            "user": np.char.add("u", users.astype(str))[order].astype(object),
            "item": np.char.add("i", items.astype(str))[order].astype(object),
            "rating": value[order].astype("float32"),
            "time": rng.permutation(len(users)).astype("int64"),
        }
    )
    films = pd.DataFrame(
        {
            "title": [f"Film {i}" for i in range(n_items)],
            "year": 1950.0 + np.arange(n_items),
            "genres": np.where(style > 0, "Comedy|Drama", "Horror"),
        },
        index=pd.Index([f"i{i}" for i in range(n_items)], name="id"),
    )
    people = pd.DataFrame(
        {"age": 20 + np.arange(n_users), "sex": np.where(taste > 0, "F", "M")},
        index=pd.Index([f"u{i}" for i in range(n_users)], name="id"),
    )
    rows = np.arange(len(ratings))
    folds = {"u1": (rows[200:], rows[:200])}
    return Dataset(ratings, people, films, folds)


@pytest.fixture(scope="session")
def dataset():
    return made_up()


@pytest.fixture
def few_steps(monkeypatch):
    """The networks on metadata learn no longer than data so small asks for."""
    monkeypatch.setattr(cold_start, "STEPS", 100)


@pytest.fixture(scope="session")
def real():
    if archive() is None:
        pytest.skip("HPSEARCH_DATA holds no ml-100k.zip")
    return movielens()
