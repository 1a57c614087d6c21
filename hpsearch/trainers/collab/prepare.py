"""Ratings as numbers: what all trials of a collaborative-filtering study share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from hpsearch.errors import InputError
from hpsearch.trainers.collab.config import CollabConfig, parse_y_range
from hpsearch.trainers.collab.split_ratings import Rows, split_rows
from hpsearch.trainers.contract import PrepareSetup
from hpsearch.trainers.shared.config_fields import parse_config
from hpsearch.trainers.shared.y_range import check_reach

if TYPE_CHECKING:
    import pandas as pd

    from hpsearch.data.ratings import RatingsDataset

Values = npt.NDArray[np.float32]
Side = Literal["users", "items"]
SIDES: tuple[Side, Side] = ("users", "items")


@dataclass(frozen=True)
class Pairs:
    """Who rated what: user and item numbers and ratings (all 1 for implicit feedback)."""

    users: Rows
    items: Rows
    values: Values

    def __len__(self) -> int:
        return len(self.users)


@dataclass(frozen=True)
class Ids:
    """The users or the items of the training ratings, and after them in a trained model those that
    only metadata describes; number 0 stands for all others.

    `names[i - 1]` is the id of number i.
    """

    names: tuple[str, ...]

    def __len__(self) -> int:
        """How many numbers there are, 0 included."""
        return len(self.names) + 1

    def numbers(self, ids: Sequence[str] | npt.NDArray[Any] | pd.Series) -> Rows:
        """The number of each id, 0 where it is unknown."""
        import pandas as pd

        found = pd.Index(self.names, dtype=object).get_indexer(pd.Index(ids, dtype=object))
        numbers: Rows = (found + 1).astype(np.int64)
        return numbers


@dataclass(frozen=True)
class PreparedRatings:
    """The ratings of a study, split and numbered, with metadata of users and items, if any.

    `columns` are those of users and of items in a file like the one the ratings are from.
    `valid_names` are the ids of the held-out users and items, which training may lack.
    """

    user_ids: Ids
    item_ids: Ids
    train: Pairs
    valid: Pairs
    valid_names: tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]]
    implicit: bool
    users: pd.DataFrame | None
    items: pd.DataFrame | None
    source: str
    note: str | None
    fingerprint: str
    columns: tuple[str, str] = ("user", "item")
    precision: str = "float32"
    stages: tuple[str, ...] = ()

    @property
    def facts(self) -> dict[str, float]:
        users, items = len(self.user_ids.names), len(self.item_ids.names)
        return {"training_rows": len(self.train), "users": users, "items": items}

    @property
    def ids(self) -> dict[Side, Ids]:
        return {"users": self.user_ids, "items": self.item_ids}

    @property
    def tables(self) -> dict[Side, pd.DataFrame | None]:
        """What is known of users and of items."""
        return {"users": self.users, "items": self.items}

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("recall", "ndcg", "map") if self.implicit else ("mse", "rmse", "mae", "r2")

    def check(self, settings: Mapping[str, Any]) -> None:
        self.check_range(parse_config(CollabConfig, settings))

    def check_range(self, config: CollabConfig) -> None:
        """Raises InputError where ratings lie outside what the model can predict."""
        if not self.implicit and config.y_range != "auto":
            y_range = parse_y_range(config.y_range)
            check_reach("The ratings go", self.train.values, y_range, "{:g}/{:g}")

    def with_ids(self, user_ids: Ids, item_ids: Ids) -> PreparedRatings:
        """The same where more ids are known, which come after those of the training ratings."""
        users, items = self.valid_names
        valid = Pairs(user_ids.numbers(users), item_ids.numbers(items), self.valid.values)
        return replace(self, user_ids=user_ids, item_ids=item_ids, valid=valid)

    @property
    def summary(self) -> str:
        """Sizes, and what is special about the data."""
        what = "choices" if self.implicit else "ratings"
        text = (
            f"{len(self.train):,} training and {len(self.valid):,} held-out {what} of "
            f"{len(self.user_ids) - 1:,} users and {len(self.item_ids) - 1:,} items"
        )
        unknown = int(((self.valid.users == 0) | (self.valid.items == 0)).sum())
        if unknown:
            text += f"; {unknown:,} held-out ones are of users or items that training lacks"
        return f"{text}; {self.note}" if self.note else text


def prepare(
    data: Mapping[str, Any],
    settings: Mapping[str, Any],
    setup: PrepareSetup,
) -> PreparedRatings:
    """Find the ratings, split and number them. Raises InputError if there are too few."""
    from hpsearch.data.own.rating_files import OwnColumns
    from hpsearch.data.ratings import load_ratings

    config = parse_config(CollabConfig, settings)
    dataset = load_ratings(data, path=setup.data_path, progress=setup.progress, say=setup.say)
    columns = OwnColumns.of(data)
    return replace(number_ratings(dataset, config), columns=(columns.user, columns.item))


def number_ratings(dataset: RatingsDataset, config: CollabConfig) -> PreparedRatings:
    """Split `dataset` and number the users and items of its training part in the ids' order."""
    train, valid = split_rows(dataset, config)
    if not len(train) or not len(valid):
        raise InputError(
            f"The split of {dataset.source} leaves {len(train):,} training and {len(valid):,} "
            "held-out ratings; both need at least one."
        )
    users = dataset.ratings["user"].to_numpy(dtype=object)
    items = dataset.ratings["item"].to_numpy(dtype=object)
    user_ids = Ids(tuple(sorted(set(users[train]))))
    item_ids = Ids(tuple(sorted(set(items[train]))))
    implicit = "rating" not in dataset.ratings
    values = np.ones(len(users), dtype=np.float32)
    if not implicit:
        values = dataset.ratings["rating"].to_numpy(dtype=np.float32)

    def pairs(rows: Rows) -> Pairs:
        numbers = user_ids.numbers(users[rows]), item_ids.numbers(items[rows])
        return Pairs(*numbers, values[rows])

    return PreparedRatings(
        user_ids=user_ids,
        item_ids=item_ids,
        train=pairs(train),
        valid=pairs(valid),
        valid_names=(users[valid], items[valid]),
        implicit=implicit,
        users=dataset.users,
        items=dataset.items,
        source=dataset.source,
        note=dataset.note,
        fingerprint=_fingerprint(dataset.fingerprint, config),
    )


def _fingerprint(content: str, config: CollabConfig) -> str:
    shared = {name: asdict(config)[name] for name in CollabConfig.SHARED}
    return hashlib.sha256(f"{content} {json.dumps(shared)}".encode()).hexdigest()


def titles_of(items: pd.DataFrame | None, ids: Iterable[str]) -> list[str]:
    """The title of each id, or the id itself where none is known."""
    names = list(ids)
    if items is None or "title" not in items:
        return names
    titles = items["title"].reindex(names)
    return [n if t is None or t != t else str(t) for n, t in zip(names, titles, strict=True)]
