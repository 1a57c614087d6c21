"""What a trained recommender reads: pairs to predict, and the few ratings of a new user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.data.own_ratings import read_ids, read_numbers, read_strings
from hpsearch.data.words import quoted
from hpsearch.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

TITLE = "title"
RATING = "rating"
PAIRS_HINT = "name the columns of users and items as in the ratings that the model learned from."


def read_pairs(
    file: Path, columns: Sequence[str], *, titled: bool = False
) -> tuple[pd.DataFrame, list[str], list[str]]:
    """(all columns, users, items) of a CSV or Parquet file, row by row; `columns` are the names of
    the two, and where items are `titled` a column "title" may stand for that of the items. An id is
    "" where there is none.

    Raises InputError if the file cannot be read or lacks one of them.
    """
    path = file.expanduser()
    user, item = columns
    if titled:
        names = read_strings(path, [user], PAIRS_HINT, others=True).column_names
        item = TITLE if item not in names and TITLE in names else item
    raw = read_strings(path, [user, item], PAIRS_HINT, others=True)
    users, items = (read_ids(path, raw, name).tolist() for name in (user, item))
    return raw.to_pandas(), users, items


@dataclass(frozen=True)
class Answers:
    """What a new user said of which items, row by row as far as there is both.

    `items` are ids or titles, only titles where `by_id` is false; `values` (rows,) ratings, or all
    1. `gaps` counts the rows without an item or a rating.
    """

    items: list[str]
    values: np.ndarray[Any, Any]
    by_id: bool
    gaps: int


def read_answers(file: Path, item: str, *, rated: bool) -> Answers:
    """A CSV or Parquet file with a column `item`, "item" or "title", and if the items are `rated` a
    column "rating" (or any other one, if there are just two).

    Raises InputError if the file cannot be read or lacks one of them.
    """
    import numpy as np

    path = file.expanduser()
    raw = read_strings(path, [], "", others=True)
    names = raw.column_names
    whose = next((name for name in (item, "item", TITLE) if name in names), None)
    others = [name for name in names if name != whose]
    rating = RATING if RATING in names or len(others) != 1 else others[0]
    if whose is None or (rated and rating not in names):
        wanted = f"{item!r} or {TITLE!r}" + (f", and of {RATING!r}" if rated else "")
        raise InputError(
            f"{path} has the columns {quoted(names)}: give it a header with one of {wanted}."
        )
    items = read_ids(path, raw, whose)
    values = np.ones(len(items))
    if rated:
        values = read_numbers(path, raw, rating, "correct it or leave it empty")
    whole = (items != "").to_numpy() & ~np.isnan(values)
    return Answers(items[whole].tolist(), values[whole], whose != TITLE, int((~whole).sum()))
