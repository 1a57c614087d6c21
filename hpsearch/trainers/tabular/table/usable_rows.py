"""The rows of a table that can be used: all of them, or those that `on_error = "skip"` leaves."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types

from hpsearch.data.cells import form_of, too_large
from hpsearch.data.read_cells import Kind, read_cells
from hpsearch.data.tables import TableDataset
from hpsearch.trainers.tabular.config import TabularData
from hpsearch.trainers.tabular.table.columns import NEARLY
from hpsearch.trainers.tabular.table.preprocess import coded_missing

Mask = npt.NDArray[np.bool_]


def usable_rows(dataset: TableDataset, given: TabularData) -> pd.DataFrame:
    """The dataset's table; if it may leave out rows, without those that have no target, a cell that
    cannot be read, or a class that no other row has. `dataset.bad` counts and names them."""
    table, bad = dataset.table, dataset.bad
    if not bad.skip or given.target not in table.columns:
        return table
    drop = np.zeros(len(table), bool)

    def leave_out(reason: str, wrong: Mask) -> None:
        nonlocal drop
        bad.add(reason, np.flatnonzero(wrong & ~drop).tolist())
        drop = drop | wrong

    texts = {*(given.categorical or ()), *given.ignore}
    if given.task == "classification":
        texts.add(given.target)
    columns = {}
    for name in map(str, table.columns):
        found = None if name in texts else _nearly(table[name], _wanted(name, given))
        if found is not None:
            read, kind, wrong = found
            leave_out(f"no {kind} in {name!r}", wrong)
            columns[name] = read
    table = table.assign(**columns)
    target = table[given.target]
    if types.is_numeric_dtype(target.dtype):
        leave_out(f"a {given.target!r} too large", too_large(target))
    leave_out(f"no {given.target!r}", coded_missing(target))
    if given.task == "classification" or not types.is_numeric_dtype(target.dtype):
        counts = target[~drop].astype(str).str.strip().value_counts()
        once = target.astype(str).str.strip().isin(counts.index[counts == 1]).to_numpy(bool)
        leave_out(f"a {given.target!r} that occurs once", once)
    return table[~drop].reset_index(drop=True) if drop.any() else table


def _wanted(name: str, given: TabularData) -> Kind | None:
    """What the study says that the column is, if that is something to be read."""
    if name in (given.continuous or ()) or (name == given.target and given.task == "regression"):
        return "number"
    return "date" if name in given.dates else None


def _nearly(column: pd.Series, wanted: Kind | None) -> tuple[pd.Series, Kind, Mask] | None:
    """The column read as what is `wanted`, or as what 95 of 100 cells are, what that is, and the
    cells that are not; None for other texts."""
    if types.is_numeric_dtype(column.dtype) or types.is_datetime64_any_dtype(column.dtype):
        return None
    if form_of(column) is not None:
        return None
    # A number such as 2026 is a date of ISO 8601, too: numbers first.
    kinds: tuple[Kind, ...] = ("number", "date")
    for kind in kinds:
        read, wrong = read_cells(column, kind)
        good = int(read.notna().sum())
        share = good / max(1, good + int(wrong.sum()))
        if wanted == kind or (wanted is None and NEARLY <= share < 1):
            return read, kind, wrong
    return None
