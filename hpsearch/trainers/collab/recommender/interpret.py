"""What a recommender has learned: what is liked whatever the taste, and the axes of taste.

taste_map.py draws them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hpsearch.trainers.collab.metrics import predict_scores
from hpsearch.trainers.collab.model import DotBias, Model
from hpsearch.trainers.collab.recommender.recommend import Recommender
from hpsearch.trainers.collab.split_ratings import Rows

if TYPE_CHECKING:
    import pandas as pd


Numbers = npt.NDArray[np.float64]
_SAMPLE = 256  # at least so many users, or items, over which a network's scores are averaged


def item_biases(recommender: Recommender, popular: int = 1000) -> pd.DataFrame:
    """List the `popular` items with the most ratings, the item with the highest bias first.

    The bias says how much everyone likes an item, whatever their taste. The mean of the item's
    ratings does not say this, because it also depends on who rated the item.

    Columns: item, title, bias, ratings (how many), and mean (of the ratings; a model of choices has
    no such column). The bias is in units of the score. A network has no biases. There, the bias is
    the item's mean score over users minus the mean of this number over all items.
    """
    saved = recommender.saved
    biases, _ = _biases(recommender)
    table = recommender.named(recommender.numbers)
    table = table.assign(bias=biases, **_ratings(recommender, saved.seen_items, len(biases)))
    table = table.iloc[recommender.most_rated(popular) - 1]
    return table.sort_values("bias", ascending=False, kind="stable", ignore_index=True)


def user_biases(recommender: Recommender) -> pd.DataFrame:
    """List the users who have ratings, the user with the highest bias first.

    Columns: user, bias, ratings and mean as in `item_biases`, then the metadata of the users.
    """
    import pandas as pd

    saved = recommender.saved
    _, biases = _biases(recommender)
    table = pd.DataFrame({"user": saved.user_ids.names, "bias": biases})
    table = table.assign(**_ratings(recommender, saved.seen_users, len(biases)))
    if saved.users is not None:
        known = saved.users.reindex(table["user"]).reset_index(drop=True)
        table = table.join(known[known.columns.difference(table.columns, sort=False)])
    table = table[table["ratings"] > 0]
    return table.sort_values("bias", ascending=False, kind="stable", ignore_index=True)


def _biases(recommender: Recommender) -> tuple[Numbers, Numbers]:
    """(of items, of users), number 1 first."""
    model = recommender.saved.model
    if isinstance(model, DotBias):
        of_items, of_users = (model.rows(side)[1:, -1].double() for side in ("items", "users"))
        return of_items.numpy(), of_users.numpy()
    items = torch.from_numpy(recommender.numbers)
    users = torch.arange(1, len(recommender.saved.user_ids))
    liking = _scores(model, _sample(users), items).mean(0)
    giving = _scores(model, users, _sample(items)).mean(1)
    return liking - liking.mean(), giving - giving.mean()


def _sample(numbers: Tensor) -> Tensor:
    """A sample, evenly spaced."""
    return numbers[:: max(1, len(numbers) // _SAMPLE)]


def _scores(model: Model, users: Tensor, items: Tensor) -> Numbers:
    """(users, items) of all pairs."""
    pairs = users.repeat_interleave(len(items)), items.repeat(len(users))
    return predict_scores(model, *pairs).view(len(users), len(items)).double().numpy()


def _ratings(recommender: Recommender, whose: Rows, n: int) -> dict[str, Numbers | Rows]:
    """How many ratings each of n users or items has, and their mean unless they are choices."""
    counts = np.bincount(whose, minlength=n + 1)[1:]
    if recommender.saved.implicit:
        return {"ratings": counts}
    sums = np.bincount(whose, recommender.saved.seen_values, minlength=n + 1)[1:]
    return {"ratings": counts, "mean": sums / np.maximum(counts, 1)}


@dataclass(frozen=True)
class Components:
    """The principal components of the items' factors: the axes along which tastes differ most.

    `table` has item, title, ratings and a column for each component (1, 2, ...); `shares` (n,) of
    the variance they hold. Which end is the positive one means nothing.
    """

    table: pd.DataFrame
    shares: Numbers

    @property
    def names(self) -> list[str]:
        """Of the components' columns."""
        return [str(number) for number in range(1, len(self.shares) + 1)]


def components(recommender: Recommender, n: int = 3, popular: int = 1000) -> Components:
    """The first `n` components of the factors of the `popular` items rated most (biases left
    out)."""
    from sklearn.decomposition import PCA

    most = recommender.most_rated(popular)
    factors = recommender.factors[most - 1].astype(np.float64)
    pca = PCA(min(n, *factors.shape), svd_solver="full")
    places = pca.fit_transform(factors)
    table = recommender.named(most).assign(ratings=recommender.counts[most - 1])
    for i, column in enumerate(places.T, 1):
        table[str(i)] = column
    return Components(table, np.asarray(pca.explained_variance_ratio_))
