"""Checks the rows of a study that comes from another store, before this store takes them in.

Each row must look like a row that `export` writes from a store in which nothing is wrong. So a
forged row does no harm when `explain` or a run reads the study weeks later.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState

from hpsearch.store.tables import attributes, optuna_tables, schema
from hpsearch.store.tables.damage import MAX_CHARACTERS, UnreadableError, parse, parse_attr
from hpsearch.store.tables.optuna_tables import (
    ATTRS,
    DIRECTIONS,
    PARAMS,
    REPORTS,
    STUDIES,
    STUDY_ATTRS,
    STUDY_SYSTEM_ATTRS,
    SYSTEM_ATTRS,
    TRIALS,
    VALUES,
    parsed_range,
)

Row = Mapping[str, Any]
KEYS: dict[sa.Table, tuple[str, ...]] = {
    **optuna_tables.KEYS,
    schema.epoch: ("trial_id", "epoch"), schema.trial: ("trial_id",), schema.run: ("run_id",),
    schema.rule: ("rule_id",), schema.verification: ("verification_id",),
}  # fmt: skip
"""What names a row of each table: no two rows may have the same."""
DICTS = ("job", "versions", "metrics", "facts", "provenance", "payload")
COUNTS = (
    "objective", "number", "step", "attempts", "deaths", "trials", "workers", "pairs", "bytes",
    "seed", "replicate_of",
)  # fmt: skip
MAY_BE_EMPTY = ("datetime_start", "datetime_complete", "value", "intermediate_value")
"""What Optuna itself leaves empty, though its tables would let more be so."""
OURS = frozenset(schema.metadata.tables.values())


class BadRowError(ValueError):
    """A row that `export` never writes from a store in which nothing is wrong."""


@dataclass
class Checker:
    """Checks the rows of one study, table by table in the order in which they are exported."""

    seen: dict[sa.Table, set[tuple[Any, ...]]] = field(default_factory=dict)
    numbers: set[int] = field(default_factory=set)
    complete: dict[int, int] = field(default_factory=dict)
    """The complete trials by id, with their numbers."""
    objectives: set[int] = field(default_factory=set)
    valued: Counter[int] = field(default_factory=Counter)

    def check(self, table: sa.Table, row: Row) -> None:
        """Raises BadRowError with the reason."""
        _check_columns(table, row)
        if (names := KEYS.get(table)) is not None:
            key = tuple(row[name] for name in names)
            seen = self.seen.setdefault(table, set())
            if key in seen:
                raise BadRowError(f"there are two with {' and '.join(names)} {key}")
            seen.add(key)
        special: Callable[[Checker, Row], None] | None = CHECKS.get(table)
        if special is not None:
            special(self, row)

    def finish(self, table: sa.Table) -> None:
        """Check what must be true of all rows of a table together. Raises BadRowError."""
        if table is STUDIES and len(self.seen.get(table, ())) != 1:
            raise BadRowError("it is not of one study")
        if table is DIRECTIONS and self.objectives != set(range(max(len(self.objectives), 1))):
            raise BadRowError("the objectives are not numbered 0, 1, 2 ...")
        if table is TRIALS and self.numbers != set(range(len(self.numbers))):
            raise BadRowError("the trials are not numbered 0, 1, 2 ...")
        if table is VALUES:
            wrong = [n for i, n in self.complete.items() if self.valued[i] != len(self.objectives)]
            if wrong:
                raise BadRowError(f"trial {wrong[0]} is complete without all its values")


def _check_columns(table: sa.Table, row: Row) -> None:
    if unknown := [name for name in row if name not in table.c]:
        raise BadRowError(f"there is no column {unknown[0][:60]!r}")
    for column in table.c:
        value = row.get(column.name)
        if value is None:
            needed = not column.nullable and column.server_default is None
            if needed or (table not in OURS and column.name not in MAY_BE_EMPTY):
                raise BadRowError(f"its {column.name} is missing")
            continue
        if (why := _wrong(column, value)) is not None:
            raise BadRowError(f"its {column.name} {why}")


def _wrong(column: sa.Column[Any], value: Any) -> str | None:  # noqa: ANN401
    """Why the value cannot stand in the column."""
    kind = column.type
    if isinstance(kind, schema.Json):
        return "is no object" if column.name in DICTS and not isinstance(value, dict) else None
    if isinstance(kind, sa.DateTime):
        return None if isinstance(value, datetime) and value.tzinfo is None else "is no moment"
    if isinstance(kind, sa.Enum):
        known = kind.enum_class
        return None if known is not None and isinstance(value, known) else "is no such word"
    if isinstance(kind, sa.Integer):
        if isinstance(value, bool) or not isinstance(value, int):
            return "is no whole number"
        least = 0 if column.name in COUNTS else -(2**31)
        most = 2**63 if isinstance(kind, sa.BigInteger) else 2**31
        return None if least <= value < most else f"is {value}"
    if isinstance(kind, sa.Float | schema.Finite):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return None if number and math.isfinite(value) else "is no finite number"
    return _wrong_text(value, getattr(kind, "length", None) or MAX_CHARACTERS)


def _wrong_text(value: Any, longest: int) -> str | None:  # noqa: ANN401
    if not isinstance(value, str):
        return "is no text"
    if len(value) > longest:
        return f"is longer than {longest} characters"
    if "\0" in value or any("\ud800" <= one <= "\udfff" for one in value):
        return "holds a sign that no text holds"
    return None


def _direction(checker: Checker, row: Row) -> None:
    if row["direction"].name not in ("MINIMIZE", "MAXIMIZE"):
        raise BadRowError("its direction is none")
    checker.objectives.add(row["objective"])


def _study_attr(checker: Checker, row: Row) -> None:
    _parsed(row, lambda text: parse_attr(row["key"], text))


def _system_attr(checker: Checker, row: Row) -> None:
    names = _parsed(row, parse)
    if row["key"] == "study:metric_names" and not (
        isinstance(names, list)
        and all(isinstance(one, str) for one in names)
        and len(names) == len(checker.objectives)
    ):
        raise BadRowError("its metrics are not as many names as there are objectives")


def _trial(checker: Checker, row: Row) -> None:
    if row["number"] in checker.numbers:
        raise BadRowError(f"there are two trials with the number {row['number']}")
    checker.numbers.add(row["number"])
    if row["state"] == TrialState.COMPLETE:
        checker.complete[row["trial_id"]] = row["number"]


def _param(checker: Checker, row: Row) -> None:
    text = row["distribution_json"]
    try:
        parse(text)
        inside = _is_inside(parsed_range(text), row["param_value"])
    except (UnreadableError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise BadRowError(f"its distribution is none ({str(error)[:100]})") from None
    if not inside:
        raise BadRowError(f"its value {row['param_value']} is outside its distribution")


def _is_inside(distribution: BaseDistribution, value: float) -> bool:
    """Whether the internal value is one of the distribution; steps of .1 end a bit beyond .3."""
    if isinstance(distribution, CategoricalDistribution):
        return value == int(value) and 0 <= value < len(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    slack = 1e-8 * max(abs(distribution.low), abs(distribution.high))
    return distribution.low - slack <= value <= distribution.high + slack


def _value(checker: Checker, row: Row) -> None:
    if row["objective"] not in checker.objectives:
        raise BadRowError(f"there is no objective {row['objective']}")
    _check_number(row["value_type"].name, row["value"])
    checker.valued[row["trial_id"]] += 1


def _report(checker: Checker, row: Row) -> None:
    _check_number(row["intermediate_value_type"].name, row.get("intermediate_value"))


def _check_number(kind: str, value: float | None) -> None:
    if kind == "FINITE" and value is None:
        raise BadRowError("its value is missing")


def _attr(checker: Checker, row: Row) -> None:
    value, wanted = _parsed(row, parse), attributes.OF_PLAN.get(row["key"])
    if wanted is not None and (not isinstance(value, wanted) or isinstance(value, bool)):
        raise BadRowError(f"its {row['key']} is {str(value)[:40]!r}")
    if row["key"] == attributes.REPLICATE_OF and value not in checker.numbers:
        raise BadRowError(f"there is no trial {value} that it repeats")


def _trial_system_attr(checker: Checker, row: Row) -> None:
    value = _parsed(row, parse)
    if row["key"].startswith("constraints") and not isinstance(value, int | float | list):
        raise BadRowError("its constraint is no number")


def _parsed(row: Row, read: Callable[[Any], Any]) -> Any:  # noqa: ANN401
    try:
        return read(row["value_json"])
    except UnreadableError as error:
        raise BadRowError(f"of its attribute {row['key'][:60]!r} {error}") from None


def _epoch(checker: Checker, row: Row) -> None:
    if not 1 <= row["epoch"] <= row["epochs"]:
        raise BadRowError(f"it is epoch {row['epoch']} of {row['epochs']}")
    if not (isinstance(row["lrs"], list) and all(map(_is_number, row["lrs"]))):
        raise BadRowError("its lrs are no numbers")
    if not all(map(_is_number, row["metrics"].values())):
        raise BadRowError("its metrics are no numbers")


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _ours(checker: Checker, row: Row) -> None:
    copied = row.get("replicate_of")
    if copied is not None and copied not in checker.numbers:
        raise BadRowError(f"there is no trial {copied} that it repeats")


CHECKS: dict[sa.Table, Callable[[Checker, Row], None]] = {
    DIRECTIONS: _direction, STUDY_ATTRS: _study_attr, STUDY_SYSTEM_ATTRS: _system_attr,
    TRIALS: _trial, PARAMS: _param, VALUES: _value, REPORTS: _report, ATTRS: _attr,
    SYSTEM_ATTRS: _trial_system_attr, schema.epoch: _epoch, schema.trial: _ours,
}  # fmt: skip
