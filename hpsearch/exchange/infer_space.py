"""From the values in a column to the parameter that they were drawn from: type, range, scale."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from hpsearch.core.words import quoted
from hpsearch.data.cells import number_in
from hpsearch.errors import InputError
from hpsearch.exchange.cells import NOTHING

FEW = 10
"""As many different numbers may be categories, where a scale cannot hold them all."""
LOG_RATIO = 8.0
"""Ranges whose ends are nearer to each other than that are never taken for logarithmic."""


@dataclass(frozen=True)
class Overrides:
    """What the user says about parameters, against what their values look like."""

    log: frozenset[str] = frozenset()
    linear: frozenset[str] = frozenset()
    categorical: frozenset[str] = frozenset()
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def check(self, params: Sequence[str]) -> None:
        """Raises InputError for a name that is no parameter, or two that exclude one another."""
        for option, names in (
            ("--log", self.log),
            ("--linear", self.linear),
            ("--categorical", self.categorical),
            ("--range", frozenset(self.ranges)),
        ):
            if unknown := sorted(names - set(params)):
                raise InputError(
                    f"{option} {unknown[0]}: there is no such parameter; there are "
                    f"{quoted(params)}."
                )
        numeric = self.log | self.linear | set(self.ranges)
        if twice := sorted((self.log & self.linear) | (self.categorical & numeric)):
            raise InputError(f"{twice[0]} is asked to have two scales: drop one of the options.")


@dataclass(frozen=True)
class Inferred:
    """The distribution of a parameter, its value in each row (NOTHING: none), and what a person
    should know about it."""

    distribution: BaseDistribution
    values: list[Any]
    note: str = ""


def infer(name: str, cells: Sequence[Any], overrides: Overrides) -> Inferred:
    """The parameter that has these cells.

    Whole numbers are integers, in steps where they are multiples; words and truth values are
    categories; the range is that of the values. A few numbers with None among them are categories,
    and so are a few numbers with 0 among them where the others are on a log scale. Raises
    InputError for a wish that cannot be met.
    """
    numbers = None if name in overrides.categorical else _numbers(cells)
    scaled = name in overrides.log | overrides.linear | set(overrides.ranges)
    if numbers is not None:
        distinct = {value for value in numbers if value is not NOTHING}
        if any(map(_is_none, cells)) and not scaled:
            if len(distinct) <= FEW:
                return _grid(name, cells, numbers, "None is one of its values")
            note = f"{name} is None in some rows: read there as a parameter without a value."
            return replace(_numeric(name, numbers, overrides), note=note)
        if 0 in distinct and not scaled and _is_log_grid(distinct):
            why = "0 has no place on the log scale of the others (--log takes it for the lowest)"
            return _grid(name, cells, numbers, why)
        found = _numeric(name, numbers, overrides)
        if 0 in distinct and not scaled and looks_logarithmic(np.array([*distinct - {0}])):
            note = (
                f"{name}: linear, because of its 0; the others are on a log scale (--log {name})."
            )
            return replace(found, note=note)
        return found
    if name in overrides.log | overrides.linear | set(overrides.ranges):
        odd = next(c for c in cells if _number(c) is None)
        raise InputError(f"{name} has no numbers only (it has {str(odd)[:40]!r}): it has no scale.")
    values = [_category(cell) for cell in cells]
    choices = sorted({(str(type(v)), v) for v in values if v is not NOTHING}, key=_order)
    return Inferred(CategoricalDistribution([value for _, value in choices]), values)


def _is_none(cell: Any) -> bool:  # noqa: ANN401
    """Whether a cell says None, which is a value; an empty one says nothing."""
    return cell is None or (isinstance(cell, str) and cell.strip().lower() in ("none", "null"))


def _is_log_grid(values: Collection[float]) -> bool:
    """Whether a few numbers are 0 and others on a log scale."""
    above = np.array([value for value in values if value > 0], np.float64)
    return 2 <= len(above) <= FEW and len(above) == len(values) - 1 and looks_logarithmic(above)


def _grid(name: str, cells: Sequence[Any], numbers: Sequence[Any], why: str) -> Inferred:
    """A few numbers, and perhaps None, as categories."""
    whole = all(value is NOTHING or float(value).is_integer() for value in numbers)
    kind = int if whole else float
    values = [
        None if _is_none(cell) else NOTHING if number is NOTHING else kind(number)
        for cell, number in zip(cells, numbers, strict=True)
    ]
    known = {value for value in values if value is not NOTHING and value is not None}
    choices = [*([None] if None in values else []), *sorted(known)]
    note = f"{name}: its {len(choices)} values are categories, because {why}."
    return Inferred(CategoricalDistribution(choices), values, note)


def _order(choice: tuple[str, Any]) -> tuple[str, Any]:
    """Numbers in their order, words in theirs."""
    kind, value = choice
    return ("number", value) if isinstance(value, int | float) else (kind, value)


def _category(cell: Any) -> Any:  # noqa: ANN401
    if cell is NOTHING or (isinstance(cell, float) and math.isnan(cell)):
        return NOTHING
    if cell is None:
        return None
    if isinstance(cell, str):
        lower = cell.strip().lower()
        if lower in ("", "nan"):
            return NOTHING
        return lower == "true" if lower in ("true", "false") else cell
    return cell if isinstance(cell, bool | int | float) else str(cell)


def _numbers(cells: Sequence[Any]) -> list[float | int | Any] | None:
    """The numbers in the cells, NOTHING where there is none; None where some are no numbers."""
    known = {}
    for cell in set(cells):
        known[cell] = _number(cell)
        if known[cell] is None:
            return None
    if all(value is NOTHING for value in known.values()):
        return None
    return [known[cell] for cell in cells]


def _number(cell: Any) -> Any:  # noqa: ANN401
    """The finite number in a cell, NOTHING for a missing one, None for anything else."""
    if cell is NOTHING or cell is None:
        return NOTHING
    if isinstance(cell, str):
        cell = number_in(cell)
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return None
    if isinstance(cell, float) and math.isnan(cell):
        return NOTHING
    return cell if math.isfinite(cell) else None


def _numeric(name: str, numbers: Sequence[Any], overrides: Overrides) -> Inferred:
    note = ""
    if name in overrides.log and any(value == 0 for value in numbers if value is not NOTHING):
        numbers, note = _without_zero(name, numbers)
    found = np.array([value for value in numbers if value is not NOTHING], np.float64)
    low, high = overrides.ranges.get(name, (float(found.min()), float(found.max())))
    if low > found.min() or high < found.max():
        raise InputError(
            f"--range {name}={low:g}:{high:g} leaves out values: they go from {found.min():g} to "
            f"{found.max():g}."
        )
    log = name in overrides.log or (name not in overrides.linear and looks_logarithmic(found))
    if log and low <= 0:
        raise InputError(f"--log {name}: it goes down to {low:g}, and only numbers above 0 can.")
    whole = bool(np.all(found == np.round(found))) and max(abs(low), abs(high)) <= 2**53
    if whole and float(low).is_integer() and float(high).is_integer():
        values = [NOTHING if value is NOTHING else int(value) for value in numbers]
        step = 1 if log else _step(found, int(low), int(high))
        return Inferred(IntDistribution(int(low), int(high), log=log, step=step), values, note)
    values = [NOTHING if value is NOTHING else float(value) for value in numbers]
    return Inferred(FloatDistribution(low, high, log=log), values, note)


def _without_zero(name: str, numbers: Sequence[Any]) -> tuple[list[Any], str]:
    """Numbers with 0 moved to a tenth of the lowest other one, and a note that says so."""
    above = [value for value in numbers if value is not NOTHING and value > 0]
    if not above:
        return list(numbers), ""
    lowest = min(above) / 10
    note = f"{name}: 0 stands at {lowest:g}, a tenth of the lowest other value, on its log scale."
    return [lowest if value == 0 else value for value in numbers], note


def _step(found: np.ndarray, low: int, high: int) -> int:
    """The largest step that reaches all values from the lowest, if three or more show it."""
    distinct = np.unique(found).astype(np.int64)
    if len(distinct) < 3:
        return 1
    step = reduce(math.gcd, (int(value) - low for value in distinct[1:]), int(distinct[0]) - low)
    return step if step > 0 and (high - low) % step == 0 else 1


def looks_logarithmic(values: np.ndarray) -> bool:
    """Whether positive values (n,) were rather drawn uniformly in their logarithm than as they are.

    The likelihood ratio of the two between the lowest and the highest value, which is the test of
    the fewest errors (Neyman and Pearson 1933).
    """
    low, high = float(values.min()), float(values.max())
    if low <= 0 or high < LOG_RATIO * low:
        return False
    uniform = -math.log(high - low)
    logarithmic = -float(np.log(values).mean()) - math.log(math.log(high / low))
    return logarithmic > uniform
