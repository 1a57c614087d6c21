"""The [data] of a study as TOML, with each column in its place and the reason why beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hpsearch.tabular.columns import Columns

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
    lists = (columns.categorical, columns.continuous, columns.dates, columns.ignored)
    for key, names in zip(KINDS, lists, strict=True):
        lines += _list(key, names, columns.reasons)
    if "split" in data:
        lines.append(f"split = {toml(data['split'])}")
    if not data.get("compress_tails", True):
        lines.append("compress_tails = false")
    return "\n".join(lines)


def toml(value: Any) -> str:  # noqa: ANN401
    """A text, a number, a list or an inline table as TOML writes it."""
    if isinstance(value, Mapping):
        inside = ", ".join(f"{toml_key(key)} = {toml(one)}" for key, one in value.items())
        return f"{{ {inside} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    # What JSON writes of texts and numbers is TOML, but for the one sign that only TOML forbids.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_key(key: str) -> str:
    plain = key.isascii() and key.replace("-", "").replace("_", "").isalnum()
    return key if plain else toml(key)


def _list(key: str, names: Sequence[str], reasons: Mapping[str, str]) -> list[str]:
    if not names:
        return [f"{key} = []"]
    cells = [f"{toml(name)}," for name in names]
    width = min(30, max(map(len, cells)))
    rows = [f"  {cell:{width}} # {reasons[n]}" for cell, n in zip(cells, names, strict=True)]
    return [f"{key} = [", *rows, "]"]
