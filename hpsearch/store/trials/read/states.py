"""Which trials wait, run and have ended, and whose they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from optuna.study import StudyDirection
from optuna.trial import TrialState

from hpsearch.store.tables import attributes, schema
from hpsearch.store.tables.optuna_tables import (
    ATTRS,
    BEATS,
    FINISHED,
    TRIALS,
    UNFINISHED,
    VALUES,
)

if TYPE_CHECKING:
    from hpsearch.store.queue.fence import StudyRef

Condition = sa.ColumnElement[bool]
OURS = schema.trial
_trials = TRIALS.alias("f")
"""Under a name of its own, so that it is never taken for a statement's own table."""


# Conditions and subqueries for statements on tables of ours


def is_unfinished(study_id: int, trial_id: int) -> Condition:
    """The condition that the study still has this trial, and that it has not ended."""
    one: sa.ColumnClause[int] = sa.literal_column("1")
    own = sa.select(one).where(
        _trials.c.trial_id == trial_id,
        _trials.c.study_id == study_id,
        _trials.c.state.in_(UNFINISHED),
    )
    return own.exists()


def has_unfinished(study_id: int) -> Condition:
    """The condition that a row of hps_run is of a run with trials that have not ended."""
    query = _with_ours(OURS.c.run_id).where(TRIALS.c.study_id == study_id)
    query = query.where(TRIALS.c.state.in_((TrialState.WAITING, TrialState.RUNNING)))
    return schema.run.c.run_id.in_(query)


def trial_ids() -> sa.Select[tuple[int]]:
    """The ids of all trials of all studies."""
    return sa.select(TRIALS.c.trial_id)


def ids_with_attr(key: str) -> sa.Select[tuple[int]]:
    """The ids of all trials that have this user attribute."""
    return sa.select(ATTRS.c.trial_id).where(ATTRS.c.key == key)


def _with_ours(*columns: Any) -> sa.Select[Any]:  # noqa: ANN401
    """Columns of trials that have a row in hps_trial."""
    query = sa.select(*columns).select_from(TRIALS)
    return query.join(OURS, OURS.c.trial_id == TRIALS.c.trial_id)


# The queue


def count(connection: sa.Connection, study_id: int) -> int:
    """How many trials the study has, which is the number of its next one."""
    query = sa.select(sa.func.count()).where(TRIALS.c.study_id == study_id)
    return int(connection.execute(query).scalar_one())


def ids_from(connection: sa.Connection, study_id: int, first: int) -> list[int]:
    """The ids of the study's trials from the number `first` on, by number."""
    query = sa.select(TRIALS.c.trial_id).where(
        TRIALS.c.study_id == study_id, TRIALS.c.number >= first
    )
    return list(connection.execute(query.order_by(TRIALS.c.number)).scalars())


def next_waiting(
    connection: sa.Connection, study: StudyRef, run_id: int | None, after: int
) -> sa.Row[Any] | None:
    """`trial_id` and `attempts` of the first waiting trial with a greater id than `after`.

    On PostgreSQL its row is locked. With a `run_id` it is of that run, if nobody ended the run.
    """
    query = (
        _with_ours(TRIALS.c.trial_id, OURS.c.attempts)
        .where(TRIALS.c.study_id == study.study_id, TRIALS.c.state == TrialState.WAITING)
        .where(TRIALS.c.trial_id > after, OURS.c.trial_id > after, study.exists)
        .order_by(TRIALS.c.trial_id)  # the order of their numbers, and an index
        .limit(1)
    )
    if connection.dialect.name == "postgresql":  # or all workers would queue for the same row
        query = query.with_for_update(of=TRIALS, skip_locked=True)
    if run_id is not None:
        query = query.outerjoin(schema.run, schema.run.c.run_id == OURS.c.run_id)
        query = query.where(OURS.c.run_id == run_id, schema.run.c.outcome.is_(None))
    return connection.execute(query).first()


