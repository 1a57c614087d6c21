"""Numbers as most of Europe writes them: 3,5 is three and a half."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

_NUMBER = r"^[+-]?\d+(,\d+)?([eE][+-]?\d+)?$"
_THOUSANDS = r"^[+-]?[1-9]\d{0,2},\d{3}$"


def numbers_with_commas(column: pa.ChunkedArray, delimiter: str) -> pa.ChunkedArray | None:
    """The numbers of a column of texts such as 3,5, or None if it is no such column.

    Semicolons stand where the comma is the decimal point; with another delimiter 1,234 may also be
    a thousand, so some cell must show that it is not.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as pa_csv

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return None
    text = pc.utf8_trim_whitespace(column.cast(pa.large_string()))
    words = pa.array(pa_csv.ConvertOptions().null_values, pa.large_string())
    text = pc.if_else(pc.is_in(text, value_set=words), None, text)
    if not pc.all(pc.match_substring_regex(text, _NUMBER)).as_py():
        return None
    thousands = pc.or_(
        pc.match_substring_regex(text, _THOUSANDS), pc.invert(pc.match_substring(text, ","))
    )
    if delimiter != ";" and pc.all(thousands).as_py():
        return None
    return pc.replace_substring(text, ",", ".").cast(pa.float64())
