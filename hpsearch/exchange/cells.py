"""Values as the cells of a table, and back, so that each stays what it is.

A number or a truth value is written as JSON writes it. A text stands as it is, unless it would be
read as something else ("5", "true", ""): then it stands in JSON's quotes. A cell without anything
has no value at all.

A file of trials is read as columns of such cells: CSV, Parquet, or JSON records. How texts of
other tools become numbers, data/cells.py says.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.core.words import row_numbers, short_reason
from hpsearch.data.cells import written_numbers
from hpsearch.data.own.csv_files import CSV, is_table, read_columns
from hpsearch.data.own.csv_header import read_header
from hpsearch.data.own.json_files import JSON
from hpsearch.data.own.typed_columns import check_names
from hpsearch.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa


OPENED = ("config", "summary", "summary_metrics", "hparams", "metrics")
"""Columns of dictionaries that hold a column each."""
Columns = dict[str, list[Any]]
"""The cells of each column: text of a CSV as values of their own kind where JSON knows it."""


def read_file(path: Path) -> Columns:
    """All columns of a .csv, .tsv, .parquet, .json or .jsonl file, each with a cell a row.

    JSON holds a list of records, one a line, or columns; objects inside a record become columns
    such as `config.lr`. Raises InputError where
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
        raise InputError(f"{path} cannot be read: {short_reason(error)}.") from error
    names = table.column_names
    if unnamed := [name for name in names if not name]:  # the row labels that pandas writes
        names = [name for name in names if name]
        table = table.drop_columns(unnamed)
    check_names(names, str(path))
    delimiter = read_header(path).delimiter if path.name.lower().endswith(CSV) else ","
    read = {name: _values_or_numbers(table[name], delimiter) for name in names}
    if delimiter == ";" and any(_has_decimal_commas(table[name].to_pylist()) for name in names):
        for name in names:
            texts = table[name].to_pylist()
            if all(text is None or _THOUSANDS.fullmatch(str(text)) for text in texts):
                whole = [NOTHING if one is None else int(one.replace(".", "")) for one in texts]
                read[name] = whole
    return _opened(read)


_THOUSANDS = re.compile(r"-?[1-9]\d{0,2}(\.\d{3})+", re.ASCII)
"""1.024 is a thousand and more where another column has decimal commas."""
_DECIMAL = re.compile(r"\s*-?\d+,\d+\s*", re.ASCII)


def _has_decimal_commas(cells: Sequence[Any]) -> bool:
    known = [one for one in cells if isinstance(one, str) and one.strip()]
    return bool(known) and all(map(_DECIMAL.fullmatch, known))


def _values_or_numbers(cells: pa.ChunkedArray, delimiter: str) -> list[Any]:
    """The values of a column; 0,5 and 1.234,56 and 50% are numbers in a column of such."""
    found = values(cells)
    if not any(isinstance(one, str) for one in found):
        return found
    numbers = written_numbers(cells.to_pylist(), delimiter)
    if numbers is None:
        return found
    # "None" stays what it is: a value that a parameter may have.
    pairs = zip(found, numbers, strict=True)
    return [cell if math.isnan(number) else number for cell, number in pairs]


def mapping_in(cell: Any) -> dict[str, Any] | None:  # noqa: ANN401
    """The dictionary that a cell holds, or the text of it as JSON or Python writes it."""
    if not isinstance(cell, str) or not cell.startswith("{"):
        return cell if isinstance(cell, dict) else None
    cell = re.sub(r"\bnp\.\w+\(([^()]*)\)", r"\1", cell)  # numpy's numbers print so
    bare = re.sub(r"(?<=[:,\[(] )(nan|-?inf)(?=[,}\])])", "None", cell)
    try:
        found = ast.literal_eval(bare)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    return found if isinstance(found, dict) and all(isinstance(k, str) for k in found) else None


def _opened(columns: Columns) -> Columns:
    """The columns, with those of dictionaries (a guide of W&B writes such) as `config.lr`."""
    opened: Columns = {}
    for name, cells in columns.items():
        found = [mapping_in(cell) for cell in cells]
        if (
            name in OPENED
            and any(found)
            and all(
                one is not None or cell is NOTHING for one, cell in zip(found, cells, strict=True)
            )
        ):
            records = [dict(_flat(one or {}, f"{name}.")) for one in found]
            for key in dict.fromkeys(key for one in records for key in one):
                opened[key] = [one.get(key, NOTHING) for one in records]
        else:
            opened[name] = cells
    return opened


