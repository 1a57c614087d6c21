"""Rows of any table, Optuna's or ours, whole: for the archive and the doctor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from optuna.trial import TrialState

from hpsearch.store.tables import schema
from hpsearch.store.tables.damage import MAX_CHARACTERS
from hpsearch.store.tables.optuna_tables import PARAMS, STUDIES, TRIALS, VALUES

Condition = sa.ColumnElement[bool]
ROWS_AT_ONCE = 1000


def of_study(connection: sa.Connection, table: sa.Table, study_id: int) -> sa.MappingResult:
    """The table's rows that are the study's, directly or through one of its trials."""
    query = sa.select(table).where(_belongs(table, study_id)).order_by(*table.primary_key)
    return connection.execution_options(yield_per=ROWS_AT_ONCE).execute(query).mappings()


def _belongs(table: sa.Table, study_id: int) -> Condition:
    trials = sa.select(TRIALS.c.trial_id).where(TRIALS.c.study_id == study_id)
    if "study_id" not in table.c:
        return table.c.trial_id.in_(trials)
    own = table.c.study_id == study_id
    if table in (schema.event, schema.artifact):
        return sa.or_(own, table.c.trial_id.in_(trials))
    return own


def matching(
    connection: sa.Connection, table: sa.Table, where: Condition
) -> Sequence[sa.RowMapping]:
    """The table's rows in the order in which they were written."""
    query = sa.select(table).where(where).order_by(*table.primary_key)
    return connection.execute(query).mappings().all()


# Rows whose trial or study is gone


def is_orphan(table: sa.Table) -> Condition:
    """The condition that a row's trial (of the trials themselves: its study) is gone."""
    if "trial_id" in table.c and table is not TRIALS:
        return table.c.trial_id.not_in(sa.select(TRIALS.c.trial_id))
    return table.c.study_id.not_in(sa.select(STUDIES.c.study_id))


def count_orphans(connection: sa.Connection, table: sa.Table) -> int:
    query = sa.select(sa.func.count()).select_from(table).where(is_orphan(table))
    return int(connection.execute(query).scalar_one())


# Trials that are not as they should be


def number_ranges(
    connection: sa.Connection,
) -> Sequence[Any]:
    """(study, its trials, different numbers of them, greatest number) of each study."""
    trials, distinct = sa.func.count(), sa.func.count(sa.distinct(TRIALS.c.number))
    query = sa.select(TRIALS.c.study_id, trials, distinct, sa.func.max(TRIALS.c.number))
    return connection.execute(query.group_by(TRIALS.c.study_id)).all()


def ended_before_start(connection: sa.Connection) -> list[tuple[int, str]]:
    """Number and study's name of the trials that end before they start."""
    return _named(connection, TRIALS.c.datetime_complete < TRIALS.c.datetime_start)


def without_values(connection: sa.Connection) -> list[tuple[int, str]]:
    """Number and study's name of the complete trials that have no value."""
    without = TRIALS.c.trial_id.not_in(sa.select(VALUES.c.trial_id))
    return _named(connection, sa.and_(TRIALS.c.state == TrialState.COMPLETE, without))


def _named(connection: sa.Connection, where: Condition) -> list[tuple[int, str]]:
    query = (
        sa.select(TRIALS.c.number, STUDIES.c.study_name)
        .join(STUDIES, STUDIES.c.study_id == TRIALS.c.study_id)
        .where(where)
        .order_by(TRIALS.c.trial_id)
    )
    return [(number, name) for number, name in connection.execute(query)]


# Cells as they stand, also those that nobody can read


def cells(connection: sa.Connection, table: sa.Table, column: str) -> Iterable[Any]:
    """(id, key or "", cell, characters) of each row; a cell longer than MAX_CHARACTERS is None."""
    (key,) = table.primary_key
    named = table.c.key if "key" in table.c else sa.literal("")
    length = sa.func.length(sa.cast(table.c[column], sa.Text))
    short = sa.case((length <= MAX_CHARACTERS, _raw(connection, table.c[column])))
    query = sa.select(key, named, short, length).order_by(key)
    return connection.execution_options(yield_per=ROWS_AT_ONCE).execute(query)


def raw_row(connection: sa.Connection, table: sa.Table, row_id: int) -> dict[str, Any]:
    """The cells of a row by column."""
    (key,), columns = table.primary_key, list(table.c)
    raw = [_raw(connection, column).label(column.name) for column in columns]
    row = connection.execute(sa.select(*raw).where(key == row_id)).one()
    return {column.name: cell for column, cell in zip(columns, row, strict=True)}


def ranges_of_others(connection: sa.Connection, param_id: int) -> list[Any]:
    """The ranges, as JSON, that a parameter has in all other trials of the study."""
    mine, own = PARAMS.alias(), TRIALS.alias()
    query = (
        sa.select(_raw(connection, PARAMS.c.distribution_json))
        .distinct()
        .join(TRIALS, TRIALS.c.trial_id == PARAMS.c.trial_id)
        .join(own, own.c.study_id == TRIALS.c.study_id)
        .join(mine, sa.and_(mine.c.trial_id == own.c.trial_id, mine.c.param_id == param_id))
        .where(PARAMS.c.param_name == mine.c.param_name, PARAMS.c.param_id != param_id)
    )
    return list(connection.execute(query).scalars())


def _raw(connection: sa.Connection, column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """The cell as it stands: SQLite's driver gives no text that is not UTF-8."""
    numbers = (sa.Float, sa.Integer)
    if isinstance(column.type, numbers):
        return sa.type_coerce(column, sa.types.NullType())
    if connection.dialect.name == "sqlite":
        return sa.type_coerce(sa.cast(column, sa.BLOB), sa.types.NullType())
    return sa.type_coerce(column, sa.Text) if not isinstance(column.type, sa.Enum) else sa.cast(
        column, sa.String(64)
    )  # fmt: skip
