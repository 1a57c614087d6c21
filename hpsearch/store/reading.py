"""Queries that only read: summaries of studies, rows of our tables, counts for the display."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from optuna.study import StudyDirection
from optuna.trial import TrialState

from hpsearch.store import schema
from hpsearch.store.connections import reader
from hpsearch.store.optuna_tables import ATTRS, DIRECTIONS, STUDIES, STUDY_ATTRS, TRIALS, VALUES

INFEASIBLE = "hps_infeasible"
"""The attribute of a trial that is over one of its run's limits: which of them."""

Row = dict[str, Any]


@dataclass(frozen=True)
class StudySummary:
    """A study at a glance. `best_value` and `best_number` are None before a trial is complete."""

    study_id: int
    name: str
    directions: tuple[str, ...]
    counts: dict[str, int]
    """Trials by state: complete, pruned, fail, running, waiting."""
    best_value: float | None
    best_number: int | None
    attrs: dict[str, Any] = field(default_factory=dict)

    @property
    def trials(self) -> int:
        return sum(self.counts.values())

    @property
    def finished(self) -> int:
        return sum(self.counts.get(state, 0) for state in ("complete", "pruned", "fail"))


def study_id(engine: sa.Engine, name: str) -> int | None:
    query = sa.select(STUDIES.c.study_id).where(STUDIES.c.study_name == name)
    with reader(engine) as connection:
        return connection.execute(query).scalar()


def studies(engine: sa.Engine) -> list[StudySummary]:
    """All studies, oldest first. One query a table, whatever the number of studies."""
    with reader(engine) as connection:
        names = connection.execute(
            sa.select(STUDIES.c.study_id, STUDIES.c.study_name).order_by(STUDIES.c.study_id)
        ).all()
        directions: dict[int, list[StudyDirection]] = {}
        for row in connection.execute(sa.select(DIRECTIONS).order_by(DIRECTIONS.c.objective)):
            directions.setdefault(row.study_id, []).append(row.direction)
        attrs: dict[int, dict[str, Any]] = {}
        for row in connection.execute(sa.select(STUDY_ATTRS)):
            attrs.setdefault(row.study_id, {})[row.key] = json.loads(row.value_json)
        counts: dict[int, Counter[str]] = {}
        query = sa.select(TRIALS.c.study_id, TRIALS.c.state, sa.func.count()).group_by(
            TRIALS.c.study_id, TRIALS.c.state
        )
        for one, state, count in connection.execute(query):
            counts.setdefault(one, Counter())[state.name.lower()] = count
        summaries = []
        for one, name in names:
            directed = directions.get(one, [])
            best = _best(connection, one, directed[0]) if directed else None
            summaries.append(
                StudySummary(
                    study_id=one,
                    name=name,
                    directions=tuple(direction.name.lower() for direction in directed),
                    counts=dict(counts.get(one, {})),
                    best_value=best[0] if best else None,
                    best_number=best[1] if best else None,
                    attrs=attrs.get(one, {}),
                )
            )
    return summaries


def _best(
    connection: sa.Connection, study: int, direction: StudyDirection
) -> tuple[float, int] | None:
    """Value and number of the best complete trial, by its first objective, within its limits."""
    infeasible = sa.select(ATTRS.c.trial_id).where(ATTRS.c.key == INFEASIBLE)
    order = VALUES.c.value.desc() if direction == StudyDirection.MAXIMIZE else VALUES.c.value
    query = (
        sa.select(VALUES.c.value, TRIALS.c.number)
        .join(TRIALS, TRIALS.c.trial_id == VALUES.c.trial_id)
        .where(TRIALS.c.study_id == study, TRIALS.c.state == TrialState.COMPLETE)
        .where(VALUES.c.value.is_not(None), VALUES.c.objective == 0)
        .where(TRIALS.c.trial_id.not_in(infeasible))
        .order_by(order, TRIALS.c.number)
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else (row.value, row.number)


def best(engine: sa.Engine, study: int, direction: StudyDirection) -> tuple[float, int] | None:
    with reader(engine) as connection:
        return _best(connection, study, direction)


def rows(
    engine: sa.Engine,
    table: sa.Table,
    order: sa.Column[Any],
    where: sa.ColumnElement[bool] | None = None,
) -> list[Row]:
    query = sa.select(table).order_by(order)
    return _found(engine, query if where is None else query.where(where))


def _found(engine: sa.Engine, query: sa.Select[Any]) -> list[Row]:
    with reader(engine) as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def trials(engine: sa.Engine, study: int) -> list[Row]:
    query = (
        sa.select(TRIALS.c.number, schema.trial)
        .join(schema.trial, schema.trial.c.trial_id == TRIALS.c.trial_id)
        .where(TRIALS.c.study_id == study)
        .order_by(TRIALS.c.number)
    )
    return _found(engine, query)


def epochs(engine: sa.Engine, study: int) -> list[Row]:
    query = (
        sa.select(TRIALS.c.number, schema.epoch)
        .join(schema.epoch, schema.epoch.c.trial_id == TRIALS.c.trial_id)
        .where(TRIALS.c.study_id == study)
        .order_by(TRIALS.c.number, schema.epoch.c.epoch)
    )
    return _found(engine, query)


def newest_rules(engine: sa.Engine, study: int) -> list[Row]:
    table = schema.rule
    newest = (
        sa.select(sa.func.max(table.c.explained_at))
        .where(table.c.study_id == study)
        .scalar_subquery()
    )
    where = sa.and_(table.c.study_id == study, table.c.explained_at == newest)
    return rows(engine, table, table.c.rule_id, where)


def table_counts(engine: sa.Engine) -> dict[str, int]:
    with reader(engine) as connection:
        names = sorted(sa.inspect(connection).get_table_names())
        count = sa.select(sa.func.count())
        return {
            name: connection.execute(count.select_from(sa.table(name))).scalar_one()
            for name in names
        }


def failures(engine: sa.Engine, study: int, run_id: int | None = None) -> list[str]:
    """Why the failed trials of the study (or of one run of it) failed."""
    reasons = ATTRS.c.value_json
    query = (
        sa.select(reasons)
        .join(TRIALS, TRIALS.c.trial_id == ATTRS.c.trial_id)
        .where(TRIALS.c.study_id == study, TRIALS.c.state == TrialState.FAIL)
        .where(ATTRS.c.key == "hps_failure")
        .order_by(TRIALS.c.number)
    )
    if run_id is not None:
        query = query.join(schema.trial, schema.trial.c.trial_id == TRIALS.c.trial_id)
        query = query.where(schema.trial.c.run_id == run_id)
    with reader(engine) as connection:
        return [json.loads(row.value_json) for row in connection.execute(query)]


def states(engine: sa.Engine, study: int, run_id: int | None = None) -> dict[TrialState, int]:
    """How many trials of the study (or of one run of it) are in each state."""
    query = sa.select(TRIALS.c.state, sa.func.count()).where(TRIALS.c.study_id == study)
    if run_id is not None:
        query = query.join(schema.trial, schema.trial.c.trial_id == TRIALS.c.trial_id)
        query = query.where(schema.trial.c.run_id == run_id)
    with reader(engine) as connection:
        rows = connection.execute(query.group_by(TRIALS.c.state))
        return {state: count for state, count in rows}  # noqa: C416 (a Row is typed as a tuple)
