"""The trials of any Optuna study as columns: by SQL where they are in a database.

`Study.trials` makes an object with dictionaries of every trial, which takes most of a millisecond
each; columns are read from Optuna's tables without them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
import sqlalchemy as sa
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState

from hpsearch.store.server.connections import snapshot
from hpsearch.store.tables.damage import readable
from hpsearch.store.tables.optuna_private import engine_of, study_id
from hpsearch.store.tables.optuna_tables import (
    DIRECTIONS,
    FINISHED,
    NOT_FINITE,
    STUDIES,
    STUDY_ATTRS,
    STUDY_SYSTEM_ATTRS,
    parsed_range,
)
from hpsearch.store.trials import read
from hpsearch.store.trials.columns import (
    KEPT_ATTRS,
    NO_REPORTS,
    Floats,
    Ints,
    ParamColumn,
    Reports,
    TrialColumns,
    group_params,
)


def columns_of(study: optuna.Study) -> TrialColumns:
    """The finished trials of a study, whatever its storage."""
    engine = engine_of(study)
    if engine is not None:
        return read_columns(engine, study_id(study))
    return columns_of_trials(study)


def columns_of_trials(study: optuna.Study) -> TrialColumns:
    """The same from `Study.trials`, for storages in memory, in a journal and elsewhere."""
    trials = [t for t in study.get_trials(deepcopy=False) if t.state.is_finished()]
    count, objectives = len(trials), len(study.directions)
    values = np.full((count, objectives), np.nan)
    for row, trial in enumerate(trials):
        if trial.values is not None:
            values[row] = trial.values
    reports = [max(t.intermediate_values.items(), default=(math.nan, math.nan)) for t in trials]
    durations = (trial.duration for trial in trials)
    return TrialColumns(
        study=study.study_name,
        directions=tuple(study.directions),
        metric_names=None if study.metric_names is None else tuple(study.metric_names),
        study_attrs=study.user_attrs,
        number=np.array([trial.number for trial in trials], np.int64),
        state=np.array([int(trial.state) for trial in trials], np.int64),
        values=values,
        last_step=np.array([step for step, _ in reports], np.float64),
        last_report=np.array([value for _, value in reports], np.float64),
        seconds=np.array([math.nan if d is None else d.total_seconds() for d in durations]),
        reports=_reports_of(trials),
        params=_params_of(trials),
        attrs={
            key: {row: t.user_attrs[key] for row, t in enumerate(trials) if key in t.user_attrs}
            for key in KEPT_ATTRS
        },
    )


def _reports_of(trials: list[optuna.trial.FrozenTrial]) -> Reports:
    if not any(trial.state == TrialState.PRUNED for trial in trials):
        return NO_REPORTS
    flat = [
        (row, step, value)
        for row, trial in enumerate(trials)
        for step, value in trial.intermediate_values.items()
    ]
    rows, steps, values = np.array(flat, np.float64).reshape(-1, 3).T
    return Reports(rows.astype(np.int64), steps, values)


def _params_of(trials: list[optuna.trial.FrozenTrial]) -> dict[str, ParamColumn]:
    known: dict[tuple[str, int], int] = {}
    pairs: list[tuple[str, BaseDistribution]] = []
    rows, internal, codes = [], [], []
    for row, trial in enumerate(trials):
        for name, value in trial.params.items():
            distribution = trial.distributions[name]
            code = known.setdefault((name, id(distribution)), len(pairs))
            if code == len(pairs):
                pairs.append((name, distribution))  # which keeps the id its own
            rows.append(row)
            internal.append(distribution.to_internal_repr(value))
            codes.append(code)
    if not rows:
        return {}
    return group_params(
        np.array(rows, np.int64), np.array(internal, np.float64), np.array(codes, np.int64), pairs
    )


METRIC_NAMES = "study:metric_names"


def read_columns(engine: sa.Engine, study_id: int) -> TrialColumns:
    """The columns of a study as they are at one moment, so that they fit together."""
    own = read.content.of_study(study_id, FINISHED)
    with readable("A value of the study or its trials"), snapshot(engine) as connection:
        name, directions, metric_names, study_attrs = _study(connection, study_id)
        trial_id, number, state, seconds = _trials(connection, own)
        row_of = _rows(trial_id)
        pruned = bool(np.any(state == TrialState.PRUNED))
        step, report = _last_reports(connection, own, row_of, len(trial_id))
        return TrialColumns(
            study=name,
            directions=directions,
            metric_names=metric_names,
            study_attrs=study_attrs,
            number=number,
            state=state,
            values=_values(connection, own, row_of, (len(trial_id), len(directions))),
            last_step=step,
            last_report=report,
            seconds=seconds,
            reports=_all_reports(connection, own, row_of) if pruned else NO_REPORTS,
            params=_params(connection, own, row_of),
            attrs=_attrs(connection, own, row_of),
        )


Own = sa.ColumnElement[bool]
"""The condition that a trial is one of those that are read."""
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


def _trials(connection: sa.Connection, own: Own) -> tuple[Ints, Ints, Ints, Floats]:
    """Ids, numbers, states and seconds."""
    ids, numbers, states, start, end = _turned(read.content.trials(connection, own), 5)
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


def _turned(rows: Sequence[Any], count: int) -> list[Sequence[Any]]:
    """The columns of these rows, `count` of them."""
    return list(zip(*rows, strict=True)) if rows else [()] * count


def _numbers(values: Sequence[Any], kinds: Sequence[str]) -> Floats:
    """Stored values with their kinds: infinities and NaN stand as words beside an empty cell."""
    numbers = np.array(values, np.float64)  # None becomes NaN
    word = np.array(kinds, "U8")
    for one, number in NOT_FINITE.items():
        numbers[word == one] = number
    return numbers


def _values(connection: sa.Connection, own: Own, row_of: Rows, shape: tuple[int, int]) -> Floats:
    rows = read.content.values(connection, own, ordered=False)
    ids, objectives, values, kinds = _turned(rows, 4)
    found = np.full(shape, np.nan)
    found[row_of(ids), np.array(objectives, np.int64)] = _numbers(values, kinds)
    return found


def _last_reports(
    connection: sa.Connection, own: Own, row_of: Rows, count: int
) -> tuple[Floats, Floats]:
    """Last step and what was reported there."""
    ids, steps, values, kinds = _turned(read.content.last_reports(connection, own), 4)
    step, report = np.full(count, np.nan), np.full(count, np.nan)
    rows = row_of(ids)
    step[rows], report[rows] = np.array(steps, np.float64), _numbers(values, kinds)
    return step, report


def _all_reports(connection: sa.Connection, own: Own, row_of: Rows) -> Reports:
    rows = read.content.reports(connection, own, ordered=False)
    ids, steps, values, kinds = _turned(rows, 4)
    return Reports(row_of(ids), np.array(steps, np.float64), _numbers(values, kinds))


def _params(connection: sa.Connection, own: Own, row_of: Rows) -> dict[str, ParamColumn]:
    rows = read.content.params(connection, own, ordered=False)
    ids, param_ids, names, values, texts = _turned(rows, 5)
    if not ids:
        return {}
    known = {pair: code for code, pair in enumerate(dict.fromkeys(zip(names, texts, strict=True)))}
    code = np.array([known[pair] for pair in zip(names, texts, strict=True)], np.int64)
    row, internal = row_of(ids), np.array(values, np.float64)
    order = np.lexsort((np.array(param_ids), row))
    return group_params(row[order], internal[order], code[order], _parsed(known))


def _parsed(pairs: Mapping[tuple[str, str], int]) -> list[tuple[str, BaseDistribution]]:
    return [(name, parsed_range(text)) for name, text in pairs]


def _attrs(connection: sa.Connection, own: Own, row_of: Rows) -> dict[str, dict[int, Any]]:
    ids, keys, texts = _turned(read.content.user_attrs(connection, own, KEPT_ATTRS), 3)
    found: dict[str, dict[int, Any]] = {key: {} for key in KEPT_ATTRS}
    for row, key, text in zip(row_of(ids).tolist(), keys, texts, strict=True):
        found[key][row] = json.loads(text)
    return found
