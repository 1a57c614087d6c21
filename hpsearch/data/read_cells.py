"""Cells of a column that is meant to be of numbers or of dates, and those that are neither."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from hpsearch.data.cells import MISSING, floats_in, iso_days

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["number", "date"]


def read_cells(column: pd.Series[Any], kind: Kind) -> tuple[pd.Series[Any], npt.NDArray[np.bool_]]:
    """(the column as numbers or as dates, where it has any; the cells (rows,) that are neither that
    nor empty, which are empty in it).

    Example:
        >>> import pandas as pd
        >>> read, wrong = read_cells(pd.Series(["1.5", "soon", None, "n/a"]), "number")
        >>> read.tolist(), wrong.tolist()
        ([1.5, nan, nan, nan], [False, True, False, False])
    """
    import pandas as pd
    from pandas.api import types

    is_number = types.is_numeric_dtype(column.dtype) or types.is_timedelta64_dtype(column.dtype)
    if is_number if kind == "number" else types.is_datetime64_any_dtype(column.dtype):
        return column, np.zeros(len(column), bool)
    texts = column.astype("str").str.strip()
    empty = column.isna().to_numpy(bool) | texts.str.lower().isin(MISSING).to_numpy(bool)
    if kind == "number":
        texts = texts.replace({"True": "1", "False": "0"})
        numbers = floats_in(texts)
        good = np.isfinite(numbers) | np.isinf(numbers)
        read = pd.Series(numbers, index=column.index, name=column.name)
    else:
        read = pd.to_datetime(iso_days(texts), format="ISO8601", errors="coerce")
        good = read.notna().to_numpy(bool) & (not is_number)
    return read.mask(~good), ~good & ~empty
