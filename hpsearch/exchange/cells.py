"""Values as the cells of a table, and back, so that each stays what it is.

A number or a truth value is written as JSON writes it. A text stands as it is, unless it would be
read as something else ("5", "true", ""): then it stands in JSON's quotes. A cell without anything
has no value at all.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

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
