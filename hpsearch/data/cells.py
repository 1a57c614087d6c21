"""How the cell of a table becomes a number, a date, or a name: all rules in one place.

- Missing: empty cells, and words such as NA in a column of numbers.
- Names: what a cell is called whatever type its column has: 1, 1.0 and "1" are "1", "01" is not.
- Numbers: plain ones; 3,5 where the comma is decimal; 1.234,56 and 1,234.56 where the column says
  which; never codes that begin with a nought, as 00123.
- Dates: 2026-11-24, 24.11.2026, and 24/11/2026 or 11/24/2026 where the column says which.

The form of a column is known from the cells that only one form allows: 24/11/2026 has its day
first. The model keeps the form, so that later rows are read in the same way. Pandas, Arrow and this
module are imported inside the functions that use them: many commands need none of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hpsearch.core.words import how_many
from hpsearch.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Codes = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]

MISSING = ("", "na", "n/a", "nan", "null", "none")
"""Words, in small letters, for no value among numbers and dates."""
_UNNAMED = frozenset({"", "nan", "inf", "-inf"})
_FRACTION = re.compile(r"-?\d+(\.\d+(e[+-]?\d+)?|e[+-]\d+)", re.ASCII)
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d.*)", re.ASCII)
_BOOLEANS = {"true": "True", "TRUE": "True", "false": "False", "FALSE": "False"}
LARGEST = float(np.finfo(np.float32).max)


def _text_type() -> pd.StringDtype:
    import pandas as pd

    return pd.StringDtype("python", na_value=np.nan)


def name_of(value: object) -> str | None:
    """The text that a value is known by in every table, or None if it counts as missing.

    pandas gives the same cells another type when a file has other rows (1 becomes 1.0 where a cell
    is empty, and "1" where another cell is a word), so values are compared by their text, in which
    1, 1.0, "1" and "1.0" are "1", True and "true" are "True", and a midnight is its date. "01" is
    not 1: codes may begin with noughts. Blanks around a text do not count: nobody sees them. An
    empty text, "nan" and infinity are missing.
    """
    text = str(value).strip()
    if text in _UNNAMED:
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
    """The names that a text gets when it is read as a number; empty if it is no number.

    The first is its name in a column of whole numbers, the other its name in a column of
    fractions, which holds whole numbers below 2**53 only.
    """
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
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy(np.int64), column.cat.categories
    if column.dtype == object:
        column = column.astype(_text_type())
    codes, values = pd.factorize(column)
    return codes.astype(np.int64, copy=False), pd.Index(values)


def names_of(values: pd.Index) -> list[str | None]:
    """`name_of` each of the distinct values."""
    import pandas as pd
    from pandas.api import types

    if isinstance(values.dtype, pd.CategoricalDtype) or values.dtype == object:
        values = pd.Index(values.astype(object).astype(_text_type()))
    # A float32 knows its own shortest form: 0.1, where a Python float would be 0.10000000149.
    cells = values.to_numpy() if types.is_float_dtype(values.dtype) else list(values)
    return [name_of(value) for value in cells]


def present(codes: Codes, n_values: int) -> npt.NDArray[np.bool_]:
    """(n_values,) whether any cell has the value: a category may be declared and never used."""
    return np.bincount(codes + 1, minlength=n_values + 1)[1:] > 0


HELD_OUT = dict.fromkeys(("true", "1", "1.0", "yes", "valid", "validation", "val", "dev"), True)
HELD_OUT |= dict.fromkeys(("false", "0", "0.0", "no", "train", "training"), False)
"""Words, in small letters, of a column that says which rows are held out."""


def number_in(text: str) -> float | None:
    """The number in one cell of text; NaN where it is empty or says so, None for anything else."""
    if text.strip().lower() in MISSING:
        return math.nan
    try:
        return float(text)
    except ValueError:
        return None


def numbers_of(column: pd.Series) -> Numbers:
    """The cells as float64 (rows,), NaN where they are missing.

    Infinite numbers, and those too large for a float32, count as missing. Lengths of time are
    seconds. Raises InputError if a cell is neither a number nor empty, naming it.
    """
    import pandas as pd
    from pandas.api import types

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
    numbers[~(np.abs(numbers) <= LARGEST)] = np.nan
    return numbers


def too_large(column: pd.Series) -> npt.NDArray[np.bool_]:
    """(rows,) which cells are numbers, but too large for a float32, or infinite."""
    import pandas as pd
    from pandas.api import types

    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    if types.is_timedelta64_dtype(column.dtype) or types.is_datetime64_any_dtype(column.dtype):
        return np.zeros(len(column), bool)
    return np.asarray(np.abs(_parsed(column)) > LARGEST)


def _parsed(column: pd.Series) -> Numbers:
    import pandas as pd
    from pandas.api import types

    if types.is_numeric_dtype(column.dtype):  # booleans too
        return np.array(column.to_numpy(dtype=np.float64, na_value=np.nan))
    # Through texts: Decimals, huge integers and dates in one column are then alike.
    texts = column.astype(_text_type())
    numbers = pd.to_numeric(texts.replace({"True": "1", "False": "0"}), errors="coerce")
    parsed = np.array(numbers.to_numpy(dtype=np.float64, na_value=np.nan))
    wrong = texts[np.isnan(parsed) & texts.notna().to_numpy()]
    wrong = wrong[~wrong.str.strip().str.lower().isin(_UNNAMED)]
    if len(wrong):
        others = wrong.nunique() - 1
        more = f", and so {how_many(others, 'other value')}" if others else ""
        raise InputError(
            f"The column {column.name!r} is continuous, but {wrong.iloc[0]!r} is not a number"
            f"{more}: empty such cells, leave their rows out with --skip-bad-rows, or name the "
            "column in categorical."
        )
    return parsed


_DECIMAL_COMMA = r"^([+-]?\d+),(\d\d?)$"  # three digits may be a thousand's


def floats_in(texts: pd.Series[Any], *, commas: bool = False) -> npt.NDArray[np.float64]:
    """A column of texts as float64: what is no number, and what is empty, is NaN.

    With `commas` 3,5 is 3.5 where the column has a cell that is no number otherwise.
    """
    import pandas as pd

    def read(texts: pd.Series[Any]) -> npt.NDArray[np.float64]:
        numbers = pd.to_numeric(texts, errors="coerce")
        return np.asarray(numbers.to_numpy(dtype=np.float64, na_value=np.nan))

    numbers = read(texts)
    if commas and np.isnan(numbers).any():
        return read(texts.str.replace(_DECIMAL_COMMA, r"\1.\2", regex=True))
    return numbers


_CODE = re.compile(r"\s*0\d+\s*$", re.ASCII)


def is_code(text: str) -> bool:
    """Whether a text begins with a nought that would be lost were it read as a number: 00123."""
    return _CODE.match(text) is not None


_WITH_COMMA = r"^[+-]?\d+(,\d+)?([eE][+-]?\d+)?$"
_THOUSAND = r"^[+-]?[1-9]\d{0,2},\d{3}$"


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
    if not pc.all(pc.match_substring_regex(text, _WITH_COMMA)).as_py():
        return None
    thousands = pc.or_(
        pc.match_substring_regex(text, _THOUSAND), pc.invert(pc.match_substring(text, ","))
    )
    if delimiter != ";" and pc.all(thousands).as_py():
        return None
    return pc.replace_substring(text, ",", ".").cast(pa.float64())


_UNIT = re.compile(r"([€$£¥]|EUR|USD|GBP|%)?\s*(.*?)\s*([€$£¥]|EUR|USD|GBP|%)?")


def written_numbers(texts: Sequence[str | None], delimiter: str) -> list[float] | None:
    """The numbers in a column of texts that no parser takes for numbers, NaN where one is missing.

    Such are 0,5 and 1.234,56, numbers with a per cent sign (50% is 0.5) and amounts of money. None
    if any cell is something else. `delimiter` is that of the file (see `numbers_with_commas`).
    """
    import pandas as pd
    import pyarrow as pa

    texts = [text and _GROUPED.sub("", text.replace("\u2212", "-")) for text in texts]  # a minus
    empty = [text is None or text.strip().lower() in MISSING for text in texts]
    found = [_UNIT.fullmatch((text or "").strip()) for text in texts]
    parts = [(m[1] or m[3], m[2]) for m, gap in zip(found, empty, strict=True) if m and not gap]
    units = {unit for unit, _ in parts}
    if len(units) != 1:
        return None
    bare = pd.Series([number for _, number in parts], dtype=_text_type())
    if (commas := numbers_with_commas(pa.chunked_array([list(bare)]), delimiter)) is not None:
        numbers = np.array(commas.to_pylist(), np.float64)
    else:
        form = form_of(bare)
        numbers = floats_in(plain(bare, form) if form in NUMBERS else bare)
    if np.isnan(numbers).any():
        return None
    values = iter((numbers / 100 if units == {"%"} else numbers).tolist())
    return [math.nan if gap else next(values) for gap in empty]


COMMA, POINT = "1.234,56", "1,234.56"
DAY_FIRST, MONTH_FIRST = "24/11/2026", "11/24/2026"
UNSURE = "dates that do not say which is the day and which the month"
WORDS = {
    COMMA: f"written as {COMMA}",
    POINT: f"written as {POINT}",
    DAY_FIRST: f"the day first, as in {DAY_FIRST}",
    MONTH_FIRST: f"the month first, as in {MONTH_FIRST}",
}
_GROUPED = re.compile(r"(?<=\d)[\u00a0\u2009\u202f'\u2019](?=\d{3}(?!\d))", re.ASCII)
"""What stands between thousands beside comma and point: blanks that are not broken, apostrophes."""
NUMBERS, DATES = (COMMA, POINT), (DAY_FIRST, MONTH_FIRST)
_NUMBER = {
    COMMA: re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?", re.ASCII),
    POINT: re.compile(r"[+-]?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?", re.ASCII),
}
_SURE = {  # both signs, or two that part thousands: 1.234 and 1,5 may mean other things
    COMMA: re.compile(r"\.\d{3}[.,]\d", re.ASCII),
    POINT: re.compile(r",\d{3}[.,]\d", re.ASCII),
}
_SLASHED = re.compile(r"(\d{1,2})([/-])(\d{1,2})\2(\d{4})(?!\d)", re.ASCII)


def form_of(column: pd.Series) -> str | None:
    """The form, of `NUMBERS` or `DATES`, in which all cells of a column of texts are written.

    UNSURE if the cells are dates and none shows whether its day or its month comes first. None for
    other columns.
    """
    from pandas.api import types

    if types.is_numeric_dtype(column.dtype) or not types.is_string_dtype(_values(column).dtype):
        return None
    start = _filled(_texts(_values(column).iloc[:100]))  # most columns end here
    if len(start) and not any(p.match(start.iloc[0]) for p in (*_NUMBER.values(), _SLASHED)):
        return None
    texts = _filled(_texts(_values(column)))
    for form, pattern in _NUMBER.items():
        sure = len(texts) and texts.str.fullmatch(pattern).all()
        if sure and texts.str.contains(_SURE[form]).any():
            return form
    return _form_of_dates(texts) if len(texts) and _SLASHED.match(texts.iloc[0]) else None


def _form_of_dates(texts: pd.Series) -> str | None:
    found = texts.str.extract(_SLASHED)
    if found.isna().any(axis=None) or not texts.str.match(_SLASHED).all():
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
    from pandas.api import types

    made = {
        name: plain(table[name], form)
        for name, form in forms.items()
        if name in table.columns and types.is_string_dtype(_values(table[name]).dtype)
    }
    return table.assign(**made) if made else table


def plain(column: pd.Series, form: str) -> pd.Series:
    """One column of `plainly`; each distinct text is looked at once."""
    import pandas as pd

    texts = _texts(_values(column))
    if form in DATES:
        ends = r"\4-\3-\1" if form == DAY_FIRST else r"\4-\1-\3"
        whole = texts.str.replace(r"^(\d)(?=[/-])", r"0\1", regex=True)
        whole = whole.str.replace(r"([/-])(\d)(?=[/-])", r"\g<1>0\2", regex=True)
        whole = whole.str.replace(rf"^{_SLASHED.pattern}", ends, regex=True)
        found = whole.mask(texts.str.lower().isin(MISSING)).to_numpy(object)
    else:
        point, thousands = (",", ".") if form == COMMA else (".", ",")
        bare = texts.str.replace(thousands, "", regex=False).str.replace(point, ".", regex=False)
        good = texts.str.fullmatch(_NUMBER[form]).to_numpy(bool)
        missing = texts.str.lower().isin(MISSING).to_numpy()
        if bool((good | missing).all()):
            found = pd.to_numeric(bare.where(good, np.nan), errors="coerce").to_numpy(np.float64)
        else:
            found = np.where(good, bare, texts).astype(object)
    if isinstance(column.dtype, pd.CategoricalDtype):
        found = np.append(found, np.array([np.nan], found.dtype))[column.cat.codes.to_numpy()]
    return pd.Series(found, index=column.index, name=column.name)


def _values(column: pd.Series) -> pd.Series:
    """The categories of a categorical column; other columns as they are."""
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        return pd.Series(column.cat.categories)
    return column


def _filled(texts: pd.Series) -> pd.Series:
    return texts[~texts.str.lower().isin(MISSING)]


def _texts(values: pd.Series) -> pd.Series:
    return values.astype(_text_type()).fillna("").str.strip()


def iso_days(texts: pd.Series[Any]) -> pd.Series[Any]:
    """Texts that begin with a day such as 24.11.2026, beginning with 2026-11-24 instead."""
    return texts.str.replace(r"^(\d\d)\.(\d\d)\.(\d{4})(?!\d)", r"\3-\2-\1", regex=True)


def parse_dates(column: pd.Series) -> pd.Series:
    """The column as datetimes, NaT where a cell is missing; texts must have the form of ISO 8601,
    or begin with a day such as 24.11.2026.

    Times with a zone keep the hour of their own clock. Raises InputError naming the first cell
    that is no date.
    """
    import pandas as pd
    from pandas.api import types

    if types.is_datetime64_any_dtype(column.dtype):
        return _as_numpy_backed(column)
    if types.is_numeric_dtype(column.dtype):
        raise InputError(
            f"The column {column.name!r} holds numbers, not dates: write them as 2026-11-24."
        )
    texts = column.astype(_text_type()).str.strip()
    # A date says the same with and without the zone of its clock, and a column may hold several.
    clock = texts.str.replace(r"(?<=\d\d:\d\d)(.*?)\s*(Z|[+-]\d\d:?\d\d)$", r"\1", regex=True)
    dates = pd.to_datetime(iso_days(clock), format="ISO8601", errors="coerce")
    empty = texts.isna() | (texts == "")
    wrong = texts[dates.isna() & ~empty]
    if len(wrong):
        raise InputError(
            f"The column {column.name!r} is a date, but {wrong.iloc[0]!r} is none "
            f"({len(wrong):,} of {len(column):,} rows): write dates as 2026-11-24, or do not name "
            "the column in dates."
        )
    return dates


def _as_numpy_backed(column: pd.Series) -> pd.Series:
    import pandas as pd

    if isinstance(column.dtype, pd.ArrowDtype):
        return pd.to_datetime(column.astype(object).where(column.notna(), pd.NaT))
    return column
