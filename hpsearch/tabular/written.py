"""Numbers and dates in the writing of a country, where a whole column leaves no doubt which.

1.234,56 is Europe's and 1,234.56 America's way to write a number; 24/11/2026 has the day first and
11/24/2026 the month. A column says which it is in cells that only one of the two can have written;
the form is remembered with the model, so that later rows are read in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd
from pandas.api import types

COMMA, POINT = "1.234,56", "1,234.56"
DAY_FIRST, MONTH_FIRST = "24/11/2026", "11/24/2026"
UNSURE = "dates that do not say which is the day and which the month"
WORDS = {
    COMMA: f"written as {COMMA}",
    POINT: f"written as {POINT}",
    DAY_FIRST: f"the day first, as in {DAY_FIRST}",
    MONTH_FIRST: f"the month first, as in {MONTH_FIRST}",
}
NUMBERS, DATES = (COMMA, POINT), (DAY_FIRST, MONTH_FIRST)

_MISSING = ("", "na", "n/a", "nan", "null", "none")
_NUMBER = {
    COMMA: re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?", re.ASCII),
    POINT: re.compile(r"[+-]?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?", re.ASCII),
}
_SURE = {  # both signs, or two that part thousands: 1.234 and 1,5 may mean other things
    COMMA: re.compile(r"\.\d{3}[.,]\d", re.ASCII),
    POINT: re.compile(r",\d{3}[.,]\d", re.ASCII),
}
_DATE = re.compile(r"(\d{1,2})([/-])(\d{1,2})\2(\d{4})(?!\d)", re.ASCII)


def form_of(column: pd.Series) -> str | None:
    """In which of `NUMBERS` or `DATES` all cells of a column of texts are written, UNSURE where
    they are dates of which none tells; None for other columns."""
    if types.is_numeric_dtype(column.dtype) or not types.is_string_dtype(_values(column).dtype):
        return None
    start = _filled(_texts(_values(column).iloc[:100]))  # most columns end here
    if len(start) and not any(p.match(start.iloc[0]) for p in (*_NUMBER.values(), _DATE)):
        return None
    texts = _filled(_texts(_values(column)))
    for form, pattern in _NUMBER.items():
        sure = len(texts) and texts.str.fullmatch(pattern).all()
        if sure and texts.str.contains(_SURE[form]).any():
            return form
    return _form_of_dates(texts) if len(texts) and _DATE.match(texts.iloc[0]) else None


def _form_of_dates(texts: pd.Series) -> str | None:
    found = texts.str.extract(_DATE)
    if found.isna().any(axis=None) or not texts.str.match(_DATE).all():
        return None
    first, second = (found[i].astype(int).to_numpy() for i in (0, 2))
    if max(first.max(), second.max()) > 31 or min(first.min(), second.min()) < 1:
        return None
    days = [bool((numbers > 12).any()) for numbers in (first, second)]
    if all(days):
        return None
    return UNSURE if not any(days) else DAY_FIRST if days[0] else MONTH_FIRST


def plainly(table: pd.DataFrame, forms: Mapping[str, str]) -> pd.DataFrame:
    """The table with the columns of `forms` as numbers, and as texts such as 2026-11-24.

    A cell that is not of its column's form stays as it is, so that whoever wants a number or a date
    says what is wrong. Columns that are missing, or no texts, are left alone.
    """
    made = {
        name: plain(table[name], form)
        for name, form in forms.items()
        if name in table.columns and types.is_string_dtype(_values(table[name]).dtype)
    }
    return table.assign(**made) if made else table


def plain(column: pd.Series, form: str) -> pd.Series:
    """One column of `plainly`; each distinct text is looked at once."""
    texts = _texts(_values(column))
    if form in DATES:
        ends = r"\4-\3-\1" if form == DAY_FIRST else r"\4-\1-\3"
        whole = texts.str.replace(r"^(\d)(?=[/-])", r"0\1", regex=True)
        whole = whole.str.replace(r"([/-])(\d)(?=[/-])", r"\g<1>0\2", regex=True)
        found = whole.str.replace(rf"^{_DATE.pattern}", ends, regex=True).to_numpy(object)
    else:
        point, thousands = (",", ".") if form == COMMA else (".", ",")
        bare = texts.str.replace(thousands, "", regex=False).str.replace(point, ".", regex=False)
        good = texts.str.fullmatch(_NUMBER[form]).to_numpy(bool)
        missing = texts.str.lower().isin(_MISSING).to_numpy()
        if bool((good | missing).all()):
            found = pd.to_numeric(bare.where(good, np.nan), errors="coerce").to_numpy(np.float64)
        else:
            found = np.where(good, bare, texts).astype(object)
    if isinstance(column.dtype, pd.CategoricalDtype):
        found = np.append(found, np.array([np.nan], found.dtype))[column.cat.codes.to_numpy()]
    return pd.Series(found, index=column.index, name=column.name)


def _values(column: pd.Series) -> pd.Series:
    """The categories of a categorical column; other columns as they are."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return pd.Series(column.cat.categories)
    return column


def _filled(texts: pd.Series) -> pd.Series:
    return texts[~texts.str.lower().isin(_MISSING)]


def _texts(values: pd.Series) -> pd.Series:
    return values.astype(pd.StringDtype("python", na_value=np.nan)).fillna("").str.strip()
