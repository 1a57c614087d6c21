"""What `hpsearch new`, and a study without a metric, ask about a table: what would be learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hpsearch.core.console import silent
from hpsearch.data.tables import load_table
from hpsearch.trainers.contract import TableLook
from hpsearch.trainers.tabular.table.columns import (
    NamedColumns,
    Task,
    infer_columns,
    read_target,
)
from hpsearch.trainers.tabular.table.data_section import column_lists
from hpsearch.trainers.tabular.table.preprocess import coded_missing

if TYPE_CHECKING:
    import pandas as pd


def task_of(data: Mapping[str, Any]) -> Task:
    """Whether the target of a [data] section is of classes or of numbers. Reads the table."""
    table = load_table(data, path=None, progress=silent).table
    return read_target(table[str(data.get("target", "target"))], None)[0]


def look_at(
    table: pd.DataFrame, target: str, ignore: Sequence[str], task: Task | None
) -> TableLook:
    """What each column is taken as. Raises InputError if the target cannot be learnt."""
    columns = infer_columns(table, target, NamedColumns(ignore=ignore), task=task)
    counts = {
        "categorical": len(columns.categorical),
        "continuous": len(columns.continuous),
        "date": len(columns.dates),
        "ignored": len([name for name in columns.ignored if name not in ignore]),
    }
    return TableLook(
        columns.task,
        columns.reasons[target],
        column_lists(columns, without=ignore),
        {kind: n for kind, n in counts.items() if n},
        int(coded_missing(table[target]).sum()),
    )
