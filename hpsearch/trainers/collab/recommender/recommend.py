"""What a trained recommender says to people: predictions, recommendations, and items alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hpsearch.core.console import Progress, silent
from hpsearch.core.words import nearest
from hpsearch.data.own.rating_files import read_metadata
from hpsearch.errors import InputError
from hpsearch.trainers.collab.metrics import all_scores
from hpsearch.trainers.collab.model import DotBias
from hpsearch.trainers.collab.prepare import SIDES, Side, Values
from hpsearch.trainers.collab.recommender.new_user import fit_user, scores_for, user_prior
from hpsearch.trainers.collab.recommender.titles import TitleFinder
from hpsearch.trainers.collab.saved import SavedCollab, load_collab
from hpsearch.trainers.collab.split_ratings import Rows

if TYPE_CHECKING:
    import pandas as pd


USERS_AT_ONCE = 256


class Recommender:
    """A saved model, asked by the ids of users and the ids or titles of items.

    Predictions are ratings, or of a model of choices the probability that the user chooses the
    item. Nothing here changes the model.
    """

    def __init__(self, saved: SavedCollab) -> None:
        self.saved = saved

    def predict(self, users: Sequence[str], items: Sequence[str]) -> npt.NDArray[np.float32]:
        """Predictions (n,) for pairs of ids, in their order."""
        return self.saved.predict(users, items)

    def find(self, item: str) -> str:
        """The id of the item with the id or title `item`, however it is spelt. Raises InputError if
        there is none, or if several may be meant."""
        return self.saved.item_ids.names[self.finder.find(item).number - 1]

    def recommend(
        self,
        user: str | None = None,
        *,
        ratings: Mapping[str, float] | Sequence[str] | None = None,
        n: int = 20,
    ) -> pd.DataFrame:
        """Recommend the `n` items with the highest predictions, without those that the user rated.

        Give either a `user` that the model knows, or the `ratings` of a new user by item ids or
        titles. A model of choices also takes a sequence of the items that the new user chose. Items
        with the same title as a rated item are left out too.

        Columns: item, title, prediction; average, the prediction for the average user; because, the
        title of a similar item that this user rated at their own mean or above (see `_reasons`);
        because_rating, this user's rating of that similar item. Raises InputError for a user or an
        item that the model does not know.
        """
        if (user is None) == (ratings is None):
            raise InputError("Give either a user or the ratings of a new one.")
        if user is not None:
            return self.for_user(user, n)
        if not isinstance(ratings, Mapping):
            if not self.saved.implicit:
                raise InputError("This model is of ratings: give one for each item, as a dict.")
            ratings = dict.fromkeys(ratings or (), 1.0)
        found = {self.finder.find(item).number: value for item, value in ratings.items()}
        values = np.array([*found.values()], np.float32)
        return self.for_ratings(np.array([*found], np.int64), values, n)

    def for_user(self, user: str, n: int) -> pd.DataFrame:
        """As `recommend`, for a user that the model knows."""
        number = int(self.saved.user_ids.numbers([user])[0])
        if not number:
            names = self.saved.user_ids.names
            raise InputError(
                f"The model knows no user {user!r}{nearest(user, names)}: its users are called as "
                f"in its ratings, such as {names[0]}; or give the ratings of a new one."
            )
        own = self.saved.seen_users == number
        row = self.saved.model.rows("users")[number]
        return self._ranked(row, self.saved.seen_items[own], self.saved.seen_values[own], n)

    def for_ratings(self, items: Rows, values: Values, n: int) -> pd.DataFrame:
        """As `recommend`, for somebody who rated the item numbers `items` (m,) with `values`."""
        low, high = self.saved.seen_values.min(), self.saved.seen_values.max()
        if not len(items):
            raise InputError("There are no ratings to learn from: give one at least.")
        wrong = values[~((values >= low) & (values <= high))]
        if len(wrong) and not self.saved.implicit:
            raise InputError(
                f"A rating of {wrong[0]:g} is outside of what the model has seen: give ratings "
                f"from {low:g} to {high:g}."
            )
        return self._ranked(fit_user(self.saved, items, values).float(), items, values, n)

    def for_everyone(self, n: int, progress: Progress = silent) -> pd.DataFrame:
        """The `n` items that `for_user` recommends, for each user that the model knows.

        Columns: user, rank (from 1), item, title, prediction; user by user in the ids' order.
        """
        import pandas as pd

        saved, n_items = self.saved, len(self.saved.item_ids)
        title = pd.factorize(np.array(["", *self.titles], object))[0]
        numbers = np.arange(1, len(saved.user_ids), dtype=np.int64)
        parts = []
        for start in range(0, len(numbers), USERS_AT_ONCE):
            some = numbers[start : start + USERS_AT_ONCE]
            scores = all_scores(saved.model, some, n_items, "cpu")
            own = (saved.seen_users >= some[0]) & (saved.seen_users <= some[-1])
            rated = np.zeros((len(some), title.max() + 1), bool)
            rated[saved.seen_users[own] - some[0], title[saved.seen_items[own]]] = True
            taken = rated[:, title]
            taken[:, 0] = True
            scores[torch.from_numpy(taken)] = -torch.inf
            top = np.argsort(-scores.numpy(), axis=1, kind="stable")[:, :n]
            free = ~np.take_along_axis(taken, top, 1)
            user, place = np.nonzero(free)
            found = self.named(top[free])
            found.insert(0, "user", [saved.user_ids.names[some[i] - 1] for i in user])
            found.insert(1, "rank", place + 1)
            chosen = scores[torch.from_numpy(user), torch.from_numpy(top[free])]
            parts.append(found.assign(prediction=saved.link.predict(chosen).numpy()))
            progress("recommend", start + len(some), len(numbers))
        return pd.concat(parts, ignore_index=True)

    def similar(self, item: str, n: int = 20) -> pd.DataFrame:
        """Find the `n` items that are most similar to `item`, which is an id or a title.

        The similarity of an item with m ratings is the cosine of the factors, times m / (m + 10).
        So items with few ratings count less, because their factors are mostly noise.

        Columns: item, title, similarity (from -1 to 1), ratings (how many)."""
        number = self.finder.find(item).number
        likeness = self._likeness([number], self.numbers)[0]
        likeness[number - 1] = -np.inf
        top = np.argsort(-likeness, kind="stable")[: min(n, len(likeness) - 1)]
        return self.named(top + 1).assign(similarity=likeness[top], ratings=self.counts[top])

    @cached_property
    def finder(self) -> TitleFinder:
        return TitleFinder(self.saved.item_ids, self.titles, self.counts)

    @cached_property
    def titles(self) -> list[str]:
        """Of the known items, number 1 first; an item without one is called by its id."""
        return self.saved.titles()

    @cached_property
    def numbers(self) -> Rows:
        """Of the known items: 1, 2, ..."""
        return np.arange(1, len(self.saved.item_ids))

    @cached_property
    def counts(self) -> Rows:
        """Ratings of each known item, number 1 first."""
        counts: Rows = np.bincount(self.saved.seen_items, minlength=len(self.saved.item_ids))[1:]
        return counts

    def most_rated(self, n: int) -> Rows:
        """The numbers of the `n` items rated most, these first; none without a rating."""
        order = np.argsort(-self.counts, kind="stable")[:n]
        return np.asarray(order[self.counts[order] > 0] + 1)

    def named(self, items: Rows) -> pd.DataFrame:
        """Item numbers (n,) as a table of item (its id) and title."""
        import pandas as pd

        names = self.saved.item_ids.names
        return pd.DataFrame(
            {
                "item": [names[number - 1] for number in items],
                "title": [self.titles[number - 1] for number in items],
            }
        )

    @cached_property
    def factors(self) -> npt.NDArray[np.float32]:
        """(items, width) without the bias, number 1 first."""
        rows = self.saved.model.rows("items")[1:].cpu().numpy()
        return np.asarray(rows[:, :-1] if isinstance(self.saved.model, DotBias) else rows)

    def _ranked(self, user: Tensor, rated: Rows, values: Values, n: int) -> pd.DataFrame:
        scores, average = (self._scores(row) for row in (user, user_prior(self.saved)[0]))
        known_titles = {self.titles[number - 1] for number in rated}
        free = np.array([title not in known_titles for title in self.titles])
        order = np.argsort(-scores.numpy(), kind="stable")
        top = order[free[order]][:n]
        predict = self.saved.link.predict
        return self.named(top + 1).assign(
            prediction=predict(scores)[top].numpy(),
            average=predict(average)[top].numpy(),
            **self._reasons(top + 1, rated, values),
        )

    def _scores(self, user: Tensor) -> Tensor:
        """Scores (items,) of all known items for a user's row."""
        with torch.no_grad():
            return scores_for(self.saved.model, user.float(), torch.from_numpy(self.numbers))

    def _reasons(self, items: Rows, rated: Rows, values: Values) -> dict[str, list[object]]:
        """For each of `items`, find the most similar item that the user rated well.

        "Well" means at the mean of `values` or above. The entry is empty if the similarity is not
        above 0.
        """
        if not len(rated):
            return {"because": [None] * len(items)}
        liked = values >= values.mean()
        likeness = self._likeness(items, rated[liked])
        best = likeness.argmax(1)
        alike = likeness[np.arange(len(items)), best] > 0
        names = [self.titles[rated[liked][i] - 1] for i in best]
        because: dict[str, list[object]] = {
            "because": [n if yes else None for n, yes in zip(names, alike, strict=True)]
        }
        if not self.saved.implicit:
            given = values[liked][best]
            because["because_rating"] = list(np.where(alike, given, np.nan))
        return because

    def _likeness(self, some: Rows | Sequence[int], others: Rows) -> npt.NDArray[np.float64]:
        """(some, others): how like each of `some` items the `others` are, as `similar` has it."""
        rows = self._directions
        counts = self.counts[others - 1]
        return np.asarray(rows[np.asarray(some) - 1] @ rows[others - 1].T * counts / (counts + 10))

    @cached_property
    def _directions(self) -> npt.NDArray[np.float64]:
        """The factors, each item's of length 1."""
        rows = self.factors.astype(np.float64)
        return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30))


def load_recommender(
    folder: Path, *, users: Path | None = None, items: Path | None = None
) -> Recommender:
    """The recommender that `train` wrote to `folder`, which also knows the new `users` and `items`
    that two files of metadata describe, if given.

    Raises InputError if there is none, or it cannot use the metadata.
    """
    saved = load_collab(folder)
    tables: dict[Side, pd.DataFrame] = {}
    for side, file, column in zip(SIDES, (users, items), saved.columns, strict=True):
        if file is None:
            continue
        if side not in saved.cold:
            raise InputError(
                f"The model in {folder} has learned nothing about new {side}: train it on ratings "
                f"with metadata of {side} ({side} = ... in the study's [data])."
            )
        tables[side] = read_metadata(file.expanduser(), column)
    return Recommender(saved.with_new(**tables))
