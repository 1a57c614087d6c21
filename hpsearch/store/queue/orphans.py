"""Running trials whose workers died: found, and put back into the queue or given up.

Their checkpoints go too where a worker was killed between a trial's end and its tidying.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from optuna.trial import TrialState

from hpsearch.core.home import remove
from hpsearch.store import Store
from hpsearch.store.queue.fence import Claim, StudyRef
from hpsearch.store.queue.processes import Worker, is_dead
from hpsearch.store.server import clock
from hpsearch.store.server.connections import begin, reader
from hpsearch.store.server.open import GRACE_S
from hpsearch.store.tables import schema
from hpsearch.store.trials import read, write


def orphaned_checkpoints(store: Store, study_id: int, folder: Path) -> list[Path]:
    """The folders of finished trials, which need none, in the study's `folder` of checkpoints."""
    if not folder.is_dir():
        return []
    with reader(store.engine) as connection:
        finished = set(map(str, read.states.finished_numbers(connection, study_id)))
    return sorted(
        (one for one in folder.iterdir() if one.name in finished), key=lambda p: int(p.name)
    )


def remove_orphaned_checkpoints(store: Store, study_id: int, folder: Path) -> None:
    for one in orphaned_checkpoints(store, study_id, folder):
        remove(one)


MAX_DEATHS = 5
"""So many workers in a row may die on a trial without getting it an epoch further. Where machines
are taken away all the time, three do so by chance once in some hundred times."""


@dataclass(frozen=True)
class Orphaned:
    """A running trial whose worker is gone."""

    trial_id: int
    number: int
    attempts: int
    deaths: int
    worker: str
    host: str


def find_orphaned(
    engine: sa.Engine, study: StudyRef, grace_s: float, dead: Container[str] = ()
) -> list[Orphaned]:
    """Running trials of dead processes here, of workers whose names are in `dead`, or without a
    heartbeat for `grace_s` seconds. What no worker of ours ever took is somebody else's."""
    with engine.connect() as connection:
        # The server's clock wrote the heartbeats, whatever those of the machines say.
        now = connection.execute(sa.select(clock.server_now())).scalar_one()
        oldest = now - timedelta(seconds=grace_s)
        return [
            Orphaned(row.trial_id, row.number, row.attempts, row.deaths, row.worker, row.host)
            for row in read.states.running_trials(connection, study)
            if row.worker in dead
            or is_dead(row.machine, row.pid)
            or row.heartbeat is None
            or row.heartbeat < oldest
        ]


def requeue(engine: sa.Engine, study: StudyRef, orphan: Orphaned) -> TrialState | None:
    """Give an orphaned trial another chance, or fail it after MAX_DEATHS in a row: its new state.

    None if somebody else was faster, or its worker finished it after all.
    """
    ours = schema.trial
    last = orphan.deaths + 1 >= MAX_DEATHS
    with begin(engine) as connection:
        # Our row first: whoever changes it has the trial, and a second finds another count.
        counted = connection.execute(
            sa.update(ours)
            .where(ours.c.trial_id == orphan.trial_id, ours.c.attempts == orphan.attempts)
            .where(ours.c.deaths == orphan.deaths, study.exists)
            .values(deaths=orphan.deaths + 1)
        ).rowcount
        if not counted:
            return None
        if not last:
            back = write.states.put_back(connection, orphan.trial_id)
            return TrialState.WAITING if back else None
        reason = f"its worker died {MAX_DEATHS} times while it ran this trial"
        failed = write.states.give_up(connection, orphan.trial_id, reason)
        return TrialState.FAIL if failed else None


def reset_deaths(engine: sa.Engine, claim: Claim) -> None:
    """The trial got further than when its worker died, so it was not the trial's fault."""
    update = sa.update(schema.trial).where(claim.own_row())
    with engine.begin() as connection:
        connection.execute(update.values(deaths=0))


def requeue_orphans(
    store: Store, study: StudyRef, worker: Worker, run_id: int | None, dead: Container[str] = ()
) -> None:
    """Put the trials of workers that died back into the queue, and say so in the events.

    `dead` holds names of workers that are known to be gone; of others it is found out.
    """
    found = store.retry(find_orphaned, store.engine, study, GRACE_S, dead)
    for orphan in found:
        state = store.retry(requeue, store.engine, study, orphan)
        if state is None:
            continue
        end = "its trial is back in the queue" if state == TrialState.WAITING else "its trial fails"
        store.record_event(
            "trial-requeued" if state == TrialState.WAITING else "trial-failed",
            f"worker {orphan.worker} on {orphan.host} died; {end}",
            study=study,
            trial_id=orphan.trial_id,
            run_id=run_id,
            worker=worker.name,
        )
