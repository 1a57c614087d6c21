"""Columns made of a date, with the names that fastai's `add_datepart` gives them."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from pandas.api import types

from hpsearch.errors import InputError

PARTS = (
    "Year",
    "Month",
    "Week",
    "Day",
    "Dayofweek",
    "Dayofyear",
    "Is_month_end",
    "Is_month_start",
    "Is_quarter_end",
    "Is_quarter_start",
    "Is_year_end",
    "Is_year_start",
    "Hour",
    "Minute",
    "Second",
    "Elapsed",
)
"""Week is the ISO week, Dayofweek 0 is Monday, Elapsed are seconds since 1970."""
_OF_PANDAS = {"Dayofweek": "day_of_week", "Dayofyear": "day_of_year"}


def part_names(column: str) -> dict[str, str]:
    """Name of the new column -> part: "saledate" gives "saleYear", "saleMonth" ..."""
    prefix = re.sub("[Dd]ate$", "", column)
    return {prefix + part: part for part in PARTS}


def parse_dates(column: pd.Series) -> pd.Series:
    """The column as datetimes, NaT where a cell is missing; texts must have the form of ISO 8601,
    or begin with a day such as 24.11.2026.

    Times with a zone keep the hour of their own clock. Raises InputError naming the first cell
    that is no date.
    """
    if types.is_datetime64_any_dtype(column.dtype):
        return _as_numpy_backed(column)
    if types.is_numeric_dtype(column.dtype):
        raise InputError(
            f"The column {column.name!r} holds numbers, not dates: write them as 2026-11-24."
        )
    texts = column.astype(pd.StringDtype("python", na_value=np.nan)).str.strip()
    # A date says the same with and without the zone of its clock, and a column may hold several.
    clock = texts.str.replace(r"(?<=\d\d:\d\d)(.*?)\s*(Z|[+-]\d\d:?\d\d)$", r"\1", regex=True)
    clock = clock.str.replace(r"^(\d\d)\.(\d\d)\.(\d{4})(?!\d)", r"\3-\2-\1", regex=True)
    dates = pd.to_datetime(clock, format="ISO8601", errors="coerce")
    empty = texts.isna() | (texts == "")
    wrong = texts[dates.isna() & ~empty]
    if len(wrong):
        raise InputError(
            f"The column {column.name!r} is a date, but {wrong.iloc[0]!r} is none "
            f"({len(wrong):,} of {len(column):,} rows): write dates as 2026-11-24, or do not name "
            "the column in dates."
        )
    return dates


def date_part(dates: pd.Series, part: str) -> pd.Series:
    """One of `PARTS` of the datetimes (rows,): booleans for Is_..., which are False for a missing
    date as in fastai, else float64, NaN for a missing date."""
    if part.startswith("Is_"):
        return getattr(dates.dt, part.lower())
    if part == "Week":
        return dates.dt.isocalendar().week.astype("float64")
    if part == "Elapsed":
        moments = dates.dt.tz_convert(None) if dates.dt.tz is not None else dates
        seconds = moments.to_numpy().astype("datetime64[s]").astype(np.float64)
        return pd.Series(np.where(moments.isna(), np.nan, seconds), index=dates.index)
    return getattr(dates.dt, _OF_PANDAS.get(part, part.lower())).astype("float64")


def _as_numpy_backed(column: pd.Series) -> pd.Series:
    if isinstance(column.dtype, pd.ArrowDtype):
        return pd.to_datetime(column.astype(object).where(column.notna(), pd.NaT))
    return column
