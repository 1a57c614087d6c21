"""Runs: whose the waiting trials are, and what a run that ended or died leaves to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from optuna.trial import TrialState

from hpsearch.store import schema
from hpsearch.store.identity import is_dead
from hpsearch.store.optuna_tables import TRIALS
from hpsearch.store.queue import begin


def adopt(engine: sa.Engine, study_id: int, run_id: int, limit: int, grace_s: float) -> int:
    """Make up to `limit` waiting trials of no living run those of `run_id`; how many there were."""
    ours = schema.trial
    with begin(engine) as connection:
        living = _living(connection, study_id, grace_s)
        query = (
            sa.select(ours.c.trial_id)
            .join(TRIALS, TRIALS.c.trial_id == ours.c.trial_id)
            .where(TRIALS.c.study_id == study_id, TRIALS.c.state == TrialState.WAITING)
            .where(sa.or_(ours.c.run_id.is_(None), ours.c.run_id.not_in(living)))
            .order_by(TRIALS.c.number)
            .limit(limit)
        )
        ids = [row.trial_id for row in connection.execute(query)]
        update = sa.update(ours).where(ours.c.trial_id == sa.bindparam("id"))
        if ids:
            connection.execute(update.values(run_id=run_id), [{"id": one} for one in ids])
    return len(ids)


def _living(connection: sa.Connection, study_id: int, grace_s: float) -> list[int]:
    """The runs of the study that have not ended and whose process is not known to be gone."""
    own = schema.run.c.study_id == study_id
    return [run_id for run_id, living in _unended(connection, own, grace_s) if living]


def abandoned(engine: sa.Engine, grace_s: float) -> list[int]:
    """The runs of all studies that have not ended though their process is gone."""
    with engine.connect() as connection:
        runs = _unended(connection, sa.true(), grace_s)
        return [run_id for run_id, living in runs if not living]


def _unended(
    connection: sa.Connection, where: sa.ColumnElement[bool], grace_s: float
) -> list[tuple[int, bool]]:
    """The runs that have not ended, and whether each is not known to be gone."""
    now = connection.execute(sa.select(sa.func.now())).scalar_one().replace(tzinfo=None)
    oldest = now - timedelta(seconds=grace_s)
    query = sa.select(schema.run).where(where, schema.run.c.ended_at.is_(None))
    return [
        (row.run_id, not is_dead(row.machine, row.pid) and row.seen_at >= oldest)
        for row in connection.execute(query)
    ]


@dataclass(frozen=True)
class Open:
    """A run that was not ended and has trials to finish; `job` is what its workers share."""

    run_id: int
    trials: int
    job: dict[str, Any]


def is_open(engine: sa.Engine, run_id: int) -> bool:
    """Whether the run was not ended: by its process, that is; one that died ends nothing."""
    query = sa.select(schema.run.c.outcome).where(schema.run.c.run_id == run_id)
    with engine.connect() as connection:
        row = connection.execute(query).first()
    return row is not None and row.outcome is None


def oldest_open(engine: sa.Engine, study_id: int) -> Open | None:
    """The first run of the study that has trials waiting or running, for workers to join."""
    run, ours = schema.run, schema.trial
    unfinished = (
        sa.select(ours.c.run_id)
        .join(TRIALS, TRIALS.c.trial_id == ours.c.trial_id)
        .where(TRIALS.c.study_id == study_id)
        .where(TRIALS.c.state.in_((TrialState.WAITING, TrialState.RUNNING)))
    )
    query = (
        sa.select(run.c.run_id, run.c.trials, run.c.job)
        .where(run.c.study_id == study_id, run.c.outcome.is_(None), run.c.job.is_not(None))
        .where(run.c.run_id.in_(unfinished))
        .order_by(run.c.run_id)
        .limit(1)
    )
    with engine.connect() as connection:
        row = connection.execute(query).first()
    return None if row is None else Open(row.run_id, row.trials, row.job)


def keep_job(engine: sa.Engine, run_id: int, job: Mapping[str, Any]) -> None:
    """Let other workers join the run."""
    update = sa.update(schema.run).where(schema.run.c.run_id == run_id).values(job=job)
    with engine.begin() as connection:
        connection.execute(update)


def strangers(engine: sa.Engine, study_id: int) -> list[tuple[int, int]]:
    """Waiting trials that no run of ours planned (Optuna's enqueue_trial made them): id, number."""
    planned = sa.select(schema.trial.c.trial_id)
    query = (
        sa.select(TRIALS.c.trial_id, TRIALS.c.number)
        .where(TRIALS.c.study_id == study_id, TRIALS.c.state == TrialState.WAITING)
        .where(TRIALS.c.trial_id.not_in(planned))
        .order_by(TRIALS.c.number)
    )
    with engine.connect() as connection:
        return [(row.trial_id, row.number) for row in connection.execute(query)]


def end_early(engine: sa.Engine, run_id: int, reason: str) -> None:
    """Tell all workers of the run to take no more trials, and why."""
    table = schema.run
    update = sa.update(table).where(table.c.run_id == run_id, table.c.outcome.is_(None))
    with engine.begin() as connection:
        connection.execute(update.values(outcome=reason))


def ending(engine: sa.Engine, run_id: int) -> str | None:
    """Why the run is to end early; None if it is not, or has not ended yet."""
    query = sa.select(schema.run.c.outcome).where(schema.run.c.run_id == run_id)
    with engine.connect() as connection:
        return connection.execute(query).scalar()