def claimed_row(connection: sa.Connection, own_row: Condition) -> sa.Row[Any] | None:
    """Number, study and row of hps_trial of a claimed trial on which no worker has died."""
    return connection.execute(_deathless().where(own_row)).first()


def waiting_beside(
    connection: sa.Connection, claimed: sa.Row[Any], cohorts: Sequence[str], size: int
) -> Sequence[Any]:
    """The same of the waiting trials of these cohorts whose numbers lie in the block of `size` in
    which that of the `claimed` row lies, and whose run is the same."""
    start = claimed.number - claimed.number % size
    run_id = claimed.run_id
    query = _deathless().where(
        TRIALS.c.study_id == claimed.study_id,
        TRIALS.c.state == TrialState.WAITING,
        TRIALS.c.number.between(start, start + size - 1),
        OURS.c.cohort.in_(cohorts),
        OURS.c.run_id.is_(None) if run_id is None else OURS.c.run_id == run_id,
    )
    return connection.execute(query.order_by(TRIALS.c.number)).all()


def _deathless() -> sa.Select[Any]:
    columns = (TRIALS.c.number, TRIALS.c.study_id, TRIALS.c.trial_id, TRIALS.c.state, OURS)
    return _with_ours(*columns).where(OURS.c.deaths == 0)


def waiting_without_run(
    connection: sa.Connection, study_id: int, living: Sequence[int], limit: int
) -> list[int]:
    """The ids of up to `limit` waiting trials of none of the runs `living`, by number."""
    query = (
        _with_ours(OURS.c.trial_id)
        .where(TRIALS.c.study_id == study_id, TRIALS.c.state == TrialState.WAITING)
        .where(sa.or_(OURS.c.run_id.is_(None), OURS.c.run_id.not_in(living)))
        .order_by(TRIALS.c.number)
        .limit(limit)
    )
    return list(connection.execute(query).scalars())


def running_trials(connection: sa.Connection, study: StudyRef) -> sa.CursorResult[Any]:
    """Number, heartbeat and row of hps_trial of the trials that workers of ours run."""
    query = (
        _with_ours(TRIALS.c.number, BEATS.c.heartbeat, OURS)
        .outerjoin(BEATS, BEATS.c.trial_id == TRIALS.c.trial_id)
        .where(TRIALS.c.study_id == study.study_id, TRIALS.c.state == TrialState.RUNNING)
        .where(OURS.c.attempts > 0, study.exists)
    )
    return connection.execute(query)


def finished_numbers(connection: sa.Connection, study_id: int) -> list[int]:
    query = sa.select(TRIALS.c.number).where(
        TRIALS.c.study_id == study_id, TRIALS.c.state.in_(FINISHED)
    )
    return list(connection.execute(query).scalars())


# Trials of other programs


def unregistered(connection: sa.Connection, study_id: int) -> Sequence[Any]:
    """Id and number of the waiting trials without a row in hps_trial, by number."""
    query = (
        sa.select(TRIALS.c.trial_id, TRIALS.c.number)
        .where(TRIALS.c.study_id == study_id, TRIALS.c.state == TrialState.WAITING)
        .where(TRIALS.c.trial_id.not_in(sa.select(OURS.c.trial_id)))
        .order_by(TRIALS.c.number)
    )
    return connection.execute(query).all()


def taken(
    connection: sa.Connection, study: StudyRef, run_id: int | None
) -> Sequence[sa.RowMapping]:
    """Number and row of hps_trial of the trials that were started, but by no worker of ours.

    With a `run_id` of the trials of that run, else of those of all runs.
    """
    query = _with_ours(TRIALS.c.number, OURS).where(
        TRIALS.c.study_id == study.study_id,
        TRIALS.c.state != TrialState.WAITING,
        OURS.c.attempts == 0,
        study.exists,
    )
    if run_id is not None:
        query = query.where(OURS.c.run_id == run_id)
    return connection.execute(query.order_by(TRIALS.c.number)).mappings().all()


