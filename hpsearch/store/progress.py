"""What a display asks the store twice a second: counts, the newest ends, the latest epochs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from optuna.trial import TrialState

from hpsearch.store import schema
from hpsearch.store.cells import parsed_range, parts
from hpsearch.store.connections import reader
from hpsearch.store.optuna_tables import ATTRS, PARAMS, TRIALS, VALUES
from hpsearch.store.queue import FINISHED

CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True)
class Ended:
    """A finished trial. `value` is None for a failed one, `reason` for any other."""

    trial_id: int
    number: int
    cohort: str
    state: TrialState
    value: float | None
    seconds: float
    ended_at: datetime
    params: dict[str, Any]
    reason: str | None


@dataclass(frozen=True)
class Running:
    """A running trial and its latest epoch, None before the first."""

    number: int
    cohort: str
    stage: str | None
    epoch: int | None
    epochs: int | None
    valid_loss: float | None
    metrics: dict[str, Any]


def newly_ended(
    engine: sa.Engine, run_id: int, since: datetime | None, known: set[int]
) -> list[Ended]:
    """The run's finished trials that are not in `known`, in the order in which they ended.

    `since` is the latest end seen so far; a little before it is looked at again, because the clocks
    of several machines write the times.
    """
    ended = (
        sa.select(TRIALS.c.trial_id)
        .join(schema.trial, schema.trial.c.trial_id == TRIALS.c.trial_id)
        .where(schema.trial.c.run_id == run_id, TRIALS.c.state.in_(FINISHED))
    )
    if since is not None:
        ended = ended.where(TRIALS.c.datetime_complete >= since - CLOCK_SKEW)
    with reader(engine) as connection:
        # Their ids first: in minutes of short trials thousands end, and all but a few are known.
        new = [one for one in connection.execute(ended).scalars() if one not in known]
        rows = [row for part in parts(new) for row in connection.execute(_ended(part))]
        params = _params(connection, new)
    rows.sort(key=lambda row: (row.datetime_complete, row.number))
    return [
        Ended(
            trial_id=row.trial_id,
            number=row.number,
            cohort=row.cohort,
            state=row.state,
            value=row.value,
            seconds=_seconds(row.datetime_start, row.datetime_complete),
            ended_at=row.datetime_complete,
            params=params.get(row.trial_id, {}),
            reason=json.loads(row.value_json) if row.value_json else None,
        )
        for row in rows
    ]


def _ended(trial_ids: Sequence[int]) -> sa.Select[Any]:
    return (
        sa.select(TRIALS, schema.trial.c.cohort, VALUES.c.value, ATTRS.c.value_json)
        .join(schema.trial, schema.trial.c.trial_id == TRIALS.c.trial_id)
        .outerjoin(VALUES, sa.and_(VALUES.c.trial_id == TRIALS.c.trial_id, VALUES.c.objective == 0))
        .outerjoin(
            ATTRS,
            sa.and_(ATTRS.c.trial_id == TRIALS.c.trial_id, ATTRS.c.key == "hps_failure"),
        )
        .where(TRIALS.c.trial_id.in_(trial_ids))
    )


def _seconds(start: datetime | None, end: datetime | None) -> float:
    return (end - start).total_seconds() if start and end else 0.0


def _params(connection: sa.Connection, trial_ids: list[int]) -> dict[int, dict[str, Any]]:
    params: dict[int, dict[str, Any]] = {}
    for part in parts(trial_ids):
        query = sa.select(PARAMS).where(PARAMS.c.trial_id.in_(part)).order_by(PARAMS.c.param_id)
        for row in connection.execute(query):
            distribution = parsed_range(row.distribution_json)
            value = distribution.to_external_repr(row.param_value)
            params.setdefault(row.trial_id, {})[row.param_name] = value
    return params


def running(engine: sa.Engine, run_id: int) -> list[Running]:
    """The run's running trials by number, each with its latest epoch."""
    epoch = schema.epoch
    latest = (
        sa.select(sa.func.max(epoch.c.epoch))
        .where(epoch.c.trial_id == TRIALS.c.trial_id)
        .correlate(TRIALS)
        .scalar_subquery()
    )
    query = (
        sa.select(TRIALS.c.number, schema.trial.c.cohort, epoch)
        .join(schema.trial, schema.trial.c.trial_id == TRIALS.c.trial_id)
        .outerjoin(epoch, sa.and_(epoch.c.trial_id == TRIALS.c.trial_id, epoch.c.epoch == latest))
        .where(schema.trial.c.run_id == run_id, TRIALS.c.state == TrialState.RUNNING)
        .order_by(TRIALS.c.number)
    )
    with reader(engine) as connection:
        return [
            Running(
                number=row.number,
                cohort=row.cohort,
                stage=row.stage,
                epoch=row.epoch,
                epochs=row.epochs,
                valid_loss=row.valid_loss,
                metrics=row.metrics or {},
            )
            for row in connection.execute(query)
        ]


def last_event(engine: sa.Engine) -> int:
    """The id of the newest event, 0 if there is none."""
    with reader(engine) as connection:
        return connection.execute(sa.select(sa.func.max(schema.event.c.event_id))).scalar() or 0


def new_events(
    engine: sa.Engine, run_id: int, after: int, kinds: Sequence[str]
) -> list[tuple[int, str]]:
    """Id and message of the run's events of these kinds with a greater id than `after`."""
    event = schema.event.c
    query = (
        sa.select(event.event_id, event.message)
        .where(event.event_id > after, event.run_id == run_id, event.kind.in_(kinds))
        .order_by(event.event_id)
    )
    with reader(engine) as connection:
        return [(row.event_id, row.message) for row in connection.execute(query)]
