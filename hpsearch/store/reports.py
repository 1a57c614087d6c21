"""What a running trial writes: ours and Optuna's in one transaction, for commits are what costs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages._rdb import models
from optuna.trial import TrialState

from hpsearch.store import schema
from hpsearch.store.optuna_tables import ATTRS, PARAMS, REPORTS, SYSTEM_ATTRS, TRIALS, VALUES
from hpsearch.store.queue import begin
from hpsearch.training.contract import EpochRecord

Write = tuple[sa.Table, dict[str, Any], dict[str, Any]]
"""A row to be: its table, the columns that name it, and the others."""
UNFINISHED = (TrialState.RUNNING, TrialState.WAITING)


@dataclass
class Gathered:
    """What is to be written about a trial at once: parameters in Optuna's internal form with their
    distributions, attributes, and columns of its row of hps_trial."""

    params: dict[str, tuple[float, BaseDistribution]] = field(default_factory=dict)
    attrs: dict[str, Any] = field(default_factory=dict)
    system_attrs: dict[str, Any] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)

    def writes(self, trial_id: int) -> list[Write]:
        rows: list[Write] = [
            (
                PARAMS,
                {"trial_id": trial_id, "param_name": name},
                {"param_value": value, "distribution_json": distribution_to_json(one)},
            )
            for name, (value, one) in self.params.items()
        ]
        for table, attrs in ((ATTRS, self.attrs), (SYSTEM_ATTRS, self.system_attrs)):
            rows += [
                (table, {"trial_id": trial_id, "key": key}, {"value_json": json.dumps(value)})
                for key, value in attrs.items()
            ]
        return rows

    def update(self, trial_id: int) -> list[sa.Update]:
        if not self.context:
            return []
        update = sa.update(schema.trial).where(schema.trial.c.trial_id == trial_id)
        return [update.values(**self.context)]


def write_epoch(engine: sa.Engine, trial_id: int, record: EpochRecord, value: float | None) -> None:
    """An epoch's row, and `value` as what Optuna's trial reported in that step.

    One that is there already (of a resumed trial, or one trained again with a smaller batch) is
    replaced.
    """
    row = {
        "stage": record.stage,
        "epochs": record.epochs,
        "train_loss": record.train_loss,
        "valid_loss": record.valid_loss,
        "metrics": record.metrics,
        "lrs": record.lrs,
        "seconds": record.seconds,
        "recorded_at": schema.utc_now(),
    }
    writes: list[Write] = [(schema.epoch, {"trial_id": trial_id, "epoch": record.epoch}, row)]
    if value is not None:
        stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
        reported = {"intermediate_value": stored, "intermediate_value_type": kind}
        writes.append((REPORTS, {"trial_id": trial_id, "step": record.epoch}, reported))
    _write(engine, writes)


def write_gathered(engine: sa.Engine, trial_id: int, gathered: Gathered) -> None:
    _write(engine, gathered.writes(trial_id), gathered.update(trial_id))


def write_end(
    engine: sa.Engine,
    trial_id: int,
    state: TrialState,
    values: Sequence[float] | None,
    gathered: Gathered,
) -> bool:
    """The trial's end with all that goes with it; False, and nothing, if it has ended already.

    A trial that was put back while its worker, thought dead, ran on has not: that worker's result
    counts, and nobody starts it again.
    """
    end = (
        sa.update(TRIALS)
        .where(TRIALS.c.trial_id == trial_id, TRIALS.c.state.in_(UNFINISHED))
        .values(state=state, datetime_complete=schema.utc_now())
    )
    writes = gathered.writes(trial_id)
    for objective, value in enumerate(values or ()):
        stored, kind = models.TrialValueModel.value_to_stored_repr(value)
        key = {"trial_id": trial_id, "objective": objective}
        writes.append((VALUES, key, {"value": stored, "value_type": kind}))
    return _write(engine, writes, gathered.update(trial_id), condition=end)


def _write(
    engine: sa.Engine,
    writes: Sequence[Write],
    updates: Iterable[sa.Update] = (),
    condition: sa.Update | None = None,
) -> bool:
    """The rows inserted or replaced, and the updates made, all in one transaction.

    False, and nothing is written, where `condition`, an update made first, finds no row.
    """
    for insert in (_insert, _replace):
        try:
            with begin(engine) as connection:
                if condition is not None and connection.execute(condition).rowcount == 0:
                    return False
                # Insert first: on MySQL an update that finds nothing locks the gap for others.
                insert(connection, writes)
                for update in updates:
                    connection.execute(update)
                return True
        except sa.exc.IntegrityError:
            if insert is _replace:
                raise
    raise AssertionError


def _insert(connection: sa.Connection, writes: Sequence[Write]) -> None:
    rows: dict[sa.Table, list[dict[str, Any]]] = {}
    for table, key, row in writes:
        rows.setdefault(table, []).append({**key, **row})
    for table, many in rows.items():
        connection.execute(sa.insert(table).inline(), many if len(many) > 1 else many[0])


def _replace(connection: sa.Connection, writes: Sequence[Write]) -> None:
    for table, key, row in writes:
        same = sa.and_(*(table.c[name] == value for name, value in key.items()))
        if connection.execute(sa.update(table).where(same).values(**row)).rowcount == 0:
            connection.execute(sa.insert(table).values(**key, **row))
