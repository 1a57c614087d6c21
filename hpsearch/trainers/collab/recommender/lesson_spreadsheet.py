"""The spreadsheet of the 2018 fast.ai lesson: factors of a few users and items by plain gradient
descent, small enough to look at every number.

The model that `hpsearch train` trains is the same plus biases, regularisation and batches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from hpsearch.errors import InputError


def busiest(ratings: pd.DataFrame, n_users: int = 15, n_items: int = 15) -> pd.DataFrame:
    """The ratings of the `n_users` users who rated most for the `n_items` items rated most: a row
    for each user, a column for each item, NaN where there is no rating.

    `ratings` has the columns user, item and rating, each pair once. Of equally many ratings the
    first in the table wins.
    """
    kept = ratings
    for column, n in (("user", n_users), ("item", n_items)):
        counts = ratings[column].value_counts(sort=False).sort_values(
            ascending=False, kind="stable"
        )  # fmt: skip
        kept = kept[kept[column].isin(counts.index[:n])]
    return kept.pivot(index="user", columns="item", values="rating").astype("float64")


@dataclass(frozen=True)
class Sheet:
    """What gradient descent found: factors of the users (n_users, n_factors) and of the items
    (n_items, n_factors), and the root mean squared error over the known cells after each step."""

    users: pd.DataFrame
    items: pd.DataFrame
    rmse: npt.NDArray[np.float64]

    @property
    def predicted(self) -> pd.DataFrame:
        """Every dot product (n_users, n_items), also where there is no rating."""
        return self.users @ self.items.T


def descend(
    matrix: pd.DataFrame,
    *,
    n_factors: int = 5,
    lr: float = 0.01,
    steps: int = 1000,
    seed: int = 0,
) -> Sheet:
    """Minimise half the sum of squared errors of the known cells of `matrix` (n_users, n_items),
    from factors drawn uniformly between 0 and 1. No regularisation, no biases, all cells at once.

    Raises InputError if it diverges: then `lr` is too high.
    """
    rng = np.random.default_rng(seed)
    n_users, n_items = matrix.shape
    users, items = rng.random((n_users, n_factors)), rng.random((n_items, n_factors))
    wanted, known = matrix.fillna(0.0).to_numpy(), matrix.notna().to_numpy()
    rmse = np.empty(steps)
    for step in range(steps):
        error = (users @ items.T - wanted) * known
        users, items = users - lr * error @ items, items - lr * error.T @ users
        rmse[step] = np.sqrt(np.square((users @ items.T - wanted)[known]).mean())
        if not rmse[step] < 1e6:
            raise InputError(f"The descent diverged after {step + 1} steps: lower lr from {lr:g}.")
    names = range(1, n_factors + 1)
    return Sheet(
        pd.DataFrame(users, matrix.index, names), pd.DataFrame(items, matrix.columns, names), rmse
    )
