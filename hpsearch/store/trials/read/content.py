"""What trials hold: their states and times, parameters, values, reports and attributes.

Every statement to a server takes a round trip. So all trials of a study take one statement a table,
and a few trials take one statement beyond the one that reads their rows; Optuna takes six.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from optuna.trial import TrialState

from hpsearch.store.tables import schema
from hpsearch.store.tables.optuna_tables import (
    ATTRS,
    FINISHED,
    PARAMS,
    REPORTS,
    SYSTEM_ATTRS,
    TRIALS,
    VALUES,
    parts,
)

Condition = sa.ColumnElement[bool]
TIMES = (TRIALS.c.datetime_start, TRIALS.c.datetime_complete)
STARTED = (TrialState.RUNNING, *FINISHED)


def of_study(study_id: int, states: Sequence[TrialState] | None = None) -> Condition:
    """The condition that a trial is the study's, and in one of `states` if they are given."""
    own = TRIALS.c.study_id == study_id
    return own if states is None else sa.and_(own, TRIALS.c.state.in_(states))


def of_trials(trial_ids: Sequence[int]) -> Condition:
    """The condition that a trial is one of these."""
    return TRIALS.c.trial_id.in_(trial_ids)


# All that many trials hold: one statement a table. `ordered` is by the table's key, which is the
# order in which the rows were written; values stand in the order of their objectives.


def trials(connection: sa.Connection, where: Condition) -> Sequence[Any]:
    """Id, number, name of the state, start and end of the trials, by number."""
    state = sa.type_coerce(TRIALS.c.state, sa.String)
    query = sa.select(TRIALS.c.trial_id, TRIALS.c.number, state, *TIMES).where(where)
    return connection.execute(query.order_by(TRIALS.c.number)).all()


def params(connection: sa.Connection, where: Condition, *, ordered: bool) -> Sequence[Any]:
    """Trial's id, id there, name, internal value and range as JSON of the trials' parameters."""
    p = PARAMS.c
    query = _of(PARAMS, where, p.param_id, p.param_name, p.param_value, p.distribution_json)
    return _raw(connection, query.order_by(p.param_id) if ordered else query)


def values(connection: sa.Connection, where: Condition, *, ordered: bool) -> Sequence[Any]:
    """Trial's id, objective, number and its kind (NOT_FINITE) of the trials' values."""
    kind = sa.type_coerce(VALUES.c.value_type, sa.String)
    query = _of(VALUES, where, VALUES.c.objective, VALUES.c.value, kind)
    return _raw(connection, query.order_by(VALUES.c.objective) if ordered else query)


def reports(connection: sa.Connection, where: Condition, *, ordered: bool) -> Sequence[Any]:
    """Trial's id, step, number and its kind of what the trials reported on the way."""
    query = _of(REPORTS, where, *_reported())
    order = REPORTS.c.trial_intermediate_value_id
    return _raw(connection, query.order_by(order) if ordered else query)


def last_reports(connection: sa.Connection, where: Condition) -> Sequence[Any]:
    """The same of each trial's last step alone."""
    last = _of(REPORTS, where, sa.func.max(REPORTS.c.step).label("step"))
    last_step = last.group_by(REPORTS.c.trial_id).subquery()
    same = sa.and_(last_step.c.trial_id == REPORTS.c.trial_id, last_step.c.step == REPORTS.c.step)
    query = sa.select(REPORTS.c.trial_id, *_reported()).join(last_step, same)
    return _raw(connection, query)


def user_attrs(
    connection: sa.Connection, where: Condition, keys: Sequence[str] | None = None
) -> Sequence[Any]:
    """Trial's id, key and JSON of the trials' user attributes, or of those of `keys` alone."""
    query = _of(ATTRS, where, ATTRS.c.key, ATTRS.c.value_json)
    if keys is not None:
        return _raw(connection, query.where(ATTRS.c.key.in_(keys)))
    return _raw(connection, query.order_by(*ATTRS.primary_key))


def system_attrs(connection: sa.Connection, where: Condition) -> Sequence[Any]:
    """The same of the system attributes."""
    query = _of(SYSTEM_ATTRS, where, SYSTEM_ATTRS.c.key, SYSTEM_ATTRS.c.value_json)
    return _raw(connection, query.order_by(*SYSTEM_ATTRS.primary_key))