def _read_json(path: Path) -> Columns:
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: save the file as UTF-8.") from error
    try:
        content = _records(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not well-formed JSON ({error}).") from error
    if not content:
        raise InputError(f"{path} holds no records: give a file with one for each trial.")
    if bad := [row for row, one in enumerate(content) if not isinstance(one, Mapping)]:
        raise InputError(f"{path} has no object in {row_numbers(bad)}: give one for each trial.")
    records = [dict(_flat(one)) for one in content]
    names = dict.fromkeys(name for one in records for name in one)
    return {name: [one.get(name, NOTHING) for one in records] for name in names}


def _records(text: str) -> list[Any]:
    """A list of records, one a line, the only list of an object, or an object of columns."""
    try:
        content = json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    if not isinstance(content, dict):
        return content if isinstance(content, list) else [content]
    lists = [one for one in content.values() if isinstance(one, list)]
    if len(lists) == 1 and lists[0] and all(isinstance(one, dict) for one in lists[0]):
        return lists[0]
    if len(content) > 1 and all(map(_is_labelled, content.values())):
        columns = {name: list(cells.values()) for name, cells in content.items()}
    else:
        columns = {name: cells for name, cells in content.items() if isinstance(cells, list)}
    rows = {len(cells) for cells in columns.values()}
    if len(columns) > 1 and len(columns) == len(content) and len(rows) == 1 and rows != {0}:
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return [content]


def _is_labelled(cells: object) -> bool:
    """Whether it is a column as pandas writes it: {"0": 0.1, "1": 0.2}."""
    return isinstance(cells, dict) and list(cells) == [str(row) for row in range(len(cells))]


def _flat(record: Mapping[str, Any], start: str = "") -> list[tuple[str, Any]]:
    """The record's values with dotted names; a list is a text of its own."""
    found: list[tuple[str, Any]] = []
    for key, value in record.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{start}{key}.")
        else:
            found.append((start + str(key), to_text(value) if isinstance(value, list) else value))
    return found


NOTHING = object()
"""Stands for a value that there is not (None is one: a categorical parameter may take it)."""


def to_text(value: Any) -> str | None:  # noqa: ANN401 (an attribute may be anything)
    """The cell of a value; None for NOTHING."""
    if value is NOTHING:
        return None
    if type(value) is float and math.isfinite(value):
        return repr(value)  # what json.dumps makes of it, in a third of the time
    if not isinstance(value, str):
        return json.dumps(value)
    plain = value == value.strip() and value != "" and from_text(value) == value
    return value if plain and isinstance(from_text(value), str) else json.dumps(value)


def from_text(text: str | None) -> Any:  # noqa: ANN401
    """The value of a cell; NOTHING for an empty one."""
    if text is None or text == "":
        return NOTHING
    if text[0] not in '"-0123456789tfnNI[{':  # no JSON begins so: most words end here
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def column(values: Sequence[Any]) -> pa.Array:
    """A column of `values`, of their own type where all have one that a table knows, else of the
    texts of their cells."""
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not NOTHING}
    if len(kinds) == 1 and (kind := kinds.pop()) in (bool, int, float):
        plain = [None if value is NOTHING else value for value in values]
        arrow = {bool: pa.bool_(), int: pa.int64(), float: pa.float64()}[kind]
        try:
            return pa.array(plain, arrow)
        except (pa.ArrowInvalid, OverflowError):  # integers of more than 64 bits
            pass
    return pa.array([to_text(value) for value in values], pa.large_string())


def values(cells: pa.ChunkedArray) -> list[Any]:
    """The values of a column that `column` made, from Parquet or as the texts of a CSV file."""
    import pyarrow as pa

    kind = cells.type
    plain = cells.to_pylist()
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        known: dict[str | None, Any] = {}
        for text in set(plain):
            known[text] = from_text(text)
        return [known[text] for text in plain]
    return [NOTHING if value is None else value for value in plain]
