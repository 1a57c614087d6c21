"""What a display asks the store twice a second: counts, the newest ends, the latest epochs."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa
from optuna.trial import TrialState
from pydantic import TypeAdapter, ValidationError

from hpsearch.store.server.connections import reader
from hpsearch.store.tables import schema
from hpsearch.store.tables.optuna_tables import parsed_range, parts
from hpsearch.store.trials import read

CLOCK_SKEW = timedelta(minutes=5)
Value = TypeVar("Value")


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
    since = None if since is None else since - CLOCK_SKEW
    with reader(engine) as connection:
        # Their ids first: in minutes of short trials thousands end, and all but a few are known.
        ids = read.states.ended_ids(connection, run_id, since)
        new = [one for one in ids if one not in known]
        rows = [row for part in parts(new) for row in read.states.ended(connection, part)]
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
            reason=_reason(row.value_json),
        )
        for row in rows
    ]


def _reason(text: str | None) -> str | None:
    try:
        return str(json.loads(text)) if text else None
    except (ValueError, RecursionError):  # `doctor` finds it
        return "its reason cannot be read"


def _seconds(start: datetime | None, end: datetime | None) -> float:
    return max(0.0, (end - start).total_seconds()) if start and end else 0.0


def _params(connection: sa.Connection, trial_ids: list[int]) -> dict[int, dict[str, Any]]:
    params: dict[int, dict[str, Any]] = {}
    for part in parts(trial_ids):
        where = read.content.of_trials(part)
        for trial_id, _, name, value, text in read.content.params(connection, where, ordered=True):
            internal = parsed_range(text).to_external_repr(value)
            params.setdefault(trial_id, {})[name] = internal
    return params


def running(engine: sa.Engine, run_id: int) -> list[Running]:
    """The run's running trials by number, each with its latest epoch."""
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
            for row in read.states.running_epochs(connection, run_id)
        ]


def count_epochs(engine: sa.Engine, run_id: int) -> int:
    """How many epochs the run's trials have ended."""
    epoch, ours = schema.epoch, schema.trial
    query = sa.select(sa.func.count()).select_from(epoch)
    query = query.join(ours, ours.c.trial_id == epoch.c.trial_id).where(ours.c.run_id == run_id)
    with reader(engine) as connection:
        return connection.execute(query).scalar_one()


def running_workers(engine: sa.Engine, run_id: int) -> int:
    """How many workers have a trial of the run."""
    with reader(engine) as connection:
        return read.states.count_workers(connection, run_id)


def latest_event(engine: sa.Engine, run_id: int, kind: str) -> str | None:
    """The message of the run's newest event of that kind."""
    event = schema.event.c
    query = sa.select(event.message).where(event.run_id == run_id, event.kind == kind)
    with reader(engine) as connection:
        return connection.execute(query.order_by(event.event_id.desc()).limit(1)).scalar()


def latest_value(engine: sa.Engine, run_id: int, kind: str, type_: type[Value]) -> Value | None:
    """The same of events that hold a dataclass as JSON; None where nobody can read it, or one of
    its numbers is not finite: what stands in a store may be anybody's."""
    message = latest_event(engine, run_id, kind)
    try:
        found = None if message is None else TypeAdapter(type_).validate_json(message)
    except ValidationError:
        return None
    numbers = [one for one in vars(found).values() if isinstance(one, float)] if found else []
    return found if all(map(math.isfinite, numbers)) else None


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
