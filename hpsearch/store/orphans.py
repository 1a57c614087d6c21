"""Running trials whose workers died: found, and put back into the queue or given up."""

from __future__ import annotations

import json
from collections.abc import Container
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from optuna.trial import TrialState

from hpsearch.store import schema
from hpsearch.store.identity import is_dead
from hpsearch.store.optuna_tables import ATTRS, BEATS, TRIALS
from hpsearch.store.queue import begin, change

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
    engine: sa.Engine, study_id: int, grace_s: float, dead: Container[str] = ()
) -> list[Orphaned]:
    """Running trials of dead processes here, of workers whose names are in `dead`, or without a
    heartbeat for `grace_s` seconds."""
    ours = schema.trial
    query = (
        sa.select(TRIALS.c.number, BEATS.c.heartbeat, ours)
        .join(ours, ours.c.trial_id == TRIALS.c.trial_id)
        .outerjoin(BEATS, BEATS.c.trial_id == TRIALS.c.trial_id)
        .where(TRIALS.c.study_id == study_id, TRIALS.c.state == TrialState.RUNNING)
    )
    with engine.connect() as connection:
        # The server's clock wrote the heartbeats; it may carry a time zone on PostgreSQL.
        now = connection.execute(sa.select(sa.func.now())).scalar_one().replace(tzinfo=None)
        oldest = now - timedelta(seconds=grace_s)
        return [
            Orphaned(row.trial_id, row.number, row.attempts, row.deaths, row.worker, row.host)
            for row in connection.execute(query)
            if row.worker in dead
            or is_dead(row.machine, row.pid)
            or row.heartbeat is None
            or row.heartbeat < oldest
        ]


def requeue(engine: sa.Engine, orphan: Orphaned) -> TrialState | None:
    """Give an orphaned trial another chance, or fail it after MAX_DEATHS in a row: its new state.

    None if somebody else was faster, or its worker finished it after all.
    """
    ours = schema.trial
    last = orphan.deaths + 1 >= MAX_DEATHS
    values: dict[str, Any] = {"state": TrialState.FAIL if last else TrialState.WAITING}
    if last:
        values["datetime_complete"] = schema.utc_now()
    with begin(engine) as connection:
        # Our row first: whoever changes it has the trial, and a second finds another count.
        counted = connection.execute(
            sa.update(ours)
            .where(ours.c.trial_id == orphan.trial_id, ours.c.attempts == orphan.attempts)
            .where(ours.c.deaths == orphan.deaths)
            .values(deaths=orphan.deaths + 1)
        ).rowcount
        if not counted or not change(connection, orphan.trial_id, TrialState.RUNNING, values):
            return None
        if last:
            reason = f"its worker died {MAX_DEATHS} times while it ran this trial"
            attr = {"trial_id": orphan.trial_id, "key": "hps_failure"}
            connection.execute(sa.insert(ATTRS).values(**attr, value_json=json.dumps(reason)))
    return TrialState(values["state"])


def forgive(engine: sa.Engine, trial_id: int) -> None:
    """The trial got further than when its worker died, so it was not the trial's fault."""
    update = sa.update(schema.trial).where(schema.trial.c.trial_id == trial_id)
    with engine.begin() as connection:
        connection.execute(update.values(deaths=0))
