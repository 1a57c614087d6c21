"""Which column of a table is what: categorical, continuous, a date, or of no use."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from pandas.api import types

from hpsearch.core.words import nearest
from hpsearch.data.cells import (
    DATES,
    NUMBERS,
    UNSURE,
    WORDS,
    floats_in,
    form_of,
    iso_days,
    parse_dates,
    plain,
    written_numbers,
)
from hpsearch.errors import InputError

FEW = 20
"""Whole numbers with at most so many distinct values are categories, as fastai's
`cont_cat_split` would have it."""
_DATE = re.compile(r"\s*(\d{4}-\d\d-\d\d|\d\d\.\d\d\.\d{4})", re.ASCII)
_OTHER_DATE = re.compile(
    r"(?i)\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b|^\d{1,2}[./-]\d{1,2}[./-]\d\d\b",
    re.ASCII,
)
NEARLY = 0.95
"""A column of which such a share of the cells is of a kind was meant to be of that kind."""
Task = Literal["classification", "regression"]


@dataclass(frozen=True)
class Columns:
    """The columns of a table by what they are for; `reasons` says why, for people, and `forms` in
    which of the forms of data/cells.py the texts of a column of numbers or dates are."""

    target: str
    task: Task
    categorical: tuple[str, ...]
    continuous: tuple[str, ...]
    dates: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)
    forms: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class NamedColumns:
    """The columns of which the study says what they are."""

    categorical: Sequence[str] = ()
    continuous: Sequence[str] = ()
    dates: Sequence[str] = ()
    ignore: Sequence[str] = ()


NONE_NAMED = NamedColumns()


def infer_columns(
    table: pd.DataFrame,
    target: str,
    named: NamedColumns = NONE_NAMED,
    *,
    task: Task | None = None,
    where: str = "The table",
) -> Columns:
    """Find the kind of each column that is not `named`.

    Fractions and whole numbers with more than 20 distinct values are continuous. Dates, and texts
    such as 2026-11-24, are dates. All others are categorical. Texts such as 1.234,56 and 24/11/2026
    are numbers and dates where all cells of a column leave no doubt. Ignored are columns with one
    value, texts of which no two are equal, and whole numbers that number something.

    Args:
        where: The beginning of the error about a missing target.

    Raises:
        InputError: A column is not there or is named twice, or nothing is left to learn from.
    """
    _check_named(table, target, where, named)
    kinds: dict[str, list[str]] = {"categorical": [], "continuous": [], "date": [], "ignored": []}
    reasons: dict[str, str] = {}
    forms: dict[str, str] = {}
    given = {
        **dict.fromkeys(named.categorical, "categorical"),
        **dict.fromkeys(named.continuous, "continuous"),
        **dict.fromkeys(named.dates, "date"),
        **dict.fromkeys(named.ignore, "ignored"),
    }
    for name in table.columns:
        if name == target:
            continue
        form = form_of(table[name])
        guessed, why = _guess_written(table[name], form)
        kind = given.get(name, guessed)
        if kind != "ignored" and name in table.attrs.get("unread", {}):
            raise InputError(
                f"The column {name!r} is of the type {table.attrs['unread'][name]}, of which "
                "nothing is learnt: name it in ignore, or write it as numbers, text or dates."
            )
        if (kind == "continuous" and form in NUMBERS) or (kind != "categorical" and form in DATES):
            forms[name] = str(form)
        reasons[name] = why if kind == guessed else f"as the study says, not {guessed}: {why}"
        kinds[kind].append(name)
    if not kinds["categorical"] and not kinds["continuous"] and not kinds["date"]:
        raise InputError(f"The table has nothing to predict {target!r} from: give it more columns.")
    task, reasons[target], form = read_target(table[target], task)
    if form is not None:
        forms[target] = form
    return Columns(
        target,
        task,
        tuple(kinds["categorical"]),
        tuple(kinds["continuous"]),
        tuple(kinds["date"]),
        tuple(kinds["ignored"]),
        reasons,
        forms,
    )


def _guess_written(column: pd.Series, form: str | None) -> tuple[str, str]:
    """As `_guess`, of a column whose texts are in a `form`."""
    if form is None or form == UNSURE:
        kind, why = _guess(column)
        return kind, why if form is None else f"{why}, {UNSURE}"
    read = plain(column, form)
    kind, why = _guess(read)
    if (kind == "continuous" and form in NUMBERS) or (kind == "date" and form in DATES):
        return kind, f"{why}, {WORDS[form]}"
    return _guess(column)


def _guess(column: pd.Series) -> tuple[str, str]:
    """(kind, why) of a column that the study says nothing about."""
    kind = column.dtype
    n_values, n_cells = _n_values(column), int(column.notna().sum())
    has_gaps = n_cells < len(column)
    if n_values == 0:
        unread = column.attrs.get("unread", {}).get(column.name)
        return "ignored", f"it is of the type {unread}" if unread else "it is empty"
    if n_values == 1 and not has_gaps:
        return "ignored", "it has one value only"
    counts = _is_whole_number(column) and (types.is_integer_dtype(kind) or has_gaps)
    if n_values == n_cells > FEW and counts and _are_identifiers(column):
        return "ignored", "no two of its whole numbers are equal, as in a number of a row"
    if types.is_bool_dtype(kind):
        return "categorical", "yes or no"
    if types.is_datetime64_any_dtype(kind):
        return "date", "dates"
    if _is_whole_number(column):
        if n_values <= FEW:
            return "categorical", f"{n_values} whole numbers"
        return "continuous", f"{n_values:,} whole numbers"
    if types.is_numeric_dtype(kind) or types.is_timedelta64_dtype(kind):
        return "continuous", "numbers with fractions"
    if _says_dates(column):
        return "date", "texts that are dates"
    but = _nearly(column)
    if n_values == n_cells > FEW:
        why = "no two cells are equal, as in a name or a number of a row"
        return "ignored", but or why
    return "categorical", f"{n_values:,} values" + (f"; {but}" if but else "")


def _nearly(column: pd.Series) -> str:
    """What a column of texts would be if a few cells were otherwise, and what to do; "" for texts.

    A single impossible date or a word among numbers must not go unseen: the column is lost by it.
    """
    texts = column.dropna().astype(str).str.strip()
    starts = texts[texts.str.match(_DATE)].str[:10]
    days = pd.to_datetime(iso_days(starts), format="ISO8601", errors="coerce").dropna()
    numbers = texts[np.isfinite(floats_in(texts))]
    for kind, good in (("dates", days.index), ("numbers", numbers.index)):
        bad = texts[~texts.index.isin(good)]
        if len(bad) and len(good) >= NEARLY * len(texts):
            return (
                f"all but {len(bad):,} of {len(texts):,} cells are {kind}: empty such as "
                f"{bad.iloc[0][:40]!r} to have {kind}"
            )
    start = texts.iloc[:FEW]
    if written_numbers(start.tolist(), ",") is not None:
        return (
            f"amounts such as {start.iloc[0][:40]!r} are no numbers here: write them without signs"
        )
    if start.str.contains(r"\d.*\d").all() and start.str.contains(_OTHER_DATE).all():
        return f"dates such as {start.iloc[0][:40]!r} are not read: write them as 2026-11-24"
    return ""


def _n_values(column: pd.Series) -> int:
    """How many different values the cells have; texts that differ by blanks are one."""
    if types.is_numeric_dtype(column.dtype) or not types.is_string_dtype(_categories(column).dtype):
        return int(column.nunique(dropna=True))
    return int(column.dropna().astype("str").str.strip().nunique())


def _categories(column: pd.Series) -> pd.Series:
    is_category = isinstance(column.dtype, pd.CategoricalDtype)
    return pd.Series(column.cat.categories) if is_category else column


def _is_whole_number(column: pd.Series) -> bool:
    kind = column.dtype
    return types.is_integer_dtype(kind) or (types.is_float_dtype(kind) and _is_whole(column))


EQUAL_PAIRS = 7.0
"""Of n numbers drawn from N at random, n**2 / 2N pairs are equal; there is none in exp(-7) = 1 of
1,000 columns where so many are expected."""


def _are_identifiers(column: pd.Series) -> bool:
    """Whether whole numbers of which no two are equal lie so densely that they number something.

    Rows may have been left out or be in any order. Amounts so dense would not all differ.
    """
    cells = column.dropna()
    return len(cells) ** 2 >= 2 * EQUAL_PAIRS * (float(cells.max()) - float(cells.min()) + 1)


def _is_whole(column: pd.Series) -> bool:
    cells = column.dropna()
    return bool((cells % 1 == 0).all())


def _says_dates(column: pd.Series) -> bool:
    """Whether all cells of a column of texts are dates as `parse_dates` knows them, or missing."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = pd.Series(column.cat.categories, name=column.name)
    column = column.dropna()
    if not _DATE.match(str(column.iloc[0])):
        return False
    try:
        parse_dates(column)
    except InputError:
        return False
    return True


