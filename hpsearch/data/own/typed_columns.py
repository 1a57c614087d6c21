"""Tables with typed columns: numbers are numbers, everything else is text.

Columns stay in Arrow until they are numpy arrays or category codes, so that no cell ever becomes a
Python object: ten million rows of twenty columns fit into a few gigabytes.

Three rules turn what a file holds into these types: 3,5 is three and a half where a column is
written as most of Europe writes numbers; cells that look like numbers but are codes (00123) stay
texts (data/cells.py has both); and each of Arrow's many types becomes one that tables are made of.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.core.words import short_reason
from hpsearch.data.own.bad_rows import BadRows
from hpsearch.data.own.csv_files import (
    CSV,
    STOP,
    check_quotes,
    csv_problem,
    is_table,
)
from hpsearch.data.own.csv_header import LONGEST_ROW, Header, read_header
from hpsearch.data.own.json_files import JSON, read_json
from hpsearch.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


SEPARATOR = "|"
KINDS = "give a .csv, .tsv, .csv.gz, .tsv.gz, .parquet, .json or .jsonl file"
_IN_A_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


def as_plain(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """The column in a type that tables are made of; None if its type cannot become such a type.

    Numbers, text, booleans, dates and moments stay as they are. Lengths of time and times of day
    become seconds. Lists of texts are joined, as in Comedy|Romance.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_dictionary(kind):
        return column if as_plain(pa.chunked_array([], kind.value_type)) is not None else None
    if pa.types.is_duration(kind) or pa.types.is_time(kind):
        column = column.cast(pa.int32() if kind.bit_width == 32 else pa.int64())
        return pc.divide(column.cast(pa.float64(), safe=False), _IN_A_SECOND[kind.unit])
    if is_list(kind):
        if not _holds_text(kind.value_type):
            return None
        parts = column.cast(pa.large_list(pa.large_string()))
        return pc.binary_join(parts, pa.scalar(SEPARATOR, pa.large_string()))
    known = (
        pa.types.is_null, pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating,
        pa.types.is_decimal, pa.types.is_date, pa.types.is_timestamp, _holds_text,
    )  # fmt: skip
    return column if any(is_one(kind) for is_one in known) else None


def _holds_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    text = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(is_one(kind) for is_one in text)


SAMPLE = 1 << 20  # bytes


def codes_among(path: Path, delimiter: str, names: Collection[str]) -> list[str]:
    """Those of the columns `names` with a cell such as 00123 in the file's first megabyte."""
    from hpsearch.data.cells import is_code

    if not names:
        return []
    is_gzip = path.name.lower().endswith(".gz")
    with gzip.open(path, "rb") if is_gzip else path.open("rb") as file:
        start = file.read(SAMPLE)
    text = (start[: start.rfind(b"\n") + 1] or start).decode("utf-8-sig", "replace")
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    found: set[str] = set()
    with suppress(csv.Error):  # a cell longer than Python reads: what was found until there
        header: list[str] = next(filter(None, rows), [])
        wanted = {i: name for i, name in enumerate(header) if name in names}
        for row in rows:
            found |= {name for i, name in wanted.items() if i < len(row) and is_code(row[i])}
    return sorted(found)


INDEX = re.compile(r"__index_level_\d+__")  # row labels without a name, as pandas writes them
FEW = 1 << 15  # different strings in a block of a CSV file that are worth a dictionary


def read_typed(path: Path, *, strings: Collection[str] = (), bad: BadRows = STOP) -> pd.DataFrame:
    """All columns of a CSV or TSV (or .gz of these), Parquet or JSON file, as `to_frame` has them.

    In a CSV a column is of numbers where every cell is a number, empty, or a word such as NA or
    NaN, and none in its first megabyte begins with a nought that says nothing, as 00123 does;
    otherwise, or where it is among `strings`, it is text as it stands: of text only an empty cell
    (or one of spaces) is missing. Where columns are not separated by commas, 3,5 is a number, too.
    Raises InputError where the file cannot be read.
    """
    path = path.expanduser()
    if not is_table(path):
        kind = "is of no known kind" if path.exists() else "does not exist"
        raise InputError(f"{path} {kind}: {KINDS}.")
    try:
        if path.stat().st_size == 0:
            raise InputError(f"{path} is empty: give a file with a header and rows.")
        if path.name.lower().endswith(JSON):
            table = read_json(path, strings=strings)
        else:
            is_csv = path.name.lower().endswith(CSV)
            table = _read_csv(path, strings, bad) if is_csv else _read_parquet(path)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: give a CSV or Parquet file.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {short_reason(error)}.") from error
    if len(table) == 0:
        raise InputError(f"{path} has a header but no rows: give a file with rows.")
    names = [name or f"column {i}" for i, name in enumerate(table.column_names, 1)]
    return to_frame(table.rename_columns(names))


