"""What a worker writes about its trial: its parameters, its epochs and its end.

Rows of ours and of Optuna are written in one transaction, for commits are what costs. A write finds
nothing if the trial is not the worker's any more (fence).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.trial import TrialState

from hpsearch.store.server.connections import begin
from hpsearch.store.tables import schema
from hpsearch.store.tables.optuna_tables import (
    ATTRS,
    KEYS,
    PARAMS,
    REPORTS,
    SYSTEM_ATTRS,
    TRIALS,
    UNFINISHED,
    VALUES,
    Row,
    attr_row,
    param_row,
    report_row,
    value_row,
)
from hpsearch.store.trials import read
from hpsearch.store.trials.write.rows import insert_where
from hpsearch.trainers.contract import EpochRecord

if TYPE_CHECKING:
    from hpsearch.store.queue.fence import Claim

Write = tuple[sa.Table, Row]
"""A row to be inserted or replaced, in its table."""
NAMES = {**KEYS, schema.epoch: ("trial_id", "epoch")}
"""The columns that name a row of each table."""


@dataclass
class PendingWrites:
    """What is to be written about a trial at once: parameters in Optuna's internal form with their
    distributions, attributes, and columns of its row of hps_trial."""

    params: dict[str, tuple[float, BaseDistribution]] = field(default_factory=dict)
    attrs: dict[str, Any] = field(default_factory=dict)
    system_attrs: dict[str, Any] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)

    def writes(self, trial_id: int) -> list[Write]:
        rows: list[Write] = [
            (PARAMS, param_row(trial_id, name, value, distribution_to_json(one)))
            for name, (value, one) in self.params.items()
        ]
        for table, attrs in ((ATTRS, self.attrs), (SYSTEM_ATTRS, self.system_attrs)):
            rows += [(table, attr_row(trial_id, key, value)) for key, value in attrs.items()]
        return rows

    def update(self, claim: Claim) -> list[sa.Update]:
        if not self.context:
            return []
        return [sa.update(schema.trial).where(claim.own_row()).values(**self.context)]


def write_epoch(engine: sa.Engine, claim: Claim, record: EpochRecord, value: float | None) -> None:
    """An epoch's row, and `value` as what Optuna's trial reported in that step.

    One that is there already (of a resumed trial, or one trained again with a smaller batch) is
    replaced. Raises what `Claim.refusal` says where the trial is not this worker's any more.
    """
    trial_id = claim.trial_id
    row = {
        "trial_id": trial_id,
        "epoch": record.epoch,
        "stage": record.stage,
        "epochs": record.epochs,
        "train_loss": record.train_loss,
        "valid_loss": record.valid_loss,
        "metrics": record.metrics,
        "lrs": record.lrs,
        "seconds": record.seconds,
        "recorded_at": schema.utc_now(),
    }
    writes: list[Write] = [(schema.epoch, row)]
    if value is not None:
        writes.append((REPORTS, report_row(trial_id, record.epoch, value)))
    if not _write(engine, claim, [], writes):
        _refuse(engine, claim)


def write_pending(engine: sa.Engine, claim: Claim, pending: PendingWrites) -> None:
    """Raises as `write_epoch`."""
    updates, writes = pending.update(claim), pending.writes(claim.trial_id)
    if (updates or writes) and not _write(engine, claim, updates, writes):
        _refuse(engine, claim)


def _refuse(engine: sa.Engine, claim: Claim) -> None:
    if (why := claim.refusal(engine)) is not None:
        raise why


def write_end(
    engine: sa.Engine,
    claim: Claim,
    state: TrialState,
    values: Sequence[float] | None,
    pending: PendingWrites,
) -> bool:
    """Write the trial's end and all pending writes. False, and no write, if it has ended already.

    A trial may be back in the queue because its worker was thought to be dead. If no other worker
    has started it since, the result of the first worker counts, and nobody starts the trial again.
    Raises as `write_epoch`.
    """
    trial_id = claim.trial_id
    end = (
        sa.update(TRIALS)
        .where(TRIALS.c.trial_id == trial_id, TRIALS.c.state.in_(UNFINISHED), claim.held)
        .values(state=state, datetime_complete=schema.utc_now())
    )
    writes = pending.writes(trial_id)
    for objective, value in enumerate(values or ()):
        writes.append((VALUES, value_row(trial_id, objective, value)))
    if _write(engine, claim, [end, *pending.update(claim)], writes):
        return True
    _refuse(engine, claim)
    _note_ended_elsewhere(engine, claim, state, [float(one) for one in values or ()])
    return False


def _note_ended_elsewhere(
    engine: sa.Engine, claim: Claim, state: TrialState, values: list[float]
) -> None:
    """Note that no worker of ours ran the trial if another program wrote its end (taken_trials).

    Optuna's `ask` may give a trial to another program in the moment in which a worker takes it:
    SQLite does not prevent this. If the stored end equals ours, our own commit wrote it and only
    the server's answer was lost.
    """
    with engine.begin() as connection:
        stored, theirs = read.content.end_of(connection, claim.trial_id)
        if stored not in (None, TrialState.FAIL) and (stored, theirs) != (state, values):
            connection.execute(sa.update(schema.trial).where(claim.own_row()).values(attempts=0))


def _write(
    engine: sa.Engine, claim: Claim, updates: Sequence[sa.Update], writes: Sequence[Write]
) -> bool:
    """Make the updates and insert or replace the rows, all in one transaction.

    It tries to insert before it replaces: on MySQL an update that finds no row locks the gap for
    others. Returns False, and writes nothing, if the trial is not the worker's any more. The
    updates check that; if there are none, the first row does.
    """
    for insert in (_insert, _replace):
        try:
            with begin(engine) as connection:
                done = all(connection.execute(one).rowcount for one in updates)
                done = done and insert(connection, writes, None if updates else claim)
                if not done:
                    connection.rollback()
                return done
        except sa.exc.IntegrityError:
            if insert is _replace and claim.refusal(engine) is None:
                raise
    return False


def _insert(connection: sa.Connection, writes: Sequence[Write], claim: Claim | None) -> bool:
    """Insert the rows; False, and none of them, if `claim` is given and holds no more."""
    if claim is not None:
        (table, row), *writes = writes
        condition = sa.and_(claim.held, claim.running)
        if connection.execute(insert_where(table, row, condition)).rowcount == 0:
            return False
    rows: dict[sa.Table, list[Row]] = {}
    for table, row in writes:
        rows.setdefault(table, []).append(row)
    for table, many in rows.items():
        connection.execute(sa.insert(table).inline(), many if len(many) > 1 else many[0])
    return True


def _replace(connection: sa.Connection, writes: Sequence[Write], claim: Claim | None) -> bool:
    """The same for rows that may be there."""
    for table, row in writes:
        same = sa.and_(*(table.c[name] == row[name] for name in NAMES[table]))
        if claim is not None:
            same = sa.and_(same, claim.held, claim.running)
        others = {name: cell for name, cell in row.items() if name not in NAMES[table]}
        found = connection.execute(sa.update(table).where(same).values(**others)).rowcount
        if not found and not _insert(connection, [(table, row)], claim):
            return False
        claim = None
    return True