def read_target(column: pd.Series, task: Task | None) -> tuple[Task, str, str | None]:
    """(the task, why, the form of its numbers if they have one); `task` is what the study says."""
    form = form_of(column)
    if form not in NUMBERS or task == "classification":
        form = None
    goal = column if form is None else plain(column, form)
    found, why = _guess_task(goal)
    if form is not None:
        why += f", {WORDS[form]}"
    if (task or found) == "classification":
        _check_classes(goal)
    why = why if task in (None, found) else f"as the study says, not {found}: {why}"
    return task or found, why, form


def _guess_task(target: pd.Series) -> tuple[Task, str]:
    kind, n_values = target.dtype, _n_values(target)
    if n_values < 2:
        has = "one value only" if n_values else "no values"
        raise InputError(f"The target {target.name!r} has {has}: there is nothing to learn.")
    if types.is_numeric_dtype(kind) and not types.is_bool_dtype(kind):
        if types.is_float_dtype(kind) and not _is_whole(target):
            return "regression", "numbers with fractions"
        if n_values > FEW:
            return "regression", f"{n_values:,} whole numbers"
        return "classification", f"{n_values} whole numbers"
    return "classification", f"{n_values:,} values"


def _check_classes(target: pd.Series) -> None:
    """Raises InputError where most classes have one row only, so that nothing is learnt of them."""
    counts = target.value_counts()
    counts = counts[counts > 0]
    if len(counts) > FEW and 2 * int((counts == 1).sum()) > len(counts):
        raise InputError(
            f"The target {target.name!r} has {len(counts):,} classes, most of them in one row only,"
            f" such as {str(counts.index[-1])[:40]!r}: name another column, or write its numbers as"
            " 1234.5 if it is one of numbers."
        )


def _check_named(table: pd.DataFrame, target: str, where: str, named: NamedColumns) -> None:
    names = [str(name) for name in table.columns]
    seen = {target}
    if target not in names:
        raise InputError(
            f"{where} has no column {target!r}{nearest(target, names)}, which is to be predicted: "
            "give a table that has it, or name yours as target in [data] of a study.toml."
        )
    for group in (named.categorical, named.continuous, named.ignore, named.dates):
        for name in group:
            if name not in names:
                raise InputError(f"The table has no column {name!r}{nearest(name, names)}.")
            if name in seen:
                raise InputError(f"The column {name!r} is named for two things: keep one.")
            seen.add(name)
