"""Columns of Arrow's many types as one of those that tables are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

SEPARATOR = "|"
_IN_A_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


def as_plain(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Numbers, text, booleans, dates and moments as they are; lengths of time and times of day as
    seconds; lists of texts joined, as in Comedy|Romance. None of what can be none of these."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_dictionary(kind):
        return column if as_plain(pa.chunked_array([], kind.value_type)) is not None else None
    if pa.types.is_duration(kind) or pa.types.is_time(kind):
        column = column.cast(pa.int32() if kind.bit_width == 32 else pa.int64())
        return pc.divide(column.cast(pa.float64(), safe=False), _IN_A_SECOND[kind.unit])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        if not _is_text(kind.value_type):
            return None
        parts = column.cast(pa.large_list(pa.large_string()))
        return pc.binary_join(parts, pa.scalar(SEPARATOR, pa.large_string()))
    known = (
        pa.types.is_null, pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating,
        pa.types.is_decimal, pa.types.is_date, pa.types.is_timestamp, _is_text,
    )  # fmt: skip
    return column if any(is_one(kind) for is_one in known) else None


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    text = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(is_one(kind) for is_one in text)
