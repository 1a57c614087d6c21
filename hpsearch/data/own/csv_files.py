"""Reads the user's own CSV or Parquet file, and says in one sentence what is wrong with it.

A quote that is never closed is found first: Arrow would take all that follows for one cell.
"""

from __future__ import annotations

import csv
import gzip
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from hpsearch.core.words import closest, how_many, quoted, short_reason
from hpsearch.data.own.bad_rows import BadRows
from hpsearch.data.own.csv_header import LONGEST_ROW, read_header
from hpsearch.data.own.json_files import JSON, read_json
from hpsearch.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa


CHUNK = 16 << 20  # bytes
QUOTE = ord('"')


def check_quotes(path: Path, delimiter: str) -> None:
    """Raises InputError where a quoted cell of the file is not closed, naming its row.

    The check is quick if all quotes stand around cells or are doubled inside them. A file with
    other quotes, such as 5" in a cell without quotes, is read cell by cell.
    """
    if not _quotes_pair(path, delimiter):
        _read_strictly(path, delimiter)


def _open(path: Path) -> IO[bytes]:
    is_gzip = path.name.lower().endswith(".gz")
    return gzip.open(path, "rb") if is_gzip else path.open("rb")  # type: ignore[return-value]


def _quotes_pair(path: Path, delimiter: str) -> bool:
    """Whether the quotes come in pairs: the first of a pair opens a cell, the second closes it.

    Of a doubled quote inside a cell, the first counts as closing and the second as opening.
    """
    import numpy as np

    around = np.zeros(256, bool)
    around[[QUOTE, ord("\n"), ord("\r"), ord(delimiter)]] = True
    count = 0
    for data in _overlapping(path):
        places = np.flatnonzero(data[1:-1] == QUOTE) + 1
        opens = (np.arange(count, count + len(places)) % 2) == 0
        neighbours = np.where(opens, data[places - 1], data[places + 1])
        if not around[neighbours].all():
            return False
        count += len(places)
    return count % 2 == 0


def _overlapping(path: Path) -> Iterator[npt.NDArray[np.uint8]]:
    """The file's bytes in overlapping pieces, with a line end added at the start and at the end.

    Each byte of the file is inside exactly one piece: there it is neither the first nor the last.
    """
    import numpy as np

    seen = b"\n"
    with _open(path) as file:
        while chunk := file.read(CHUNK):
            data = seen + chunk
            yield np.frombuffer(data, np.uint8)
            seen = data[-2:]
    yield np.frombuffer(seen + b"\n", np.uint8)


def _read_strictly(path: Path, delimiter: str) -> None:
    csv.field_size_limit(sys.maxsize)
    with _open(path) as file:
        lines = (line.decode("utf-8", "surrogateescape") for line in file)
        row = 0  # the header
        while True:
            reader: Any = csv.reader(lines, delimiter=delimiter, strict=True)
            before = 0
            try:
                for _ in reader:
                    row, before = row + 1, reader.line_num
                return
            except csv.Error as error:
                # A cell of several lines with text behind its quote began with one too many.
                torn = "expected after" in str(error) and reader.line_num > before + 1
                if torn or "unexpected end" in str(error):
                    where = f"row {row:,}" if row else "the header"
                    raise InputError(
                        f"{path}: a quote that opens in {where} is not closed, so that"
                        " the rows after it become part of one cell: close it, or double quotes"
                        " that belong to a text."
                    ) from None
                row += 1


CSV = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
PARQUET = (".parquet", ".pq")
STOP = BadRows(skip=False)


def is_table(path: Path) -> bool:
    """Whether the name is that of a CSV, Parquet or JSON file."""
    return path.name.lower().endswith(CSV + PARQUET + JSON)


def read_columns(
    path: Path,
    columns: Sequence[str],
    hint: str,
    *,
    others: bool = False,
    bad: BadRows = STOP,
) -> pa.Table:
    """The `columns` of a CSV, Parquet or JSON file, and its `others` if asked; those of a CSV as
    strings.

    Raises InputError if one is missing (`hint` says what to do) or the file cannot be read.
    """
    if path.stat().st_size == 0:
        wanted = f"the columns {quoted(columns)}" if columns else "a header and rows"
        raise InputError(f"{path} is empty: give a file with {wanted}.")
    is_csv = path.name.lower().endswith(CSV)
    if is_csv:
        raw = _read_csv(path, columns, hint, others, bad)
    elif path.name.lower().endswith(JSON):
        raw = read_json(path)
        check_columns(path, raw.column_names, columns, hint)
    else:
        raw = _read_parquet(path, columns, hint, others)
    if len(raw) == 0:
        raise InputError(f"{path} has a header but no rows: give a file with rows.")
    return raw