def check_names(names: Sequence[str], where: str) -> None:
    """Raises InputError where two columns have one name."""
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(
            f"{where} has {names.count(twice[0])} columns {twice[0]!r}: rename all but one."
        )


def _read_csv(path: Path, strings: Collection[str], bad: BadRows) -> pa.Table:
    import pyarrow as pa

    from hpsearch.data.cells import numbers_with_commas

    top = read_header(path)
    header, delimiter, _ = top
    check_names(header, str(path))
    if not header:
        raise InputError(f"{path} is empty: give a file with a header and rows.")
    check_quotes(path, delimiter)
    types = dict.fromkeys((name for name in header if name in strings), pa.large_string())
    table = _parse(path, top, types, bad)
    # What Arrow takes for dates, times or booleans is read again as it stands, and so are codes
    # taken for numbers, and bytes: their error says in which row they are no UTF-8.
    kinds = {field.name: field.type for field in table.schema}
    again = [name for name, kind in kinds.items() if not _is_plain(kind)]
    whole = [name for name, kind in kinds.items() if pa.types.is_integer(kind)]
    again += codes_among(path, delimiter, whole)
    if again:
        text = _parse(path, top, dict.fromkeys(again, pa.large_string()), bad, again)
        for name in again:
            table = table.set_column(table.column_names.index(name), name, text[name])
    if delimiter == ",":
        return table
    for i, name in enumerate(table.column_names):
        if (
            name not in strings
            and (numbers := numbers_with_commas(table[name], delimiter)) is not None
        ):
            table = table.set_column(i, name, numbers)
    return table


def _parse(
    path: Path, top: Header, types: dict[str, Any], bad: BadRows, only: Sequence[str] = ()
) -> pa.Table:
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    # Some threads at first; one for an error, as only then it says in which row it is.
    for threads in (True, False):
        try:
            return pa_csv.read_csv(
                path,
                read_options=pa_csv.ReadOptions(
                    use_threads=threads and not only and not bad.skip,
                    block_size=LONGEST_ROW,
                    skip_rows=top.skipped,
                ),
                parse_options=pa_csv.ParseOptions(
                    newlines_in_values=True,
                    delimiter=top.delimiter,
                    invalid_row_handler=bad.torn if bad.skip else None,
                ),
                convert_options=pa_csv.ConvertOptions(
                    column_types=types,
                    include_columns=list(only),
                    strings_can_be_null=False,
                    auto_dict_encode=True,
                    auto_dict_max_cardinality=FEW,
                ),
            )
        except pa.ArrowInvalid as error:
            if not threads:
                raise InputError(csv_problem(path, str(error), top.names)) from error
    raise AssertionError("one of the two returns or raises")


