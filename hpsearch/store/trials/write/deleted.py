"""Removes a study's trials, and what is left of trials and studies that Optuna's tools deleted."""

from __future__ import annotations

import sqlalchemy as sa

from hpsearch.store.server.connections import begin
from hpsearch.store.tables import attributes, schema
from hpsearch.store.tables.optuna_tables import (
    ATTRS,
    BEATS,
    PARAMS,
    REPORTS,
    STUDIES,
    SYSTEM_ATTRS,
    TRIALS,
    VALUES,
)
from hpsearch.store.trials import read


def delete_trials(connection: sa.Connection, study_id: int) -> None:
    """Remove a study's trials, and all rows about them. The caller keeps others from planning."""
    trials = sa.select(TRIALS.c.trial_id).where(TRIALS.c.study_id == study_id)
    for table in (schema.epoch, PARAMS, VALUES, REPORTS, ATTRS, SYSTEM_ATTRS, BEATS):
        connection.execute(sa.delete(table).where(table.c.trial_id.in_(trials)))
    for table in (schema.trial, TRIALS):
        connection.execute(sa.delete(table).where(table.c.study_id == study_id))


def drop_orphans(engine: sa.Engine) -> None:
    """Remove our rows of trials and studies that Optuna's tools deleted.

    SQLite gives a deleted trial's id to the next new trial, which must not inherit its epochs.
    """
    with begin(engine) as connection:
        _drop_orphans(connection)


def drop_reused(connection: sa.Connection) -> None:
    """As `drop_orphans`, but only on SQLite: there a new trial may get a deleted trial's id."""
    if connection.dialect.name == "sqlite":
        _drop_orphans(connection)


def _drop_orphans(connection: sa.Connection) -> None:
    studies, ours = sa.select(STUDIES.c.study_id), schema.trial
    trials = read.states.trial_ids()
    # A trial that somebody else made under an id of ours has not the seed that ours was given.
    seeded = read.states.ids_with_attr(attributes.SEED)
    connection.execute(sa.delete(ours).where(ours.c.trial_id.not_in(seeded)))
    connection.execute(sa.delete(ours).where(ours.c.trial_id.not_in(trials)))
    # SQLite keeps the heartbeat of a worker that took the trial while Optuna deleted it.
    connection.execute(sa.delete(BEATS).where(BEATS.c.trial_id.not_in(trials)))
    own = sa.select(ours.c.trial_id)
    for table in (schema.epoch, schema.event, schema.artifact):
        gone = sa.and_(table.c.trial_id.is_not(None), table.c.trial_id.not_in(own))
        if table is schema.event:  # also of trials that are nobody's of ours
            gone = sa.and_(gone, table.c.trial_id.not_in(trials))
        connection.execute(sa.delete(table).where(gone))
    for table in (schema.run, schema.event, schema.rule, schema.verification, schema.artifact):
        gone = sa.and_(table.c.study_id.is_not(None), table.c.study_id.not_in(studies))
        connection.execute(sa.delete(table).where(gone))
