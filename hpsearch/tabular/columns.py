"""Which column of a table is what: categorical, continuous, a date, or of no use."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from pandas.api import types

from hpsearch.errors import InputError
from hpsearch.tabular.dates import parse_dates
from hpsearch.tabular.written import DATES, NUMBERS, UNSURE, WORDS, form_of, plain
from hpsearch.wording import nearest

FEW = 20
"""Whole numbers with at most so many distinct values are categories, as fastai's
`cont_cat_split` would have it."""
_DATE = re.compile(r"\s*(\d{4}-\d\d-\d\d|\d\d\.\d\d\.\d{4})", re.ASCII)
Task = Literal["classification", "regression"]


@dataclass(frozen=True)
class Columns:
    """The columns of a table by what they are for; `reasons` says why, for people, and `forms` in
    which of the forms of `written` the texts of a column of numbers or dates are."""

    target: str
    task: Task
    categorical: tuple[str, ...]
    continuous: tuple[str, ...]
    dates: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)
    forms: Mapping[str, str] = field(default_factory=dict)


def infer_columns(
    table: pd.DataFrame,
    target: str,
    *,
    categorical: Sequence[str] | None = None,
    continuous: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    dates: Sequence[str] = (),
    task: Task | None = None,
    where: str = "The table",
) -> Columns:
    """What is not said is found out: fractions and whole numbers with more than 20 distinct values
    are continuous, dates (and texts such as 2026-11-24) are dates, all else is categorical. Texts
    such as 1.234,56 and 24/11/2026 are numbers and dates where all of a column leave no doubt.
    Columns with one value, texts of which no two are equal, and numbers that count the rows are
    ignored.

    Raises InputError if a column is not there, is named twice, or nothing is left to learn from;
    `where` is what a sentence about a missing target begins with.
    """
    _check_named(table, target, where, (categorical or (), continuous or (), ignore, dates))
    kinds: dict[str, list[str]] = {"categorical": [], "continuous": [], "date": [], "ignored": []}
    reasons: dict[str, str] = {}
    forms: dict[str, str] = {}
    given = {
        **dict.fromkeys(categorical or (), "categorical"),
        **dict.fromkeys(continuous or (), "continuous"),
        **dict.fromkeys(dates, "date"),
        **dict.fromkeys(ignore, "ignored"),
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
    task, reasons[target], form = _read_target(table[target], task)
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
    n_values, n_cells = column.nunique(dropna=True), int(column.notna().sum())
    has_gaps = n_cells < len(column)
    if n_values == 0:
        unread = column.attrs.get("unread", {}).get(column.name)
        return "ignored", f"it is of the type {unread}" if unread else "it is empty"
    if n_values == 1 and not has_gaps:
        return "ignored", "it has one value only"
    if n_values == n_cells > FEW and types.is_integer_dtype(kind) and _counts_rows(column):
        return "ignored", "it counts the rows"
    if types.is_bool_dtype(kind):
        return "categorical", "yes or no"
    if types.is_datetime64_any_dtype(kind):
        return "date", "dates"
    if types.is_integer_dtype(kind) or (types.is_float_dtype(kind) and _is_whole(column)):
        if n_values <= FEW:
            return "categorical", f"{n_values} whole numbers"
        return "continuous", f"{n_values:,} whole numbers"
    if types.is_numeric_dtype(kind) or types.is_timedelta64_dtype(kind):
        return "continuous", "numbers with fractions"
    if _says_dates(column):
        return "date", "texts that are dates"
    if n_values == n_cells > FEW:
        return "ignored", "no two cells are equal, as in a name or a number of a row"
    return "categorical", f"{n_values:,} values"


def _counts_rows(column: pd.Series) -> bool:
    return bool((np.diff(column.to_numpy()) == 1).all())


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


def _read_target(column: pd.Series, task: Task | None) -> tuple[Task, str, str | None]:
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
    kind, n_values = target.dtype, target.nunique(dropna=True)
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


def _check_named(
    table: pd.DataFrame, target: str, where: str, groups: Collection[Sequence[str]]
) -> None:
    names = [str(name) for name in table.columns]
    seen = {target}
    if target not in names:
        raise InputError(
            f"{where} has no column {target!r}{nearest(target, names)}, which is to be predicted: "
            "give a table that has it, or name yours as target in [data] of a study.toml."
        )
    for group in groups:
        for name in group:
            if name not in names:
                raise InputError(f"The table has no column {name!r}{nearest(name, names)}.")
            if name in seen:
                raise InputError(f"The column {name!r} is named for two things: keep one.")
            seen.add(name)