def _is_plain(kind: pa.DataType) -> bool:
    """Whether a CSV column has a type that it is to keep: numbers, UTF-8 text or nothing."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    plain = (pa.types.is_integer, pa.types.is_floating, pa.types.is_null)
    text = (pa.types.is_string, pa.types.is_large_string)
    return any(check(kind) for check in plain + text)


def _read_parquet(path: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
        check_names(schema.names, str(path))
        text = [f.name for f in schema if pa.types.is_string(f.type) or _is_large(f.type)]
        table = pq.read_table(path, partitioning=None, read_dictionary=text)
        index = [name for name in schema.names if INDEX.fullmatch(name)]
        table = table.drop_columns(index)
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path} cannot be read as Parquet ({short_reason(error)}): write it again."
        ) from error
    return table


def _is_large(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_large_string(kind))


def to_frame(table: pa.Table) -> pd.DataFrame:
    """The table's columns in order, with a RangeIndex.

    Numbers are numpy numbers (float64 with NaN where integers have gaps; decimals are float64),
    dates are datetime64, and text and booleans ("True", "False") are a `category` with sorted
    categories where values repeat (fewer distinct ones than half the rows), else `str`; of text an
    empty cell or one of spaces is missing. A column without any value is float64, all NaN, and so
    is one of a type that `as_plain` knows nothing of: `attrs["unread"]` says its type by its name.
    `attrs["lists"]` names the columns whose cells were lists of texts.
    """
    import pandas as pd
    import pyarrow as pa

    columns: dict[str, Any] = {}
    unread: dict[str, str] = {}
    lists = [field.name for field in table.schema if is_list(field.type)]
    for name in table.column_names:
        kind, column = str(table.schema.field(name).type), as_plain(table[name])
        if column is None:
            unread[name], column = kind, pa.chunked_array([pa.nulls(len(table))])
        table = table.drop_columns([name])  # each is freed as soon as it is converted
        columns[name] = _convert(column)
        del column
    frame = pd.DataFrame(columns, copy=False)
    if unread:
        frame.attrs["unread"] = unread
    if lists := [name for name in lists if name not in unread]:
        frame.attrs["lists"] = lists
    return frame


def is_list(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _convert(column: pa.ChunkedArray) -> Any:  # noqa: ANN401
    """A numpy array, a Categorical or a pandas array of strings."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_dictionary(kind) and not _is_text(kind.value_type):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan)
    if pa.types.is_boolean(kind):
        return _text(pc.if_else(column, "True", "False"))
    if pa.types.is_dictionary(kind) or _is_text(kind):
        return _text(column)
    if pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
    elif pa.types.is_date(kind):
        column = column.cast(pa.timestamp("s"))
    elif pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("s" if kind.unit == "s" else kind.unit))
    elif pa.types.is_float16(kind):
        column = column.cast(pa.float32())
    return column.to_pandas().to_numpy()


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _text(column: pa.ChunkedArray) -> Any:  # noqa: ANN401
    """Text as a Categorical with sorted categories that all occur, or as `str`."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.large_string()).dictionary_encode()
    column = column.unify_dictionaries()
    if column.num_chunks == 0:
        return pd.array([], dtype="str")
    words = pc.fill_null(column.chunk(0).dictionary.cast(pa.large_string()), "")
    codes = np.concatenate(
        [chunk.indices.cast(pa.int64()).fill_null(-1).to_numpy() for chunk in column.chunks]
    )
    seen = np.bincount(codes[codes >= 0], minlength=len(words)) > 0
    blank = pc.equal(pc.utf8_trim_whitespace(words), "").to_numpy(zero_copy_only=False)
    order = pc.array_sort_indices(words).to_numpy()
    order = order[(seen & ~blank)[order]]
    if len(order) == 0:
        return np.full(len(codes), np.nan)
    places = np.full(len(words) + 1, -1, dtype=np.int32)  # the last one is for -1: missing
    places[order] = np.arange(len(order), dtype=np.int32)
    categories = pd.Index(words.take(pa.array(order)).to_pandas().astype("str"))
    found = pd.Categorical.from_codes(places[codes], categories=categories)
    return found if 2 * len(order) <= len(codes) else found.astype("str")


def fingerprint(*frames: pd.DataFrame | None) -> str:
    """sha256 of the names, the types and the values of every column of the tables, in order."""
    digest = hashlib.sha256(b"hpsearch.table/1")
    for frame in frames:
        if frame is None:
            digest.update(b"none")
            continue
        digest.update(f"{len(frame)} rows".encode())
        for name in frame.columns:
            _hash_column(digest, str(name), frame[name])
    return digest.hexdigest()


def _hash_column(digest: Any, name: str, column: pd.Series[Any]) -> None:  # noqa: ANN401
    import numpy as np
    import pandas as pd

    digest.update(f"\n{name!r} {column.dtype.name}\n".encode())
    if isinstance(column.dtype, pd.CategoricalDtype):
        _hash_strings(digest, column.cat.categories.to_series())
        digest.update(column.cat.codes.to_numpy().astype("<i4").tobytes())
    elif column.dtype.kind in "iufM":
        values = column.to_numpy()
        digest.update(np.ascontiguousarray(values).view(np.uint8).data)
    else:
        _hash_strings(digest, column)


def _hash_strings(digest: Any, column: pd.Series[Any]) -> None:  # noqa: ANN401
    """The lengths (-1 for a missing one), then the bytes."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    values = pa.chunked_array([pa.array(column, pa.large_string(), from_pandas=True)])
    digest.update(pc.binary_length(values).fill_null(-1).to_numpy().astype("<i8").tobytes())
    for chunk in values.fill_null("").chunks:
        buffers: Any = chunk.buffers()
        offsets, content = buffers[1:]
        ends = np.frombuffer(offsets, dtype=np.int64)
        first, last = ends[chunk.offset], ends[chunk.offset + len(chunk)]
        if content is not None and last > first:
            digest.update(content[first:last])
