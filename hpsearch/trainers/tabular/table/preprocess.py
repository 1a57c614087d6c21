"""Rows of a table as codes and numbers: fastai's FillMissing, Categorify and Normalize, and long
tails compressed.

Everything is learnt from the training rows. Code 0 is a missing cell or one that they do not have;
a value is known by its text (see `cells.name_of`), never by a code of its column.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import TypeAdapter

from hpsearch.core.words import quoted
from hpsearch.data.cells import (
    LARGEST,
    as_number,
    coded,
    is_number,
    name_of,
    names_of,
    numbers_of,
    parse_dates,
    plainly,
    present,
    too_large,
)
from hpsearch.data.read_cells import Kind, read_cells
from hpsearch.errors import InputError
from hpsearch.trainers.tabular.table.columns import Columns
from hpsearch.trainers.tabular.table.dates import date_part, part_names, part_prefixes

Codes = npt.NDArray[np.int32]
LONG_TAIL = 6
"""Deviations from the mean: a column with numbers farther out has a long tail. Of a normal
distribution no billion numbers have one."""


@dataclass(frozen=True)
class Encoded:
    """`codes` (rows, categorical columns) and `numbers` (rows, continuous columns) of a table."""

    codes: Codes
    numbers: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Continuous:
    """How a continuous column is filled and normalised.

    `median` fills the gaps; `mean` and `std` normalise the numbers. `flagged`: the training rows
    have gaps, and an additional categorical column says where the gaps are. `long_tail`: each
    normalised number z is replaced by arcsinh(z). It is about z near 0 and grows like a logarithm
    far from 0. Batch norm divides all numbers of a column by the same deviation; with arcsinh, a
    few large amounts do not determine this deviation.
    """

    median: float
    mean: float
    std: float
    flagged: bool
    long_tail: bool

    def normalise(self, cells: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The column as the network sees it, of numbers without gaps."""
        normal = (cells - self.mean) / self.std
        return np.arcsinh(normal) if self.long_tail else normal


