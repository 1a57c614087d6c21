"""Which rows are trained on and which are held out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from hpsearch.data.cells import HELD_OUT, coded, parse_dates
from hpsearch.errors import InputError

Rows = npt.NDArray[np.int64]
KINDS = (
    "share = 0.2 (at random; with stratify = COLUMN as common in both parts)",
    "column = NAME (held out where it is true)",
    "rows = [800, 1000]",
    "last = 2000",
    "time = COLUMN (the latest, share = 0.2)",
    "folds = 5, fold = 0",
)


def split_rows(table: pd.DataFrame, how: Mapping[str, Any], seed: int) -> tuple[Rows, Rows]:
    """(rows to train on, rows held out), both in the table's order.

    `how` is one of `KINDS`. Raises InputError if it is none of them, or leaves a part empty.
    """
    n = len(table)
    kind = next((k for k in ("column", "rows", "last", "time", "folds", "share") if k in how), None)
    allowed = {"time": {"share"}, "folds": {"fold"}, "share": {"stratify"}}.get(kind or "", set())
    if kind is None or set(how) - {kind} - allowed:
        raise InputError(f"split = {dict(how)} is not known: use one of {'; '.join(KINDS)}.")
    held_out = np.zeros(n, bool)
    if kind == "column":
        held_out = _truths(_column(table, how["column"]))
    elif kind == "rows":
        held_out[_range(how["rows"], n)] = True
    elif kind == "last":
        held_out[max(0, n - _count(how["last"], "last")) :] = True
    elif kind == "time":
        held_out = _latest(_column(table, how["time"]), _share(how.get("share", 0.2)))
    elif kind == "folds":
        held_out = _fold(n, how, seed)
    else:
        share = _share(how["share"])
        groups = _groups(table, how["stratify"]) if "stratify" in how else np.zeros(n, int)
        held_out = _at_random(groups, share, seed)
    train, valid = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    if not len(train) or not len(valid):
        raise InputError(
            f"split = {dict(how)} leaves {len(train):,} rows to train on and {len(valid):,} held "
            f"out of {n:,}: both need some."
        )
    return train, valid


def _column(table: pd.DataFrame, name: object) -> pd.Series:
    if name not in table.columns:
        raise InputError(f"The table has no column {name!r}, which split names.")
    return table[name]


def _truths(column: pd.Series) -> npt.NDArray[np.bool_]:
    texts = column.astype(str).str.strip().str.lower()
    known = texts.isin(HELD_OUT)
    if not known.all():
        raise InputError(
            f"The column {column.name!r} has {texts[~known].iloc[0]!r}: a split column says true "
            "(held out) or false, or valid or train."
        )
    return np.asarray(texts.map(HELD_OUT), bool)


def _range(rows: object, n: int) -> slice:
    good = isinstance(rows, list | tuple) and len(rows) == 2 and all(type(r) is int for r in rows)
    if not good or not 0 <= rows[0] < rows[1] <= n:  # type: ignore[index]
        raise InputError(f"split.rows is [first, end] within the table's {n:,} rows, not {rows!r}.")
    return slice(*rows)  # type: ignore[misc]


def _count(count: object, name: str) -> int:
    if type(count) is not int or count < 1:
        raise InputError(f"split.{name} is a whole number above 0, not {count!r}.")
    return count


def _share(share: object) -> float:
    if not isinstance(share, int | float) or not 0 < share < 1:
        raise InputError(f"split.share is between 0 and 1, not {share!r}.")
    return float(share)


def _latest(column: pd.Series, share: float) -> npt.NDArray[np.bool_]:
    """The latest rows; those of one moment stay together, at least `share` of them are held out."""
    moments = column if pd.api.types.is_numeric_dtype(column.dtype) else parse_dates(column)
    if moments.isna().any():
        raise InputError(
            f"The column {column.name!r} is empty in {int(moments.isna().sum()):,} rows: a split "
            "by time needs all of them."
        )
    ordered = np.sort(moments.to_numpy())
    border = ordered[len(ordered) - max(1, round(share * len(ordered)))]
    return np.asarray(moments.to_numpy() >= border)


def _fold(n: int, how: Mapping[str, Any], seed: int) -> npt.NDArray[np.bool_]:
    folds, fold = _count(how["folds"], "folds"), how.get("fold", 0)
    if folds < 2 or type(fold) is not int or not 0 <= fold < folds:
        raise InputError(f"split.fold is one of 0 to folds - 1, not {fold!r} of {folds}.")
    order = np.random.default_rng(seed).permutation(n)
    held_out = np.zeros(n, bool)
    held_out[np.array_split(order, folds)[fold]] = True
    return held_out


def _groups(table: pd.DataFrame, name: object) -> npt.NDArray[np.int64]:
    """(rows,) codes of the column's values. Raises InputError where no two rows share one."""
    groups = coded(_column(table, name))[0]
    if np.bincount(groups + 1).max() < 2:
        raise InputError(
            f"split stratifies by {name!r}, of which no two rows have the same: name a column with "
            "fewer values, or leave stratify out."
        )
    return groups


def _at_random(groups: npt.NDArray[Any], share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Draw the held-out rows: a mask (rows,). `groups` (rows,) are the codes of the rows' groups.

    The held-out part of each group, and of all rows, is `share`, less than one row off. But if
    there are several groups, at least one row of each group is trained on.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(groups))
    order = order[np.argsort(groups[order], kind="stable")]
    ends = np.flatnonzero(np.diff(groups[order], append=groups[order[-1]] + 1)) + 1
    sizes = np.diff(ends, prepend=0)
    # The running total is rounded, not each group: the errors of many small groups do not add up.
    counts = np.diff(np.round(share * ends).astype(int), prepend=0)
    if len(sizes) > 1:
        counts = np.minimum(counts, sizes - 1)
    held_out = np.zeros(len(groups), bool)
    for rows, count in zip(np.split(order, ends[:-1]), counts, strict=True):
        held_out[rows[:count]] = True
    return held_out
