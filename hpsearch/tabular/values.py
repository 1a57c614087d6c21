"""What a cell is: a name that is the same whatever type its column has, or a number."""

from __future__ import annotations

import re
from contextlib import suppress

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types

from hpsearch.data.words import how_many
from hpsearch.errors import InputError

Codes = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]

_MISSING = frozenset({"", "nan", "inf", "-inf"})
_FRACTION = re.compile(r"-?\d+(\.\d+(e[+-]?\d+)?|e[+-]\d+)", re.ASCII)
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d.*)", re.ASCII)
_BOOLEANS = {"true": "True", "TRUE": "True", "false": "False", "FALSE": "False"}
_TEXT = pd.StringDtype("python", na_value=np.nan)
_LARGEST = float(np.finfo(np.float32).max)


def name_of(value: object) -> str | None:
    """The text that a value is known by in every table, or None if it counts as missing.

    pandas gives the same cells another type when a file has other rows (1 becomes 1.0 where a cell
    is empty, and "1" where another cell is a word), so values are compared by their text, in which
    1, 1.0, "1" and "1.0" are "1", True and "true" are "True", and a midnight is its date. "01" is
    not 1: codes may begin with noughts. An empty text, "nan" and infinity are missing.
    """
    text = str(value)
    if text.strip() in _MISSING:
        return None
    if _FRACTION.fullmatch(text):
        number = float(text)
        if np.isinf(number):
            return None
        return str(int(number)) if number.is_integer() else repr(number)
    moment = _MOMENT.fullmatch(text)
    if moment:
        midnight = re.fullmatch(r"00:00(:00(\.0+)?)?", moment[2])
        return moment[1] if midnight else f"{moment[1]} {moment[2]}"
    return _BOOLEANS.get(text, text)


def is_number(name: str) -> bool:
    """Whether a cell that was read as a number may have this name."""
    return name in as_number(name)


def as_number(name: str | None) -> list[str]:
    """The names that a text has where it is read as a number: in a column of whole numbers, and
    among fractions, which hold whole numbers below 2**53 only. Empty if it is none."""
    if name is None or "_" in name:
        return []
    found: list[str | None] = []
    for read in (int, float):
        with suppress(ValueError):
            found.append(name_of(read(name)))
    return [one for one in found if one is not None]


def coded(column: pd.Series) -> tuple[Codes, pd.Index]:
    """(codes (rows,), distinct values in no certain order): -1 is missing, cells of an object
    column are texts. No work is done in Python for a cell."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy(np.int64), column.cat.categories
    if column.dtype == object:
        column = column.astype(_TEXT)
    codes, values = pd.factorize(column)
    return codes.astype(np.int64, copy=False), pd.Index(values)


def names_of(values: pd.Index) -> list[str | None]:
    """`name_of` each of the distinct values."""
    if isinstance(values.dtype, pd.CategoricalDtype) or values.dtype == object:
        values = pd.Index(values.astype(object).astype(_TEXT))
    # A float32 knows its own shortest form: 0.1, where a Python float would be 0.10000000149.
    cells = values.to_numpy() if types.is_float_dtype(values.dtype) else list(values)
    return [name_of(value) for value in cells]


def present(codes: Codes, n_values: int) -> npt.NDArray[np.bool_]:
    """(n_values,) whether any cell has the value: a category may be declared and never used."""
    return np.bincount(codes + 1, minlength=n_values + 1)[1:] > 0


def numbers_of(column: pd.Series) -> Numbers:
    """The cells as float64 (rows,), NaN where they are missing.

    Infinite numbers, and those too large for a float32, count as missing. Lengths of time are
    seconds. Raises InputError if a cell is neither a number nor empty, naming it.
    """
    kind = column.dtype
    if isinstance(kind, pd.CategoricalDtype):
        codes = column.cat.codes.to_numpy()
        of_category = numbers_of(pd.Series(column.cat.categories, name=column.name))
        return np.asarray(np.append(of_category, np.nan)[codes])
    if types.is_datetime64_any_dtype(kind):
        raise InputError(f"The column {column.name!r} holds dates, not numbers: name it in dates.")
    if types.is_complex_dtype(kind):
        raise InputError(f"The column {column.name!r} holds complex numbers: ignore it.")
    if types.is_timedelta64_dtype(kind):
        return np.asarray(column.dt.total_seconds(), np.float64)
    numbers = _parsed(column)
    numbers[~(np.abs(numbers) <= _LARGEST)] = np.nan
    return numbers


def _parsed(column: pd.Series) -> Numbers:
    if types.is_numeric_dtype(column.dtype):  # booleans too
        return np.array(column.to_numpy(dtype=np.float64, na_value=np.nan))
    # Through texts: Decimals, huge integers and dates in one column are then alike.
    texts = column.astype(_TEXT)
    numbers = pd.to_numeric(texts.replace({"True": "1", "False": "0"}), errors="coerce")
    parsed = np.array(numbers.to_numpy(dtype=np.float64, na_value=np.nan))
    wrong = texts[np.isnan(parsed) & texts.notna().to_numpy()]
    wrong = wrong[~wrong.str.strip().str.lower().isin(_MISSING)]
    if len(wrong):
        others = wrong.nunique() - 1
        more = f", and so {how_many(others, 'other value')}" if others else ""
        raise InputError(
            f"The column {column.name!r} is continuous, but {wrong.iloc[0]!r} is not a number"
            f"{more}: empty such cells, or name the column in categorical."
        )
    return parsed