@dataclass(frozen=True)
class Preprocessor:
    """Categories (code 1, 2, ... in sorted order) and statistics of the training rows' columns.

    The codes are those of `categories`, then one column for every flagged continuous one. `forms`
    says of columns how their texts write numbers and dates (see data/cells.py). `prefixes` holds
    what the names of a date's parts begin with, where that is not its column's name without "date".
    """

    categories: Mapping[str, tuple[str, ...]]
    continuous: Mapping[str, Continuous]
    dates: tuple[str, ...]
    forms: Mapping[str, str] = field(default_factory=dict)
    prefixes: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def fit(table: pd.DataFrame, columns: Columns, *, compress_tails: bool = True) -> Preprocessor:
        """Learn from the training rows."""
        table = plainly(table, columns.forms)
        prefixes = part_prefixes(columns.dates, (*columns.categorical, *columns.continuous))
        parts = _date_parts(table, columns.dates, prefixes)
        made = {name: (_part_is_categorical(name), cells) for name, cells in parts.items()}
        categories = {name: _categories(table[name]) for name in columns.categorical}
        categories |= {name: _categories(cells) for name, (is_cat, cells) in made.items() if is_cat}
        numbers = {name: table[name] for name in columns.continuous}
        numbers |= {name: cells for name, (is_cat, cells) in made.items() if not is_cat}
        continuous = {n: _statistics(cells, compress_tails) for n, cells in numbers.items()}
        forms = {n: form for n, form in columns.forms.items() if n != columns.target}
        return Preprocessor(categories, continuous, columns.dates, forms, prefixes)

    @property
    def flags(self) -> list[str]:
        """The continuous columns with a code for whether the cell is missing."""
        return [name for name, one in self.continuous.items() if one.flagged]

    @property
    def n_categories(self) -> tuple[int, ...]:
        """Of each column of codes, code 0 included."""
        return (*(len(known) + 1 for known in self.categories.values()), *([3] * len(self.flags)))

    @property
    def n_continuous(self) -> int:
        return len(self.continuous)

    @property
    def texts(self) -> list[str]:
        """The columns whose cells must be read from a CSV as texts, because numbers would be wrong.

        - Columns with a form: there, 1.234 may mean 1234.
        - Categorical columns with a category such as 01, which differs from 1. In a file that has
          only such cells, the column would be read as numbers.
        - Categorical columns with whole numbers of 2**53 or more. A column with fractions cannot
          hold them exactly.
        """
        return [
            *self.forms,
            *(
                name
                for name, known in self.categories.items()
                if not all(is_number(one) and abs(float(one)) < 2**53 for one in known)
            ),
        ]

    def transform(self, table: pd.DataFrame) -> Encoded:
        """Any rows; columns may stand in any order, others beside them.

        Raises InputError if a column is missing, or a cell of a continuous one is no number.
        """
        self.check_columns(table)
        table = plainly(table, self.forms)
        parts = _date_parts(table, self.dates, self.prefixes)
        codes = np.zeros((len(table), len(self.n_categories)), np.int32)
        numbers = np.zeros((len(table), self.n_continuous), np.float32)
        for i, (name, known) in enumerate(self.categories.items()):
            codes[:, i] = _encode(parts[name] if name in parts else table[name], known)
        for i, (name, one) in enumerate(self.continuous.items()):
            cells = numbers_of(parts[name] if name in parts else table[name])
            gaps = np.isnan(cells)
            if one.flagged:
                codes[:, len(self.categories) + self.flags.index(name)] = np.where(gaps, 2, 1)
            cells[gaps] = one.median
            numbers[:, i] = one.normalise(cells)
        return Encoded(codes, numbers)

    @property
    def columns(self) -> list[str]:
        """The columns that a table must have."""
        made = {
            part for column in self.dates for part in part_names(column, self.prefixes.get(column))
        }
        own = [name for name in (*self.categories, *self.continuous) if name not in made]
        return [*own, *self.dates]

    def check_columns(self, table: pd.DataFrame) -> None:
        """Raises InputError, which names all columns that are missing."""
        if missing := [name for name in self.columns if name not in table.columns]:
            word, them = ("column", "it") if len(missing) == 1 else ("columns", "them")
            raise InputError(
                f"The table has no {word} {quoted(missing)}, which the model was trained on: add "
                f"{them}, empty where nothing is known."
            )

    def readable(self, table: pd.DataFrame) -> tuple[pd.DataFrame, list[str | None]]:
        """(the table with those cells emptied that are no numbers or dates where the model takes
        them; for each row the reason why it cannot be used, None for the others)."""
        table = plainly(table, self.forms)
        reasons: list[str | None] = [None] * len(table)
        kinds: dict[str, Kind] = {
            name: "number" for name in self.continuous if name in self.columns
        }
        kinds |= dict.fromkeys(self.dates, "date")
        made = {}
        for name, kind in kinds.items():
            made[name], wrong = read_cells(table[name], kind)
            for row in np.flatnonzero(wrong):
                reasons[row] = f"{name}: {str(table[name].iloc[row])[:40]!r} is no {kind}"
        return table.assign(**made), reasons

    def unseen(self, table: pd.DataFrame) -> dict[str, tuple[int, str]]:
        """Of each categorical column with values that the training rows lack how many cells have
        one, and such a value."""
        found = {}
        for name, known in self.categories.items():
            if name not in table.columns:
                continue  # made of a date
            missing = coded_missing(table[name])
            new = (_encode(table[name], known) == 0) & ~missing
            if new.any():
                found[name] = int(new.sum()), str(table[name].iloc[int(new.argmax())])
        return found

    def to_json(self) -> dict[str, Any]:
        return {
            "categories": [[name, list(known)] for name, known in self.categories.items()],
            "continuous": [[name, asdict(one)] for name, one in self.continuous.items()],
            "dates": list(self.dates),
            "forms": dict(self.forms),
            "prefixes": dict(self.prefixes),
        }

    @staticmethod
    def from_json(content: object) -> Preprocessor:
        """What `to_json` gave. Raises pydantic's ValidationError for what it never gives."""
        stored = TypeAdapter(_Stored).validate_python(content)
        return Preprocessor(
            {name: tuple(known) for name, known in stored.categories},
            dict(stored.continuous),
            tuple(stored.dates),
            stored.forms,
            stored.prefixes,
        )


@dataclass(frozen=True)
class _Stored:
    """A preprocessor as JSON, which may be a stranger's."""

    categories: list[tuple[str, list[str]]]
    continuous: list[tuple[str, Continuous]]
    dates: list[str]
    forms: dict[str, str] = field(default_factory=dict)
    prefixes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Target:
    """What is predicted: `classes` in sorted order, or none for numbers with `mean` and `std`."""

    name: str
    classes: tuple[str, ...]
    mean: float
    std: float

    @staticmethod
    def fit(table: pd.DataFrame, columns: Columns) -> Target:
        """Learn from the training rows. Raises InputError if a cell is missing, or one class."""
        column = table[columns.target]
        if columns.task == "classification":
            known = _categories(column)
            if len(known) < 2:
                raise InputError(
                    f"The training rows have one {columns.target} only: there is nothing to learn."
                )
            return Target(columns.target, known, 0.0, 1.0)
        numbers = _target_numbers(column)
        std = float(numbers.std())
        return Target(columns.target, (), float(numbers.mean()), std if std > 0 else 1.0)

    def encode(self, column: pd.Series) -> npt.NDArray[Any]:
        """int64 codes of the classes, or float32 numbers (rows,).

        Raises InputError if a cell is missing, or of a class that the training rows do not have.
        """
        if not self.classes:
            return _target_numbers(column).astype(np.float32)
        codes = _encode(column, self.classes).astype(np.int64) - 1
        check_whole(self.name, coded_missing(column))
        if (unknown := codes < 0).any():
            found = column[unknown].iloc[0]
            raise InputError(
                f"The target {self.name!r} has {str(found)!r} in {int(unknown.sum()):,} rows that "
                "are not trained on, and in no training row: add rows of it, or leave these out."
            )
        return codes

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(content: object) -> Target:
        """What `to_json` gave. Raises pydantic's ValidationError for what it never gives."""
        return TypeAdapter(Target).validate_python(content)