def numbers_with_attr(
    connection: sa.Connection, study_id: int, key: str, value: object
) -> list[int]:
    """The numbers of the study's trials whose user attribute has this value."""
    noted = ids_with_attr(key).where(ATTRS.c.value_json == json.dumps(value))
    query = sa.select(TRIALS.c.number).where(
        TRIALS.c.study_id == study_id, TRIALS.c.trial_id.in_(noted)
    )
    return list(connection.execute(query).scalars())


def has_attr(connection: sa.Connection, trial_id: int, key: str) -> bool:
    query = ids_with_attr(key).where(ATTRS.c.trial_id == trial_id)
    return connection.execute(query).first() is not None


# Displays and summaries


def _of_run(run_id: int) -> Condition:
    """The condition that a trial is the run's, and that no other program took it."""
    taken = sa.and_(OURS.c.attempts == 0, TRIALS.c.state != TrialState.WAITING)
    return sa.and_(OURS.c.run_id == run_id, sa.not_(taken))


def elsewhere(connection: sa.Connection, study_id: int) -> list[int]:
    """The numbers of the study's finished trials that no worker of ours ran."""
    query = sa.select(TRIALS.c.number).outerjoin(OURS, OURS.c.trial_id == TRIALS.c.trial_id)
    query = query.where(TRIALS.c.study_id == study_id, TRIALS.c.state.in_(FINISHED))
    query = query.where(sa.func.coalesce(OURS.c.attempts, 0) == 0)
    return list(connection.execute(query.order_by(TRIALS.c.number)).scalars())


def ended_ids(connection: sa.Connection, run_id: int, since: datetime | None) -> list[int]:
    """The ids of the run's finished trials, or of those that have ended `since` then."""
    query = _with_ours(TRIALS.c.trial_id)
    query = query.where(_of_run(run_id), TRIALS.c.state.in_(FINISHED))
    if since is not None:
        query = query.where(TRIALS.c.datetime_complete >= since)
    return list(connection.execute(query).scalars())


def ended(connection: sa.Connection, ids: Sequence[int]) -> Sequence[Any]:
    """The rows of these trials with their cohorts, first values, and why they failed as JSON."""
    first_value = sa.and_(VALUES.c.trial_id == TRIALS.c.trial_id, VALUES.c.objective == 0)
    failure = sa.and_(ATTRS.c.trial_id == TRIALS.c.trial_id, ATTRS.c.key == attributes.FAILURE)
    query = _with_ours(TRIALS, OURS.c.cohort, VALUES.c.value, ATTRS.c.value_json)
    query = query.outerjoin(VALUES, first_value).outerjoin(ATTRS, failure)
    return connection.execute(query.where(TRIALS.c.trial_id.in_(ids))).all()


def running_epochs(connection: sa.Connection, run_id: int) -> Sequence[Any]:
    """Number, cohort and latest epoch of the run's running trials, by number."""
    epoch = schema.epoch
    latest = (
        sa.select(sa.func.max(epoch.c.epoch))
        .where(epoch.c.trial_id == TRIALS.c.trial_id)
        .correlate(TRIALS)
        .scalar_subquery()
    )
    query = (
        _with_ours(TRIALS.c.number, OURS.c.cohort, epoch)
        .outerjoin(epoch, sa.and_(epoch.c.trial_id == TRIALS.c.trial_id, epoch.c.epoch == latest))
        .where(_of_run(run_id), TRIALS.c.state == TrialState.RUNNING)
        .order_by(TRIALS.c.number)
    )
    return connection.execute(query).all()


def count_workers(connection: sa.Connection, run_id: int) -> int:
    """How many workers have a trial of the run."""
    query = _with_ours(sa.func.count(sa.distinct(OURS.c.pid)))
    query = query.where(OURS.c.run_id == run_id, TRIALS.c.state == TrialState.RUNNING)
    return int(connection.execute(query).scalar_one())


