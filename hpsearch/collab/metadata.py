"""What is known of users and of items, as codes and numbers for a tabular network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from hpsearch.errors import InputError
from hpsearch.tabular.columns import infer_columns
from hpsearch.tabular.preprocess import Encoded, Preprocessor

SEPARATOR = "|"
"""Between the parts of a cell with several, such as Comedy|Romance."""
MOST_PARTS = 100
FEWEST = 10
"""Fewer users or items teach nothing about others."""
_ROW = "the number of the row"


@dataclass(frozen=True)
class Metadata:
    """How a table of metadata is read. `parts` are those that a column's cells may have several of;
    each of them becomes a column of its own, yes or no."""

    parts: Mapping[str, tuple[str, ...]]
    preprocessor: Preprocessor

    @staticmethod
    def learn(table: pd.DataFrame) -> Metadata | None:
        """From the users or items of the training ratings; None if there is nothing to learn."""
        if len(table) < FEWEST:
            return None
        parts = {name: _parts(table[name]) for name in table if _has_parts(table[name])}
        split = _split(table, parts)
        split = split[[name for name in split if _is_of_use(split[name])]]
        if not len(split.columns):
            return None
        numbered = split.assign(**{_ROW: np.arange(len(split))})  # a target, for the looks of it
        columns = infer_columns(numbered, _ROW, task="regression")
        return Metadata(parts, Preprocessor.fit(split, columns))

    def encode(self, table: pd.DataFrame) -> Encoded:
        """Rows of any table with the columns learned from. Raises InputError if one is missing."""
        return self.preprocessor.transform(_split(table, self.parts))

    def to_json(self) -> dict[str, Any]:
        parts = [[name, list(names)] for name, names in self.parts.items()]
        return {"parts": parts, "preprocessor": self.preprocessor.to_json()}

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> Metadata:
        return Metadata(
            {name: tuple(names) for name, names in content["parts"]},
            Preprocessor.from_json(content["preprocessor"]),
        )


def _has_parts(column: pd.Series) -> bool:
    if types.is_numeric_dtype(column.dtype) or not types.is_string_dtype(column.dropna()):
        return False
    return bool(column.str.contains(SEPARATOR, regex=False, na=False).any())


def _parts(column: pd.Series) -> tuple[str, ...]:
    """The most common ones."""
    counts = column.dropna().str.split(SEPARATOR).explode().value_counts()
    return tuple(str(part) for part in counts.index if part)[:MOST_PARTS]


def _split(table: pd.DataFrame, parts: Mapping[str, tuple[str, ...]]) -> pd.DataFrame:
    """The table with columns for the parts in the place of those that had them."""
    made = {}
    for name in parts:
        if name not in table:
            raise InputError(f"The table has no column {name!r}, which the model was trained on.")
        cells = SEPARATOR + table[name].astype("str").fillna("") + SEPARATOR
        for part in parts[name]:
            bounded = f"{SEPARATOR}{part}{SEPARATOR}"
            made[f"{name}: {part}"] = cells.str.contains(bounded, regex=False)
    return table.drop(columns=list(parts)).assign(**made)


def _is_of_use(column: pd.Series) -> bool:
    """Not a constant, and not a name (of which fewer than one in three occurs twice)."""
    n = column.nunique(dropna=False)
    measured = types.is_numeric_dtype(column.dtype) or types.is_datetime64_any_dtype(column.dtype)
    return bool(n > 1 and (measured or n <= len(column) / 3))
