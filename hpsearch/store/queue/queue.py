"""The queue of trials: plan, claim and give back.

The statements on Optuna's tables stand in `trials/read/states` and `trials/write/states`, which
says why Optuna's own storage does not do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, distribution_to_json

from hpsearch.store.queue.fence import Claim, StudyRef, lock_study
from hpsearch.store.queue.processes import Worker
from hpsearch.store.server.connections import begin, reader
from hpsearch.store.tables import attributes, schema
from hpsearch.store.tables.optuna_tables import attr_row, param_row
from hpsearch.store.trials import read, write
from hpsearch.store.trials.write.deleted import drop_reused

MANY_TRIALS = 100
"""From so many new trials on the server is told to count its rows."""


@dataclass(frozen=True)
class Planned:
    """A trial to be. Without params the sampler draws them when a worker takes the trial."""

    cohort: str
    seed: int
    params: Mapping[str, Any]
    replicate_of: int | None = None


def enqueue(
    engine: sa.Engine,
    study: StudyRef,
    run_id: int | None,
    distributions: Mapping[str, BaseDistribution],
    plan: Callable[[int], Sequence[Planned]],
) -> list[int]:
    """Add the trials of `plan(number of the first new trial)`, all or none; their numbers.

    Without a `run_id` they are for the study's next run. Raises StudyGoneError.
    """
    study_id = study.study_id
    with begin(engine) as connection:
        first = lock_study(connection, study)
        drop_reused(connection)
        planned = plan(first)
        if not planned:
            return []
        ids = write.states.insert_waiting(connection, study_id, first, len(planned))
        trials = list(zip(ids, planned, strict=True))
        write.states.insert_params(connection, _param_rows(trials, distributions))
        write.states.insert_attrs(connection, _attr_rows(trials))
        connection.execute(sa.insert(schema.trial), _trial_rows(trials, study_id, run_id))
    _analyze(engine, len(planned))
    return list(range(first, first + len(planned)))


def _analyze(engine: sa.Engine, new: int) -> None:
    """Let PostgreSQL know at once of many new trials: for the minute until it looks itself it would
    go through all of them for every claim, taking them for a handful."""
    if engine.dialect.name == "postgresql" and new >= MANY_TRIALS:
        with reader(engine) as connection:
            write.states.analyze(connection)
            connection.exec_driver_sql(f"ANALYZE {schema.trial.name}")


def _param_rows(
    trials: Sequence[tuple[int, Planned]], distributions: Mapping[str, BaseDistribution]
) -> list[dict[str, Any]]:
    texts = {name: distribution_to_json(one) for name, one in distributions.items()}
    return [
        param_row(trial_id, name, distributions[name].to_internal_repr(value), texts[name])
        for trial_id, planned in trials
        for name, value in planned.params.items()
    ]


def _attr_rows(trials: Sequence[tuple[int, Planned]]) -> list[dict[str, Any]]:
    rows = []
    for trial_id, planned in trials:
        attrs = {attributes.COHORT: planned.cohort, attributes.SEED: planned.seed}
        if planned.replicate_of is not None:
            attrs[attributes.REPLICATE_OF] = planned.replicate_of
        rows += [attr_row(trial_id, key, value) for key, value in attrs.items()]
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
    engine: sa.Engine, study: StudyRef, worker: Worker, run_id: int | None, after: int = -1
) -> Claim | None:
    """Take the first waiting trial (of one run, or of any): None if none is left.

    A run that was ended gives none: its other workers, here or elsewhere, are to leave. Only ids
    greater than `after` are looked at, so that a long study's finished trials are not gone through
    for every claim.
    """
    while True:
        # A transaction for each attempt: MySQL would go on showing the first one's snapshot.
        with begin(engine) as connection:
            row = read.states.next_waiting(connection, study, run_id, after)
            if row is None:
                return None
            if write.states.start(connection, row.trial_id):
                return _take(connection, Claim(study, row.trial_id, row.attempts + 1, worker))


def claim_beside(
    engine: sa.Engine, held: Claim, group_of: Callable[[str], tuple[Sequence[str], int]]
) -> list[Claim]:
    """Take those waiting trials that may train together with a claimed one.

    `group_of` takes the cohort of `held` and gives the cohorts that may join it and a block size.
    The trials that join belong to the same run, and their numbers lie in the same block of that
    size. So an interruption of the run does not change which trials see each other's results. A
    trial on which a worker died trains alone.
    """
    taken = []
    with begin(engine) as connection:
        first = read.states.claimed_row(connection, held.own_row())
        if first is None:
            return []
        for row in read.states.waiting_beside(connection, first, *group_of(first.cohort)):
            if write.states.start(connection, row.trial_id):
                one = Claim(held.study, row.trial_id, row.attempts + 1, held.worker)
                taken.append(_take(connection, one))
    return taken


def _take(connection: sa.Connection, claim: Claim) -> Claim:
    """Write down who runs the trial, with a fresh heartbeat: an old one would look stale."""
    ours, worker = schema.trial, claim.worker
    connection.execute(
        sa.update(ours)
        .where(ours.c.trial_id == claim.trial_id)
        .values(
            attempts=claim.attempt,
            worker=worker.name,
            machine=worker.machine,
            host=worker.host,
            pid=worker.pid,
        )
    )
    write.states.first_beat(connection, claim)
    return claim


def beat(engine: sa.Engine, claims: Sequence[Claim]) -> None:
    """Note that these trials are being run."""
    with engine.begin() as connection:
        write.states.beat(connection, claims)


def release(engine: sa.Engine, claim: Claim) -> bool:
    """Put a trial that its worker runs back into the queue, as nobody's fault."""
    with begin(engine) as connection:
        return write.states.release(connection, claim)
