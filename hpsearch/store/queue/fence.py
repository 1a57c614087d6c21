"""Fencing: a worker can write only while its study exists and its trial still belongs to it.

Optuna's tables have no AUTOINCREMENT, so SQLite gives the ids of a deleted study and of its trials
to the next study. And a trial may belong to another worker by now, if its first worker was thought
to be dead. So every claim and every write checks both in its own WHERE clause, which needs no extra
statement. It checks the study by its name and by the id that `run` drew for it, and the trial by
its worker and by the number of the attempt.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import optuna
import sqlalchemy as sa

from hpsearch.core.database_urls import shown_url
from hpsearch.errors import HpsearchError
from hpsearch.store.queue.processes import Worker
from hpsearch.store.server.connections import reader
from hpsearch.store.tables import attributes, schema
from hpsearch.store.tables.optuna_private import study_id
from hpsearch.store.tables.optuna_tables import (
    STUDIES,
    STUDY_ATTRS,
)
from hpsearch.store.trials import read

# Under names of their own, so that they are never taken for the statement's own tables.
_studies, _attrs = STUDIES.alias("f_study"), STUDY_ATTRS.alias("f_attr")
_ours = schema.trial.alias("f_ours")
_ONE: sa.ColumnClause[int] = sa.literal_column("1")


class StudyGoneError(HpsearchError):
    """The study was deleted while it was worked on."""


class TakenError(HpsearchError):
    """Another worker has the trial: this one was thought dead."""


@dataclass(frozen=True)
class StudyRef:
    """Which study is meant, beyond its number. `uid` is None for a study that hpsearch did not
    make."""

    study_id: int
    name: str
    uid: str | None

    @classmethod
    def of(cls, study: optuna.Study) -> StudyRef:
        return cls(study_id(study), study.study_name, study.user_attrs.get(attributes.UID))

    @cached_property
    def exists(self) -> sa.ColumnElement[bool]:
        """The condition, for a WHERE clause, that the store still holds this study."""
        found = sa.select(_ONE).where(
            _studies.c.study_id == self.study_id, _studies.c.study_name == self.name
        )
        if self.uid is not None:
            found = found.join(_attrs, _attrs.c.study_id == _studies.c.study_id).where(
                _attrs.c.key == attributes.UID, _attrs.c.value_json == json.dumps(self.uid)
            )
        return found.exists()


@dataclass(frozen=True)
class Claim:
    """A trial that a worker has taken. `attempt` counts its starts, from 1 for the first."""

    study: StudyRef
    trial_id: int
    attempt: int
    worker: Worker

    def own_row(self, ours: Any = schema.trial) -> sa.ColumnElement[bool]:  # noqa: ANN401
        """The condition that a row of hps_trial is about this trial, held by this worker."""
        return sa.and_(
            ours.c.trial_id == self.trial_id,
            ours.c.attempts == self.attempt,
            ours.c.worker == self.worker.name,
            ours.c.machine == self.worker.machine,
            ours.c.pid == self.worker.pid,
            self.study.exists,
        )

    @cached_property
    def held(self) -> sa.ColumnElement[bool]:
        """The condition that this worker has the trial, for tables other than hps_trial.

        It locks the row of hps_trial, so that nobody takes the trial before the commit.
        """
        mine = sa.select(_ONE).select_from(_ours).where(self.own_row(_ours))
        return mine.with_for_update(read=True, of=_ours).exists()

    @cached_property
    def running(self) -> sa.ColumnElement[bool]:
        """The condition that the trial has not ended, for tables other than Optuna's trials."""
        return read.states.is_unfinished(self.study.study_id, self.trial_id)

    def refusal(self, engine: sa.Engine) -> HpsearchError | None:
        """Why a write for the trial changed nothing; None if the trial had ended already."""
        with reader(engine) as connection:
            mine = sa.select(_ONE).select_from(schema.trial).where(self.own_row())
            if connection.execute(mine).first() is not None:
                return None
        if not is_there(engine, self.study):
            return gone(engine, self.study)
        return TakenError("another worker has taken the trial over")


def lock_study(connection: sa.Connection, study: StudyRef) -> int:
    """The lock that Optuna takes while it numbers a new trial; the number of the next.

    Raises StudyGoneError if there is no such study any more.
    """
    # The lock alone first: MySQL shows a transaction the database as it was at its first plain
    # read, and a condition with a subquery reads before it waits for the lock.
    lock = sa.select(STUDIES.c.study_id).where(STUDIES.c.study_id == study.study_id)
    connection.execute(lock.with_for_update())
    if connection.execute(sa.select(_ONE).where(study.exists)).first() is None:
        raise gone(connection.engine, study)
    return read.states.count(connection, study.study_id)


def is_there(engine: sa.Engine, study: StudyRef) -> bool:
    with reader(engine) as connection:
        return connection.execute(sa.select(_ONE).where(study.exists)).first() is not None


def check_there(engine: sa.Engine, study: StudyRef) -> None:
    """Raises StudyGoneError if the study was deleted, or another has its number by now."""
    if not is_there(engine, study):
        raise gone(engine, study)


def gone(engine: sa.Engine, study: StudyRef) -> StudyGoneError:
    return StudyGoneError(
        f"The study {study.name} was deleted from the store {shown_url(engine.url)} while it was "
        "worked on: nothing more was written; the same command begins it anew."
    )
