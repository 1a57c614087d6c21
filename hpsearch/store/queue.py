"""The queue of trials: plan, claim, give back. The only code that writes Optuna's tables itself.

Optuna's storage reads a trial's state and writes it in two steps. On SQLite, which has no SELECT
FOR UPDATE, two workers can so take one trial, and on every server two that both find it stale can
put it back while a third already runs it. Here each change of hands is one conditional UPDATE.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.trial import TrialState

from hpsearch.store import schema
from hpsearch.store.connections import reader
from hpsearch.store.identity import Worker
from hpsearch.store.optuna_tables import ATTRS, BEATS, PARAMS, STUDIES, TRIALS

MANY = 100
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


@dataclass(frozen=True)
class Planned:
    """A trial to be. Without params the sampler draws them when a worker takes the trial."""

    cohort: str
    seed: int
    params: Mapping[str, Any]
    replicate_of: int | None = None


@contextmanager
def begin(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that holds SQLite's write lock from its start, so that what it reads stays."""
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection


@contextmanager
def snapshot(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that goes on seeing what it saw first."""
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN")
        else:
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        yield connection
        connection.rollback()


def enqueue(
    engine: sa.Engine,
    study_id: int,
    run_id: int | None,
    distributions: Mapping[str, BaseDistribution],
    plan: Callable[[int], Sequence[Planned]],
) -> list[int]:
    """Add the trials of `plan(number of the first new trial)`, all or none; their numbers.

    Without a `run_id` they are for the study's next run.
    """
    with begin(engine) as connection:
        # The same lock that Optuna takes while it numbers a new trial.
        lock = sa.select(STUDIES.c.study_id).where(STUDIES.c.study_id == study_id)
        connection.execute(lock.with_for_update())
        count = sa.select(sa.func.count()).where(TRIALS.c.study_id == study_id)
        first = connection.execute(count).scalar_one()
        planned = plan(first)
        if not planned:
            return []
        numbers = range(first, first + len(planned))
        connection.execute(
            sa.insert(TRIALS),
            [
                {"number": number, "study_id": study_id, "state": TrialState.WAITING}
                for number in numbers
            ],
        )
        ids = _ids(connection, study_id, first)
        trials = [(ids[number], one) for number, one in zip(numbers, planned, strict=True)]
        _insert(connection, PARAMS, _param_rows(trials, distributions))
        _insert(connection, ATTRS, _attr_rows(trials))
        _insert(connection, schema.trial, _trial_rows(trials, study_id, run_id))
    _analyze(engine, len(planned))
    return list(numbers)


def _analyze(engine: sa.Engine, new: int) -> None:
    """Let PostgreSQL know at once of many new trials: for the minute until it looks itself it would
    go through all of them for every claim, taking them for a handful."""
    if engine.dialect.name == "postgresql" and new >= MANY:
        with reader(engine) as connection:
            for table in (TRIALS, schema.trial):
                connection.exec_driver_sql(f"ANALYZE {table.name}")


def _ids(connection: sa.Connection, study_id: int, first: int) -> dict[int, int]:
    query = sa.select(TRIALS.c.number, TRIALS.c.trial_id).where(
        TRIALS.c.study_id == study_id, TRIALS.c.number >= first
    )
    return {row.number: row.trial_id for row in connection.execute(query)}


def _insert(connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(sa.insert(table), rows)


def _param_rows(
    trials: Sequence[tuple[int, Planned]], distributions: Mapping[str, BaseDistribution]
) -> list[dict[str, Any]]:
    texts = {name: distribution_to_json(one) for name, one in distributions.items()}
    return [
        {
            "trial_id": trial_id,
            "param_name": name,
            "param_value": distributions[name].to_internal_repr(value),
            "distribution_json": texts[name],
        }
        for trial_id, planned in trials
        for name, value in planned.params.items()
    ]


def _attr_rows(trials: Sequence[tuple[int, Planned]]) -> list[dict[str, Any]]:
    rows = []
    for trial_id, planned in trials:
        attrs = {"hps_cohort": planned.cohort, "hps_seed": planned.seed}
        if planned.replicate_of is not None:
            attrs["hps_replicate_of"] = planned.replicate_of
        rows += [
            {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
            for key, value in attrs.items()
        ]
    return rows


def _trial_rows(
    trials: Sequence[tuple[int, Planned]], study_id: int, run_id: int | None
) -> list[dict[str, Any]]:
    now = schema.utc_now()
    return [
        {
            "trial_id": trial_id,
            "study_id": study_id,
            "run_id": run_id,
            "cohort": planned.cohort,
            "seed": planned.seed,
            "replicate_of": planned.replicate_of,
            "created_at": now,
        }
        for trial_id, planned in trials
    ]


def claim(
    engine: sa.Engine, study_id: int, worker: Worker, run_id: int | None, after: int = -1
) -> int | None:
    """Take the first waiting trial (of one run, or of any): its id, None if none is left.

    A run that was ended gives none: its other workers, here or elsewhere, are to leave. Only ids
    greater than `after` are looked at, so that a long study's finished trials are not gone through
    for every claim.
    """
    ours = schema.trial
    query = (
        sa.select(TRIALS.c.trial_id, ours.c.attempts)
        .join(ours, ours.c.trial_id == TRIALS.c.trial_id)
        .where(TRIALS.c.study_id == study_id, TRIALS.c.state == TrialState.WAITING)
        .where(TRIALS.c.trial_id > after, ours.c.trial_id > after)
        .order_by(TRIALS.c.trial_id)  # the order of their numbers, and an index
        .limit(1)
    )
    if engine.dialect.name == "postgresql":  # or all workers would queue for the same row
        query = query.with_for_update(of=TRIALS, skip_locked=True)
    if run_id is not None:
        query = query.outerjoin(schema.run, schema.run.c.run_id == ours.c.run_id)
        query = query.where(ours.c.run_id == run_id, schema.run.c.outcome.is_(None))
    while True:
        # A transaction for each attempt: MySQL would go on showing the first one's snapshot.
        with begin(engine) as connection:
            row = connection.execute(query).first()
            if row is None:
                return None
            trial_id: int = row.trial_id
            started = {"state": TrialState.RUNNING, "datetime_start": schema.utc_now()}
            if change(connection, trial_id, TrialState.WAITING, started):
                _take(connection, trial_id, row.attempts, worker)
                return trial_id


def claim_beside(
    engine: sa.Engine,
    trial_id: int,
    worker: Worker,
    company: Callable[[str], tuple[Sequence[str], int]],
) -> list[int]:
    """Take those waiting trials that may train together with a claimed one: their ids.

    `company` of its cohort is which cohorts go with it, and a size: they are of its run, and of the
    same block of so many numbers. Which trials see each other's results does not hang on when a
    run was interrupted. One on which a worker died is trained alone, and takes no other with it.
    """
    ours = schema.trial
    rows = sa.select(TRIALS.c.number, TRIALS.c.study_id, TRIALS.c.trial_id, TRIALS.c.state, ours)
    rows = rows.join(ours, ours.c.trial_id == TRIALS.c.trial_id).where(ours.c.deaths == 0)
    taken = []
    with begin(engine) as connection:
        first = connection.execute(rows.where(TRIALS.c.trial_id == trial_id)).first()
        if first is None:
            return []
        cohorts, size = company(first.cohort)
        start = first.number - first.number % size
        beside = rows.where(
            TRIALS.c.study_id == first.study_id,
            TRIALS.c.state == TrialState.WAITING,
            TRIALS.c.number.between(start, start + size - 1),
            ours.c.cohort.in_(cohorts),
            ours.c.run_id.is_(None) if first.run_id is None else ours.c.run_id == first.run_id,
        ).order_by(TRIALS.c.number)
        started = {"state": TrialState.RUNNING, "datetime_start": schema.utc_now()}
        for row in connection.execute(beside).all():
            if change(connection, row.trial_id, TrialState.WAITING, started):
                _take(connection, row.trial_id, row.attempts, worker)
                taken.append(int(row.trial_id))
    return taken


def change(
    connection: sa.Connection, trial_id: int, state: TrialState, values: dict[str, Any]
) -> bool:
    """Change a trial's row if it still is in `state`."""
    update = sa.update(TRIALS).where(TRIALS.c.trial_id == trial_id, TRIALS.c.state == state)
    return connection.execute(update.values(**values)).rowcount == 1


def _take(connection: sa.Connection, trial_id: int, attempts: int, worker: Worker) -> None:
    """Write down who runs the trial, with a fresh heartbeat: an old one would look stale."""
    ours = schema.trial
    connection.execute(
        sa.update(ours)
        .where(ours.c.trial_id == trial_id)
        .values(
            attempts=attempts + 1,
            worker=worker.name,
            machine=worker.machine,
            host=worker.host,
            pid=worker.pid,
        )
    )
    now = sa.func.current_timestamp()
    update = sa.update(BEATS).where(BEATS.c.trial_id == trial_id).values(heartbeat=now)
    if attempts == 0 or connection.execute(update).rowcount == 0:
        connection.execute(sa.insert(BEATS).values(trial_id=trial_id, heartbeat=now))


def release(engine: sa.Engine, trial_id: int, worker: Worker) -> bool:
    """Put a trial that this worker runs back into the queue, as nobody's fault."""
    ours = schema.trial
    mine = sa.select(ours.c.trial_id).where(
        ours.c.trial_id == trial_id, ours.c.machine == worker.machine, ours.c.pid == worker.pid
    )
    with begin(engine) as connection:
        if connection.execute(mine).first() is None:
            return False
        return change(connection, trial_id, TrialState.RUNNING, {"state": TrialState.WAITING})


def drop_orphans(engine: sa.Engine) -> None:
    """Remove our rows of trials and studies that Optuna's tools deleted.

    SQLite gives a deleted trial's id to the next new trial, which must not inherit its epochs.
    """
    alive = sa.select(TRIALS.c.trial_id)
    studies = sa.select(STUDIES.c.study_id)
    with begin(engine) as connection:
        for table in (schema.trial, schema.epoch, schema.event, schema.artifact):
            gone = sa.and_(table.c.trial_id.is_not(None), table.c.trial_id.not_in(alive))
            connection.execute(sa.delete(table).where(gone))
        for table in (schema.run, schema.event, schema.rule, schema.verification, schema.artifact):
            gone = sa.and_(table.c.study_id.is_not(None), table.c.study_id.not_in(studies))
            connection.execute(sa.delete(table).where(gone))
