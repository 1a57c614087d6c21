"""What a trained recommender reads: pairs to predict, and the few ratings of a new user."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.data.own_ratings import read_ids, read_strings

if TYPE_CHECKING:
    import pandas as pd

PAIRS_HINT = "name the columns of users and items as in the ratings that the model learned from."


def read_pairs(file: Path, columns: Sequence[str]) -> tuple[pd.DataFrame, list[str], list[str]]:
    """(all columns, users, items) of a CSV or Parquet file, row by row; `columns` are the names of
    the two. An id is "" where there is none.

    Raises InputError if the file cannot be read or lacks one of them.
    """
    path = file.expanduser()
    raw = read_strings(path, columns, PAIRS_HINT, others=True)
    users, items = (read_ids(path, raw, name).tolist() for name in columns)
    return raw.to_pandas(), users, items
