"""Trial columns read from Optuna's tables without building trials.

`Study.trials` makes an object with dictionaries of every trial, which takes most of a millisecond
each.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa
from optuna.distributions import BaseDistribution
from optuna.storages._rdb import models
from optuna.study import StudyDirection
from optuna.trial import TrialState

from hpsearch.store.cells import WORDS, parsed_range
from hpsearch.store.columns import (
    KEPT_ATTRS,
    NO_REPORTS,
    Floats,
    Ints,
    ParamColumn,
    Reports,
    TrialColumns,
    group_params,
)
from hpsearch.store.optuna_tables import (
    ATTRS,
    DIRECTIONS,
    PARAMS,
    REPORTS,
    STUDIES,
    STUDY_ATTRS,
    TRIALS,
    VALUES,
)
from hpsearch.store.queue import FINISHED, snapshot

METRIC_NAMES = "study:metric_names"
STUDY_SYSTEM_ATTRS: sa.Table = models.StudySystemAttributeModel.__table__


def read_columns(engine: sa.Engine, study_id: int) -> TrialColumns:
    """The columns of a study as they are at one moment, so that they fit together."""
    with snapshot(engine) as connection:
        name, directions, metric_names, study_attrs = _study(connection, study_id)
        trial_id, number, state, seconds = _trials(connection, study_id)
        row_of = _rows(trial_id)
        pruned = bool(np.any(state == TrialState.PRUNED))
        step, report = _reports(connection, study_id, row_of, len(trial_id))
        return TrialColumns(
            study=name,
            directions=directions,
            metric_names=metric_names,
            study_attrs=study_attrs,
            number=number,
            state=state,
            values=_values(connection, study_id, row_of, (len(trial_id), len(directions))),
            last_step=step,
            last_report=report,
            seconds=seconds,
            reports=_all_reports(connection, study_id, row_of) if pruned else NO_REPORTS,
            params=_params(connection, study_id, row_of),
            attrs=_attrs(connection, study_id, row_of),
        )


Rows = Callable[[Sequence[int]], Ints]


def _rows(trial_id: Ints) -> Rows:
    """A function from trial ids to rows, -1 for ids that are none of `trial_id`."""
    order = np.argsort(trial_id, kind="stable")
    ordered = trial_id[order]

    def rows(ids: Sequence[int]) -> Ints:
        wanted = np.asarray(ids, np.int64)
        place = np.minimum(np.searchsorted(ordered, wanted), max(len(ordered) - 1, 0))
        if not len(ordered):
            return np.full(len(wanted), -1, np.int64)
        return np.where(ordered[place] == wanted, order[place], -1)

    return rows


def _study(
    connection: sa.Connection, study_id: int
) -> tuple[str, tuple[StudyDirection, ...], tuple[str, ...] | None, dict[str, Any]]:
    name = sa.select(STUDIES.c.study_name).where(STUDIES.c.study_id == study_id)
    directions = sa.select(DIRECTIONS.c.direction).where(DIRECTIONS.c.study_id == study_id)
    attrs = sa.select(STUDY_ATTRS).where(STUDY_ATTRS.c.study_id == study_id)
    system = sa.select(STUDY_SYSTEM_ATTRS.c.value_json).where(
        STUDY_SYSTEM_ATTRS.c.study_id == study_id, STUDY_SYSTEM_ATTRS.c.key == METRIC_NAMES
    )
    names = connection.execute(system).scalar()
    return (
        connection.execute(name).scalar_one(),
        tuple(connection.execute(directions.order_by(DIRECTIONS.c.objective)).scalars()),
        None if names is None else tuple(json.loads(names)),
        {row.key: json.loads(row.value_json) for row in connection.execute(attrs)},
    )


def _of(study_id: int) -> sa.ColumnElement[bool]:
    return sa.and_(TRIALS.c.study_id == study_id, TRIALS.c.state.in_(FINISHED))


def _trials(connection: sa.Connection, study_id: int) -> tuple[Ints, Ints, Ints, Floats]:
    """Ids, numbers, states and seconds."""
    query = (
        sa.select(
            TRIALS.c.trial_id,
            TRIALS.c.number,
            sa.type_coerce(TRIALS.c.state, sa.String),
            TRIALS.c.datetime_start,
            TRIALS.c.datetime_complete,
        )
        .where(_of(study_id))
        .order_by(TRIALS.c.number)
    )
    ids, numbers, states, start, end = _columns(connection, query, 5)
    known = {state.name: int(state) for state in TrialState}
    # NaT, the time that is none, is not equal to itself and becomes NaN.
    took = np.array(end, "datetime64[us]") - np.array(start, "datetime64[us]")
    seconds = np.where(np.isnat(took), np.nan, took / np.timedelta64(1, "s"))
    return (
        np.array(ids, np.int64),
        np.array(numbers, np.int64),
        np.array([known[state] for state in states], np.int64),
        seconds.astype(np.float64),
    )


def _columns(connection: sa.Connection, query: sa.Select[Any], count: int) -> list[Sequence[Any]]:
    """The columns of a query's rows, `count` of them."""
    rows = connection.execute(query).fetchall()
    return _turned(rows, count)