def _read_csv(
    path: Path, columns: Sequence[str], hint: str, others: bool, bad: BadRows
) -> pa.Table:
    """All as strings, so that nothing is guessed from what they look like."""
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    header, delimiter, skipped = read_header(path)
    check_columns(path, header, columns, hint)
    check_quotes(path, delimiter)
    wanted = list(dict.fromkeys(header if others else columns))
    try:
        return pa_csv.read_csv(
            path,
            # One thread: only then does an error say in which row it is.
            read_options=pa_csv.ReadOptions(
                use_threads=False, block_size=LONGEST_ROW, skip_rows=skipped
            ),
            parse_options=pa_csv.ParseOptions(
                newlines_in_values=True,
                delimiter=delimiter,
                invalid_row_handler=bad.torn if bad.skip else None,
            ),
            convert_options=pa_csv.ConvertOptions(
                include_columns=[] if others else wanted,  # none named: all
                column_types=dict.fromkeys(wanted, pa.large_string()),
                null_values=[],
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise InputError(csv_problem(path, str(error), header)) from error


def csv_problem(path: Path, message: str, header: Sequence[str]) -> str:
    """What Arrow found wrong with a CSV file, as one sentence."""
    row = re.search(r"Row #(\d+)", message)  # counts the header as row 1
    where = f"row {int(row[1]) - 1}" if row else "some row"
    if "UTF8" in message:
        column = re.search(r"column #(\d+)", message)
        name = f" column {header[int(column[1])]!r}," if column else ""
        return f"{path},{name} {where} is not UTF-8 text: save the file as UTF-8."
    if shape := re.search(r"Expected (\d+) columns, got (\d+)", message):
        return (
            f"{path}, {where} has {how_many(int(shape[2]), 'column')} where the header has"
            f" {shape[1]}: put texts that hold commas, quotes or line ends in double quotes."
        )
    return f"{path} is not a well-formed CSV file ({where}): look for a quote that is not closed."


def _read_parquet(path: Path, columns: Sequence[str], hint: str, others: bool) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        check_columns(path, pq.read_schema(path).names, columns, hint)
        wanted = None if others else list(dict.fromkeys(columns))
        return pq.read_table(path, columns=wanted, partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path} cannot be read as Parquet ({short_reason(error)}): write it again."
        ) from error


def check_columns(
    path: Path | str, found: Sequence[str], columns: Sequence[str], hint: str
) -> None:
    for name in columns:
        if found.count(name) > 1:
            raise InputError(
                f"{path} has {found.count(name)} columns {name!r}: rename all but one."
            )
        if name not in found:
            lower = {other.lower(): other for other in found}
            near = closest(name.lower(), lower, cutoff=0.6)
            guess = f" (did you mean {lower[near]!r}?)" if near is not None else ""
            raise InputError(
                f"{path} has no column {name!r}{guess}; its columns are {quoted(found)}: {hint}"
            )


def strings(path: Path | str, table: pa.Table, name: str) -> pa.ChunkedArray:
    """A column as large strings, empty where it is missing or only spaces."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = table[name]
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_boolean(column.type):  # Arrow would write true and false
        column = pc.if_else(column, "True", "False")
    try:
        if pa.types.is_floating(column.type):  # integers that had gaps: 0.0 was 0
            column = _without_fraction(column)
        column = column.cast(pa.large_string()).fill_null("")
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(
            f"{path}, column {name!r} has the type {column.type}, which is not text:"
            " write it as strings."
        ) from error
    return pc.if_else(pc.equal(pc.utf8_trim_whitespace(column), ""), "", column)


def _without_fraction(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    column = pc.if_else(pc.is_nan(column), None, column)
    whole = pc.all(pc.equal(pc.floor(column), column)).as_py()
    return column.cast(pa.int64()) if whole else column


def join_columns(
    path: Path | str, table: pa.Table, columns: Sequence[str]
) -> tuple[pa.ChunkedArray, list[int]]:
    """(one text a row, several columns as fields, in the form the tokenizer knows; the rows that
    have no text at all)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = [strings(path, table, name) for name in columns]
    blank = sorted(set.intersection(*(set(_empty_rows(column)) for column in texts)))
    if len(texts) == 1:
        return texts[0], blank
    marks = [pa.scalar(f"xxfld {n}", pa.large_string()) for n in range(1, len(texts) + 1)]
    fields = [part for pair in zip(marks, texts, strict=True) for part in pair]
    return pc.binary_join_element_wise(*fields, pa.scalar(" ", pa.large_string())), blank


def _empty_rows(column: pa.ChunkedArray) -> list[int]:
    import pyarrow.compute as pc

    rows: list[int] = pc.indices_nonzero(pc.equal(column, "")).to_pylist()
    return rows
