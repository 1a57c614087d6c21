"""Columns made of a date, with the names that fastai's `add_datepart` gives them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

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


def part_names(column: str, prefix: str | None = None) -> dict[str, str]:
    """Name of the new column -> part: "saledate" gives "saleYear", "saleMonth" ..."""
    prefix = re.sub("[Dd]ate$", "", column) if prefix is None else prefix
    return {prefix + part: part for part in PARTS}


def part_prefixes(dates: Sequence[str], others: Collection[str]) -> dict[str, str]:
    """Prefixes for those of the columns `dates` whose parts would else have the name of another
    column, or of another date's part: "date" and "Date" both give "Year".

    Example:
        >>> part_prefixes(["date", "Date", "saledate"], ["y", "saleYear"])
        {'Date': 'Date_', 'saledate': 'saledate_'}
    """
    taken, found = set(others), {}
    for column in dates:
        prefix = None
        while not taken.isdisjoint(part_names(column, prefix)):
            prefix = f"{column}_" if prefix is None else f"{prefix}_"
        if prefix is not None:
            found[column] = prefix
        taken |= set(part_names(column, prefix))
    return found


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
