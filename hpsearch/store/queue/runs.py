"""Runs: whose the waiting trials are, and what a run that ended or died leaves to the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from hpsearch.store.queue import taken_trials
from hpsearch.store.queue.fence import StudyRef, lock_study
from hpsearch.store.queue.processes import is_dead
from hpsearch.store.server import clock
from hpsearch.store.server.connections import begin
from hpsearch.store.server.open import GRACE_S
from hpsearch.store.tables import schema
from hpsearch.store.trials import read


def take_over(
    engine: sa.Engine,
    study: StudyRef,
    run_id: int,
    limit: int,
    plan: taken_trials.Plan,
    seed_of: Callable[[int], int] | None = None,
) -> tuple[list[int], int]:
    """Make up to `limit` waiting trials of no living run those of `run_id`: (the numbers of the
    trials that another program took, how many trials the run has taken over).

    The trials that another program took are copied to `plan` first, and the copies wait with the
    others. With `seed_of`, which gives the seed of the trial of a number, trials that somebody
    enqueued with Optuna's own means are taken over, too. Raises StudyGoneError.
    """
    with begin(engine) as connection:
        first = lock_study(connection, study)
        if seed_of is not None:
            taken_trials.register(connection, study, seed_of)
        taken = taken_trials.copy_taken(connection, study, None, plan, first)
        return taken, _adopt(connection, study, run_id, limit)


def _adopt(connection: sa.Connection, study: StudyRef, run_id: int, limit: int) -> int:
    ours = schema.trial
    own = _unended(connection, schema.run.c.study_id == study.study_id)
    living = [other for other, is_living in own if is_living]
    ids = read.states.waiting_without_run(connection, study.study_id, living, limit)
    update = sa.update(ours).where(ours.c.trial_id == sa.bindparam("id"))
    if ids:
        connection.execute(update.values(run_id=run_id), [{"id": one} for one in ids])
    return len(ids)


def living(engine: sa.Engine, study_id: int) -> list[str]:
    """Of each run of the study that goes on, the host that it is on."""
    with engine.connect() as connection:
        unended = _unended(connection, schema.run.c.study_id == study_id)
        ids = [run_id for run_id, is_living in unended if is_living]
        query = sa.select(schema.run.c.host).where(schema.run.c.run_id.in_(ids))
        return list(connection.execute(query).scalars()) if ids else []


def find_dead(engine: sa.Engine) -> list[int]:
    """The runs of all studies that have not ended though their process is gone."""
    with engine.connect() as connection:
        runs = _unended(connection, sa.true())
        return [run_id for run_id, living in runs if not living]


def note_died(engine: sa.Engine, run_ids: Sequence[int]) -> None:
    """Note the end of runs whose process is gone."""
    run = schema.run
    update = sa.update(run).where(run.c.run_id.in_(run_ids), run.c.ended_at.is_(None))
    with engine.begin() as connection:
        connection.execute(update.values(ended_at=schema.utc_now(), outcome="died"))


def _unended(connection: sa.Connection, where: sa.ColumnElement[bool]) -> list[tuple[int, bool]]:
    """The runs that have not ended, and whether each is not known to be gone."""
    now = connection.execute(sa.select(clock.server_now())).scalar_one()
    oldest = now - timedelta(seconds=GRACE_S)
    query = sa.select(schema.run).where(where, schema.run.c.ended_at.is_(None))
    return [
        (row.run_id, not is_dead(row.machine, row.pid) and row.seen_at >= oldest)
        for row in connection.execute(query)
    ]


def own(study: StudyRef, run_id: int) -> sa.ColumnElement[bool]:
    """The condition that a row of hps_run is this run, and not one of a later study."""
    run = schema.run.c
    return sa.and_(run.run_id == run_id, run.study_id == study.study_id, study.exists)


@dataclass(frozen=True)
class Open:
    """A run that was not ended and has trials to finish; `job` is what its workers share."""

    run_id: int
    trials: int
    job: dict[str, Any]


def is_open(engine: sa.Engine, run_id: int) -> bool:
    """Whether the run has no outcome. A run that died has none until `note_died` writes it."""
    query = sa.select(schema.run.c.outcome).where(schema.run.c.run_id == run_id)
    with engine.connect() as connection:
        row = connection.execute(query).first()
    return row is not None and row.outcome is None


def oldest_open(engine: sa.Engine, study_id: int) -> Open | None:
    """The first run of the study that has trials waiting or running, for workers to join."""
    run = schema.run
    query = (
        sa.select(run.c.run_id, run.c.trials, run.c.job)
        .where(run.c.study_id == study_id, run.c.outcome.is_(None), run.c.job.is_not(None))
        .where(read.states.has_unfinished(study_id))
        .order_by(run.c.run_id)
        .limit(1)
    )
    with engine.connect() as connection:
        row = connection.execute(query).first()
    return None if row is None or row.job is None else Open(row.run_id, row.trials, row.job)


def of_study(engine: sa.Engine, study_id: int) -> list[dict[str, Any]]:
    """The study's runs in their order, without their jobs."""
    columns = [column for column in schema.run.c if column.name != "job"]
    query = sa.select(*columns).where(schema.run.c.study_id == study_id)
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(query.order_by("run_id")).mappings()]


def size(engine: sa.Engine, run_id: int) -> tuple[int, int]:
    """(how many trials the run is to finish, how many workers it began with)."""
    run = schema.run.c
    query = sa.select(run.trials, run.workers).where(run.run_id == run_id)
    with engine.connect() as connection:
        row = connection.execute(query).one()
    return row.trials, row.workers


def set_workers(engine: sa.Engine, study: StudyRef, run_id: int, workers: int) -> None:
    """Note how many workers the run has found to be best."""
    update = sa.update(schema.run).where(own(study, run_id)).values(workers=workers)
    with engine.begin() as connection:
        connection.execute(update)


def keep_job(engine: sa.Engine, study: StudyRef, run_id: int, job: Mapping[str, Any]) -> None:
    """Let other workers join the run."""
    update = sa.update(schema.run).where(own(study, run_id)).values(job=job)
    with engine.begin() as connection:
        connection.execute(update)


def end_early(engine: sa.Engine, study: StudyRef, run_id: int, reason: str) -> None:
    """Tell all workers of the run to take no more trials, and why."""
    update = sa.update(schema.run).where(own(study, run_id), schema.run.c.outcome.is_(None))
    with engine.begin() as connection:
        connection.execute(update.values(outcome=reason))


def ending(engine: sa.Engine, run_id: int) -> str | None:
    """Why the run is to end early; None if it is not, or has not ended yet."""
    query = sa.select(schema.run.c.outcome).where(schema.run.c.run_id == run_id)
    with engine.connect() as connection:
        return connection.execute(query).scalar()
