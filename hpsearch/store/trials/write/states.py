"""Lets trials change hands: planned, started, put back, given up, copied; and their attributes.

Optuna's storage reads a trial's state and writes it in two steps. SQLite has no SELECT FOR UPDATE,
so two workers can take the same trial there. On every server, two workers can both find a trial
stale, and the second one can put it back into the queue while a third worker already runs it. Here
one conditional UPDATE makes each such change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from optuna.trial import TrialState

from hpsearch.store.server import clock
from hpsearch.store.tables import attributes, schema
from hpsearch.store.tables.optuna_tables import (
    ATTRS,
    BEATS,
    PARAMS,
    SYSTEM_ATTRS,
    TRIALS,
    Row,
    attr_row,
)
from hpsearch.store.trials import read
from hpsearch.store.trials.write.rows import insert

if TYPE_CHECKING:
    from hpsearch.store.queue.fence import Claim


def insert_waiting(connection: sa.Connection, study_id: int, first: int, count: int) -> list[int]:
    """Add `count` waiting trials with the numbers from `first` on; their ids, by number."""
    numbers = range(first, first + count)
    connection.execute(sa.insert(TRIALS), [_waiting(study_id, number) for number in numbers])
    return read.states.ids_from(connection, study_id, first)


def insert_params(connection: sa.Connection, rows: Sequence[Row]) -> None:
    """Add the rows of `optuna_tables.param_row`."""
    insert(connection, PARAMS, rows)


def insert_attrs(connection: sa.Connection, rows: Sequence[Row]) -> None:
    """Add user attributes: the rows of `optuna_tables.attr_row`."""
    insert(connection, ATTRS, rows)


def set_attrs(connection: sa.Connection, trial_id: int, attrs: Mapping[str, Any]) -> None:
    """Set user attributes of a trial, also those that it has."""
    delete_attrs(connection, trial_id, list(attrs))
    insert_attrs(connection, [attr_row(trial_id, key, value) for key, value in attrs.items()])


def delete_attrs(connection: sa.Connection, trial_id: int, keys: Sequence[str]) -> None:
    own = sa.and_(ATTRS.c.trial_id == trial_id, ATTRS.c.key.in_(keys))
    connection.execute(sa.delete(ATTRS).where(own))


def replace_attr(
    connection: sa.Connection, trial_ids: Sequence[int], key: str, value: object
) -> None:
    """Give those of the trials that have the user attribute another value of it."""
    own = sa.and_(ATTRS.c.trial_id.in_(trial_ids), ATTRS.c.key == key)
    connection.execute(sa.update(ATTRS).where(own).values(value_json=json.dumps(value)))


@dataclass(frozen=True)
class Kept:
    """What a copy of a trial keeps: the names of parameters and attributes."""

    params: Sequence[str]
    attrs: Sequence[str]
    system_attrs: Sequence[str]


def insert_copy(connection: sa.Connection, old: int, study_id: int, number: int, kept: Kept) -> int:
    """Add a waiting trial that has what is `kept` of the trial `old`; its id."""
    row = _waiting(study_id, number)
    key = connection.execute(sa.insert(TRIALS).values(**row)).inserted_primary_key
    assert key is not None
    new: int = key[0]
    for table, name, names in (
        (PARAMS, PARAMS.c.param_name, kept.params),
        (ATTRS, ATTRS.c.key, kept.attrs),
        (SYSTEM_ATTRS, SYSTEM_ATTRS.c.key, kept.system_attrs),
    ):
        (key_column,) = table.primary_key
        same = sa.and_(table.c.trial_id == old, name.in_(names))
        for one in read.rows.matching(connection, table, same):
            content = {column: one[column] for column in one if column != key_column.name}
            connection.execute(sa.insert(table).values(**{**content, "trial_id": new}))
    return new


def _waiting(study_id: int, number: int) -> Row:
    return {"number": number, "study_id": study_id, "state": TrialState.WAITING}


def start(connection: sa.Connection, trial_id: int) -> bool:
    """Let a waiting trial run; False if it waits no more."""
    values = {"state": TrialState.RUNNING, "datetime_start": schema.utc_now()}
    return _change(connection, trial_id, TrialState.WAITING, values)


def put_back(connection: sa.Connection, trial_id: int) -> bool:
    """Let a running trial wait again; False if it runs no more."""
    return _change(connection, trial_id, TrialState.RUNNING, {"state": TrialState.WAITING})


def give_up(connection: sa.Connection, trial_id: int, reason: str) -> bool:
    """Let a running trial fail for `reason`; False if it runs no more."""
    values = {"state": TrialState.FAIL, "datetime_complete": schema.utc_now()}
    if not _change(connection, trial_id, TrialState.RUNNING, values):
        return False
    insert_attrs(connection, [attr_row(trial_id, attributes.FAILURE, reason)])
    return True


def _change(
    connection: sa.Connection, trial_id: int, state: TrialState, values: dict[str, Any]
) -> bool:
    """Change a trial's row if it still is in `state`."""
    update = sa.update(TRIALS).where(TRIALS.c.trial_id == trial_id, TRIALS.c.state == state)
    return connection.execute(update.values(**values)).rowcount == 1


def release(connection: sa.Connection, claim: Claim) -> bool:
    """Let a running trial wait again if it is this worker's."""
    running = sa.and_(
        TRIALS.c.trial_id == claim.trial_id, TRIALS.c.state == TrialState.RUNNING, claim.held
    )
    back = sa.update(TRIALS).where(running).values(state=TrialState.WAITING)
    return connection.execute(back).rowcount == 1


def first_beat(connection: sa.Connection, claim: Claim) -> None:
    """Give a trial that was just claimed its heartbeat."""
    now, trial_id = clock.server_now(), claim.trial_id
    update = sa.update(BEATS).where(BEATS.c.trial_id == trial_id).values(heartbeat=now)
    if claim.attempt == 1 or connection.execute(update).rowcount == 0:
        connection.execute(sa.insert(BEATS).values(trial_id=trial_id, heartbeat=now))


def beat(connection: sa.Connection, claims: Sequence[Claim]) -> None:
    now = clock.server_now()
    for one in claims:
        update = sa.update(BEATS).where(BEATS.c.trial_id == one.trial_id, one.held)
        connection.execute(update.values(heartbeat=now))


def analyze(connection: sa.Connection) -> None:
    """Let PostgreSQL count the rows of trials at once."""
    connection.exec_driver_sql(f"ANALYZE {TRIALS.name}")
