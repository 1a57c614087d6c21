"""The [data] section of a table: each column in its place, with the reason why beside it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from hpsearch.data.toml_text import toml
from hpsearch.trainers.tabular.table.columns import Columns

KINDS = ("categorical", "continuous", "dates", "ignore")


def data_section(data: Mapping[str, Any], columns: Columns) -> str:
    """A [data] section that says of every column what `columns` found, so that a line can be
    moved from one list to another; where the rows come from and the split are `data`'s own."""
    lines = ["[data]"]
    for key in ("source", "path", "test", "database", "query"):
        if data.get(key) is not None:
            lines.append(f"{key} = {toml(data[key])}")
    lines.append(f"target = {toml(columns.target)} # {columns.reasons[columns.target]}")
    lines.append(f"task = {toml(columns.task)}")
    lines += column_lists(columns)
    if "split" in data:
        lines.append(f"split = {toml(data['split'])}")
    if not data.get("compress_tails", True):
        lines.append("compress_tails = false")
    return "\n".join(lines)


def column_lists(columns: Columns, without: Collection[str] = ()) -> list[str]:
    """The lines of a [data] section that say what each column is and why, but for some."""
    lists = (columns.categorical, columns.continuous, columns.dates, columns.ignored)
    lines = []
    for key, names in zip(KINDS, lists, strict=True):
        lines += _list(key, [n for n in names if n not in without], columns.reasons)
    return lines


def _list(key: str, names: Sequence[str], reasons: Mapping[str, str]) -> list[str]:
    if not names:
        return [f"{key} = []"]
    cells = [f"{toml(name)}," for name in names]
    width = min(30, max(map(len, cells)))
    rows = [f"  {cell:{width}} # {reasons[n]}" for cell, n in zip(cells, names, strict=True)]
    return [f"{key} = [", *rows, "]"]