def count_states(
    connection: sa.Connection, study_ids: Sequence[int] | None, run_id: int | None = None
) -> Sequence[Any]:
    """(study, name of a state, how many of its trials have it), for these studies or for all.

    With a `run_id` only the trials of that run count that no other program took.
    """
    state = sa.type_coerce(TRIALS.c.state, sa.String)
    query = sa.select(TRIALS.c.study_id, state, sa.func.count()).select_from(TRIALS)
    if study_ids is not None:
        query = query.where(TRIALS.c.study_id.in_(study_ids))
    if run_id is not None:
        query = query.join(OURS, OURS.c.trial_id == TRIALS.c.trial_id)
        query = query.where(_of_run(run_id))
    return connection.execute(query.group_by(TRIALS.c.study_id, state)).all()


def best(
    connection: sa.Connection, study_id: int, direction: StudyDirection, objective: int
) -> sa.Row[Any, Any] | None:
    """Value and number of the best complete trial by one objective, within its limits."""
    infeasible = ids_with_attr(attributes.INFEASIBLE)
    order = VALUES.c.value.desc() if direction == StudyDirection.MAXIMIZE else VALUES.c.value
    query = (
        sa.select(VALUES.c.value, TRIALS.c.number)
        .join(TRIALS, TRIALS.c.trial_id == VALUES.c.trial_id)
        .where(TRIALS.c.study_id == study_id, TRIALS.c.state == TrialState.COMPLETE)
        .where(VALUES.c.value.is_not(None), VALUES.c.objective == objective)
        .where(TRIALS.c.trial_id.not_in(infeasible))
        .order_by(order, TRIALS.c.number)
        .limit(1)
    )
    return connection.execute(query).first()


def numbered(connection: sa.Connection, table: sa.Table, study_id: int) -> Sequence[sa.RowMapping]:
    """The study's rows of hps_trial or hps_epoch with their trials' numbers, in order."""
    query = (
        sa.select(TRIALS.c.number, table)
        .join(table, table.c.trial_id == TRIALS.c.trial_id)
        .where(TRIALS.c.study_id == study_id)
        .order_by(TRIALS.c.number, *table.primary_key)
    )
    return connection.execute(query).mappings().all()


def failure_reasons(connection: sa.Connection, study_id: int, run_id: int | None) -> list[str]:
    """Why the failed trials of the study (or of one run of it) failed, as JSON, by number."""
    query = (
        sa.select(ATTRS.c.value_json)
        .join(TRIALS, TRIALS.c.trial_id == ATTRS.c.trial_id)
        .where(TRIALS.c.study_id == study_id, TRIALS.c.state == TrialState.FAIL)
        .where(ATTRS.c.key == attributes.FAILURE)
        .order_by(TRIALS.c.number)
    )
    if run_id is not None:
        query = query.join(OURS, OURS.c.trial_id == TRIALS.c.trial_id)
        query = query.where(OURS.c.run_id == run_id)
    return list(connection.execute(query).scalars())


def first_end(connection: sa.Connection, study_id: int) -> sa.Row[Any, Any] | None:
    """Number and end of the first trial, by number, that has ended."""
    ended_at = TRIALS.c.datetime_complete
    query = sa.select(TRIALS.c.number, ended_at)
    query = query.where(TRIALS.c.study_id == study_id, ended_at.is_not(None))
    return connection.execute(query.order_by(TRIALS.c.number).limit(1)).first()


def end_time(connection: sa.Connection, study_id: int, number: int) -> datetime | None:
    """When the study's trial of this number ended."""
    query = sa.select(TRIALS.c.datetime_complete).where(
        TRIALS.c.study_id == study_id, TRIALS.c.number == number
    )
    return connection.execute(query).scalar()
