"""What a running trial writes: ours and Optuna's in one transaction, for commits are what costs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from optuna.storages._rdb import models

from hpsearch.store import schema
from hpsearch.store.queue import ATTRS
from hpsearch.training.contract import EpochRecord

INTERMEDIATE: sa.Table = models.TrialIntermediateValueModel.__table__
Write = tuple[sa.Table, dict[str, Any], dict[str, Any]]
"""A row to be: its table, the columns that name it, and the others."""


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
        writes.append((INTERMEDIATE, {"trial_id": trial_id, "step": record.epoch}, reported))
    _write(engine, writes)


def write_result(
    engine: sa.Engine, trial_id: int, context: Mapping[str, Any], attrs: Mapping[str, Any]
) -> None:
    """Columns of the trial's row of ours, and attributes of Optuna's trial."""
    writes: list[Write] = [
        (ATTRS, {"trial_id": trial_id, "key": key}, {"value_json": json.dumps(value)})
        for key, value in attrs.items()
    ]
    own = sa.update(schema.trial).where(schema.trial.c.trial_id == trial_id).values(**context)
    _write(engine, writes, own)


def _write(engine: sa.Engine, writes: list[Write], *updates: sa.Update) -> None:
    """The rows inserted or replaced, and the updates made, all in one transaction."""
    try:
        # Insert first: on MySQL an update that finds nothing locks the gap for others.
        with engine.begin() as connection:
            for table, key, row in writes:
                connection.execute(sa.insert(table).values(**key, **row))
            for update in updates:
                connection.execute(update)
    except sa.exc.IntegrityError:
        with engine.begin() as connection:
            for table, key, row in writes:
                same = sa.and_(*(table.c[name] == value for name, value in key.items()))
                if connection.execute(sa.update(table).where(same).values(**row)).rowcount == 0:
                    connection.execute(sa.insert(table).values(**key, **row))
            for update in updates:
                connection.execute(update)
