"""Somebody's own file of JSON: a list of objects, or one object a line; each is a row."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

JSON = (".json", ".jsonl", ".ndjson")


def read_json(path: Path, *, strings: Collection[str] = ()) -> pa.Table:
    """The rows of the file, a column for each key of any of them; an object that lacks it has an
    empty cell there. Columns among `strings` are text, whatever they hold.

    Raises InputError for a file that is not UTF-8, no JSON or no objects, OSError for one that
    cannot be opened.
    """
    import pyarrow as pa

    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start:,}).") from error
    rows = _whole(path, text) if text.lstrip().startswith("[") else _lines(path, text)
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(row))
    columns = {name: [row.get(name) for row in rows] for name in names}
    for name in names.keys() & set(strings):
        columns[name] = [None if one is None else str(one) for one in columns[name]]
    return pa.table({name: array_of(cells) for name, cells in columns.items()})


def _whole(path: Path, text: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON ({error}): write it again.") from error
    for number, row in enumerate(found, 1):
        _check(path, row, f"entry {number:,}")
    return list(found)


def _lines(path: Path, text: str) -> list[dict[str, Any]]:
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{path}, line {number:,} is no JSON: give a list of objects, or one object a line."
            ) from error
        _check(path, row, f"line {number:,}")
        found.append(row)
    return found


def _check(path: Path, row: object, where: str) -> None:
    if not isinstance(row, dict):
        raise InputError(f'{path}, {where} is no object: write rows as {{"text": ..., ...}}.')


def array_of(values: Sequence[Any]) -> pa.Array:
    """Python values of one column as Arrow: decimals as float64, mixtures as text."""
    import pyarrow as pa

    try:
        array = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        try:
            array = pa.array(values, pa.float64())
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            array = pa.array([None if v is None else str(v) for v in values], pa.large_string())
    if pa.types.is_decimal(array.type):
        return array.cast(pa.float64())
    if pa.types.is_string(array.type):
        return array.cast(pa.large_string()).dictionary_encode()
    return array
