"""A file of trials as columns of cells: CSV, Parquet, or JSON records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpsearch.data.fetch import why
from hpsearch.data.tables import is_table, read_columns
from hpsearch.data.typed import check_names
from hpsearch.data.words import row_numbers
from hpsearch.errors import InputError
from hpsearch.exchange.cells import NOTHING, to_text, values

JSON = (".json", ".jsonl", ".ndjson")
Columns = dict[str, list[Any]]
"""The cells of each column: text of a CSV as values of their own kind where JSON knows it."""


def read_file(path: Path) -> Columns:
    """All columns of a .csv, .tsv, .parquet, .json or .jsonl file, each with a cell a row.

    In JSON, objects inside a record become columns such as `config.lr`. Raises InputError where
    the file cannot be read.
    """
    path = path.expanduser()
    lines = path.suffix.lower() in JSON
    if not lines and not is_table(path):
        kind = "is of no known kind" if path.exists() else "does not exist"
        raise InputError(f"{path} {kind}: give a .csv, .tsv, .parquet, .json or .jsonl file.")
    try:
        if lines:
            return _read_json(path)
        table = read_columns(path, (), "", others=True)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: give a CSV, Parquet or JSON file.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {why(error)}.") from error
    names = table.column_names
    if unnamed := [name for name in names if not name]:  # the row labels that pandas writes
        names = [name for name in names if name]
        table = table.drop_columns(unnamed)
    check_names(names, str(path))
    return {name: values(table[name]) for name in names}


def _read_json(path: Path) -> Columns:
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: save the file as UTF-8.") from error
    try:
        content = json.loads(text) if text.lstrip()[:1] == "[" else _lines(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not well-formed JSON ({error}).") from error
    if not content:
        raise InputError(f"{path} holds no records: give a file with one for each trial.")
    if bad := [row for row, one in enumerate(content) if not isinstance(one, Mapping)]:
        raise InputError(f"{path} has no object in {row_numbers(bad)}: give one for each trial.")
    records = [dict(_flat(one)) for one in content]
    names = dict.fromkeys(name for one in records for name in one)
    return {name: [one.get(name, NOTHING) for one in records] for name in names}


def _lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _flat(record: Mapping[str, Any], start: str = "") -> list[tuple[str, Any]]:
    """The record's values with dotted names; a list is a text of its own."""
    found: list[tuple[str, Any]] = []
    for key, value in record.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{start}{key}.")
        elif value is not None:
            found.append((start + str(key), to_text(value) if isinstance(value, list) else value))
    return found