def _raw_columns(
    connection: sa.Connection, query: sa.Select[Any], count: int
) -> list[Sequence[Any]]:
    """The same as the driver gives them, twice as fast: for numbers and texts only."""
    cursor = connection.execute(query).cursor
    assert cursor is not None
    return _turned(cursor.fetchall(), count)


def _turned(rows: Sequence[Any], count: int) -> list[Sequence[Any]]:
    return list(zip(*rows, strict=True)) if rows else [()] * count


def _joined(table: sa.Table, study_id: int, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    query = sa.select(table.c.trial_id, *columns)
    return query.join(TRIALS, TRIALS.c.trial_id == table.c.trial_id).where(_of(study_id))


def _numbers(values: Sequence[Any], kinds: Sequence[str]) -> Floats:
    """Stored values with their kinds: infinities and NaN stand as words beside an empty cell."""
    numbers = np.array(values, np.float64)  # None becomes NaN
    word = np.array(kinds, "U8")
    for one, number in WORDS.items():
        numbers[word == one] = number
    return numbers


def _values(
    connection: sa.Connection, study_id: int, row_of: Rows, shape: tuple[int, int]
) -> Floats:
    columns = VALUES.c
    kind = sa.type_coerce(columns.value_type, sa.String)
    query = _joined(VALUES, study_id, columns.objective, columns.value, kind)
    ids, objectives, values, kinds = _columns(connection, query, 4)
    found = np.full(shape, np.nan)
    found[row_of(ids), np.array(objectives, np.int64)] = _numbers(values, kinds)
    return found


def _reports(
    connection: sa.Connection, study_id: int, row_of: Rows, count: int
) -> tuple[Floats, Floats]:
    """Last step and what was reported there."""
    columns = REPORTS.c
    last = (
        _joined(REPORTS, study_id, sa.func.max(columns.step).label("step"))
        .group_by(columns.trial_id)
        .subquery()
    )
    kind = sa.type_coerce(columns.intermediate_value_type, sa.String)
    query = sa.select(columns.trial_id, columns.step, columns.intermediate_value, kind).join(
        last, sa.and_(last.c.trial_id == columns.trial_id, last.c.step == columns.step)
    )
    ids, steps, values, kinds = _columns(connection, query, 4)
    step, report = np.full(count, np.nan), np.full(count, np.nan)
    rows = row_of(ids)
    step[rows], report[rows] = np.array(steps, np.float64), _numbers(values, kinds)
    return step, report


def _all_reports(connection: sa.Connection, study_id: int, row_of: Rows) -> Reports:
    columns = REPORTS.c
    kind = sa.type_coerce(columns.intermediate_value_type, sa.String)
    query = _joined(REPORTS, study_id, columns.step, columns.intermediate_value, kind)
    ids, steps, values, kinds = _columns(connection, query, 4)
    return Reports(row_of(ids), np.array(steps, np.float64), _numbers(values, kinds))


def _params(connection: sa.Connection, study_id: int, row_of: Rows) -> dict[str, ParamColumn]:
    columns = PARAMS.c
    query = _joined(
        PARAMS, study_id, columns.param_id, columns.param_name, columns.param_value,
        columns.distribution_json,
    )  # fmt: skip
    ids, param_ids, names, values, texts = _raw_columns(connection, query, 5)
    if not ids:
        return {}
    known = {pair: code for code, pair in enumerate(dict.fromkeys(zip(names, texts, strict=True)))}
    code = np.array([known[pair] for pair in zip(names, texts, strict=True)], np.int64)
    row, internal = row_of(ids), np.array(values, np.float64)
    order = np.lexsort((np.array(param_ids), row))
    return group_params(row[order], internal[order], code[order], _parsed(known))


def _parsed(pairs: Mapping[tuple[str, str], int]) -> list[tuple[str, BaseDistribution]]:
    return [(name, parsed_range(text)) for name, text in pairs]


def _attrs(connection: sa.Connection, study_id: int, row_of: Rows) -> dict[str, dict[int, Any]]:
    query = _joined(ATTRS, study_id, ATTRS.c.key, ATTRS.c.value_json)
    query = query.where(ATTRS.c.key.in_(KEPT_ATTRS))
    ids, keys, texts = _columns(connection, query, 3)
    found: dict[str, dict[int, Any]] = {key: {} for key in KEPT_ATTRS}
    for row, key, text in zip(row_of(ids).tolist(), keys, texts, strict=True):
        found[key][row] = json.loads(text)
    return found