def _target_numbers(column: pd.Series) -> npt.NDArray[np.float64]:
    """The target's cells (rows,). Raises InputError for a missing one, and for one too large."""
    if (large := too_large(column)).any():
        row = int(large.argmax())
        raise InputError(
            f"The target {column.name!r} is {column.iloc[row]} in row {row + 1:,}: numbers beyond "
            f"{LARGEST:.2g} cannot be learned, so give it in a larger unit or its logarithm."
        )
    numbers = numbers_of(column)
    check_whole(str(column.name), np.isnan(numbers))
    return numbers


def coded_missing(column: pd.Series) -> npt.NDArray[np.bool_]:
    """(rows,) which cells count as missing."""
    codes, values = coded(column)
    missing = np.array([name is None for name in names_of(values)] + [True])
    return missing[codes]


def check_whole(name: str, missing: npt.NDArray[np.bool_]) -> None:
    """Raises InputError where a cell of the target `name` is missing."""
    if missing.any():
        raise InputError(
            f"The target {name!r} is missing in {int(missing.sum()):,} of {len(missing):,} rows "
            f"(the first is row {int(missing.argmax()) + 1:,}): fill them in, or leave them out "
            "with --skip-bad-rows."
        )


def _categories(column: pd.Series) -> tuple[str, ...]:
    """The names of the values that stand in the column; numbers in their order."""
    codes, values = coded(column)
    here = present(codes, len(values))
    names = {
        n for n, is_here in zip(names_of(values), here, strict=True) if is_here and n is not None
    }
    return tuple(sorted(names, key=_in_order))


def _in_order(name: str) -> tuple[bool, float, str]:
    try:
        return False, float(name), name
    except ValueError:
        return True, 0.0, name


def _encode(column: pd.Series, known: tuple[str, ...]) -> Codes:
    """Encode the cells (rows,): 1, 2, ... for the `known` names in their order, 0 for all others.

    If all known names are numbers, a text that can be read as one of these numbers gets its code.
    For example, " 1" and 01 get the code of 1. Another file may have words in the same column; then
    all cells of that column are texts.
    """
    codes, values = coded(column)
    # By their names of today: models that were saved earlier know texts with blanks around them.
    code_of = {name_of(name): i for i, name in enumerate(known, start=1)}
    names = names_of(values)
    if all(map(is_number, known)):
        names = [
            next((one for one in (name, *as_number(name)) if one in code_of), None)
            for name in names
        ]
    table = [code_of.get(name, 0) if name is not None else 0 for name in names]
    return np.array([*table, 0], np.int32)[codes]


def _statistics(column: pd.Series, compress_tails: bool) -> Continuous:
    cells = numbers_of(column)
    gaps = np.isnan(cells)
    median = float(np.median(cells[~gaps])) if not gaps.all() else 0.0
    cells[gaps] = median
    mean, std = float(cells.mean()), float(cells.std())
    # What varies in the last digits only is constant: to divide by it would make noise of it.
    steady = std <= 1e-7 * max(1.0, abs(mean))
    std = 1.0 if steady else std
    farthest = max(cells.max() - mean, mean - cells.min()) / std
    long_tail = compress_tails and not steady and bool(farthest > LONG_TAIL)
    return Continuous(median, mean, std, bool(gaps.any()), long_tail)


def _date_parts(
    table: pd.DataFrame, dates: tuple[str, ...], prefixes: Mapping[str, str]
) -> dict[str, pd.Series]:
    """Every date column's parts. Raises InputError if one is not there or holds no dates."""
    made: dict[str, pd.Series] = {}
    for column in dates:
        if column not in table.columns:
            raise InputError(f"The table has no column {column!r}, which the model was trained on.")
        parsed = parse_dates(table[column])
        names = part_names(column, prefixes.get(column))
        made |= {name: date_part(parsed, part) for name, part in names.items()}
    return made


def _part_is_categorical(name: str) -> bool:
    return not name.endswith(("Elapsed", "Year"))