def _of(table: sa.Table, where: Condition, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    query = sa.select(table.c.trial_id, *columns)
    return query.join(TRIALS, TRIALS.c.trial_id == table.c.trial_id).where(where)


def _reported() -> tuple[sa.ColumnElement[Any], ...]:
    kind = sa.type_coerce(REPORTS.c.intermediate_value_type, sa.String)
    return REPORTS.c.step, REPORTS.c.intermediate_value, kind


def _raw(connection: sa.Connection, query: sa.Select[Any]) -> Sequence[Any]:
    """Rows as the driver gives them, twice as fast: for numbers and texts only."""
    cursor = connection.execute(query).cursor
    assert cursor is not None
    return cursor.fetchall()


# All that a few trials hold: two statements, one for their rows and one for the rest.

_ROWS = sa.select(TRIALS.c.trial_id, TRIALS.c.number, TRIALS.c.state, *TIMES)
PARAM, ATTR, SYSTEM_ATTR, VALUE, REPORT = range(5)


def claimed(connection: sa.Connection, own_rows: Sequence[Condition]) -> Sequence[Any]:
    """The rows of the trials whose rows of hps_trial are one of `own_rows`, with their deaths."""
    ours = schema.trial.c
    query = _ROWS.add_columns(ours.deaths).where(
        ours.trial_id == TRIALS.c.trial_id, sa.or_(*own_rows)
    )
    return connection.execute(query.order_by(TRIALS.c.trial_id)).all()


def started(connection: sa.Connection, study_id: int, after: int = -1) -> Sequence[Any]:
    """The rows of the study's trials that run or have ended, with ids greater than `after`."""
    query = _ROWS.where(
        TRIALS.c.study_id == study_id, TRIALS.c.trial_id > after, TRIALS.c.state.in_(STARTED)
    )
    return connection.execute(query.order_by(TRIALS.c.trial_id)).all()


def parts_of(connection: sa.Connection, trial_ids: Sequence[int]) -> Iterator[Any]:
    """All that belongs to these trials: `trial_id`, `kind` (PARAM ... REPORT), `id` there, and of
    `the_name`, `the_number`, `the_text`, `the_index` and `the_special` what a kind has."""
    for ids in parts(trial_ids):
        yield from connection.execute(_PARTS, {"ids": ids})


def _parts() -> sa.CompoundSelect[Any]:
    """What a kind lacks is a literal: a NULL would have no type on PostgreSQL, and a CAST another
    collation than the columns on MySQL."""
    none = {"name": "''", "number": "0.0", "text": "''", "index": "0", "special": "''"}

    def part(kind: int, table: sa.Table, **columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
        own = {name: columns.get(name, sa.literal_column(one)) for name, one in none.items()}
        (key,) = table.primary_key
        return sa.select(
            table.c.trial_id,
            sa.literal_column(str(kind)).label("kind"),
            key.label("id"),
            *(column.label(f"the_{name}") for name, column in own.items()),
        ).where(table.c.trial_id.in_(sa.bindparam("ids", expanding=True)))

    def word(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
        return sa.cast(column, sa.String(16))

    p, a, s, v, r = PARAMS.c, ATTRS.c, SYSTEM_ATTRS.c, VALUES.c, REPORTS.c
    return sa.union_all(
        part(PARAM, PARAMS, name=p.param_name, number=p.param_value, text=p.distribution_json),
        part(ATTR, ATTRS, name=a.key, text=a.value_json),
        part(SYSTEM_ATTR, SYSTEM_ATTRS, name=s.key, text=s.value_json),
        part(VALUE, VALUES, index=v.objective, number=v.value, special=word(v.value_type)),
        part(
            REPORT,
            REPORTS,
            index=r.step,
            number=r.intermediate_value,
            special=word(r.intermediate_value_type),
        ),
    )


_PARTS = _parts()


def end_of(connection: sa.Connection, trial_id: int) -> tuple[TrialState | None, list[float]]:
    """A trial's state and its values as they are stored; None for a trial that is gone."""
    query = (
        sa.select(TRIALS.c.state, VALUES.c.value)
        .outerjoin(VALUES, VALUES.c.trial_id == TRIALS.c.trial_id)
        .where(TRIALS.c.trial_id == trial_id)
        .order_by(VALUES.c.objective)
    )
    rows = connection.execute(query).all()
    found = [row.value for row in rows if row.value is not None]
    return (rows[0].state if rows else None), found
