"""Deleting a study with all that is stored of it, and giving it another name."""

from __future__ import annotations

import json
from contextlib import suppress

import sqlalchemy as sa

from hpsearch.core.home import CHECKPOINTS, TRIAL_MODELS, is_uid, remove, study_folder
from hpsearch.core.terminal import visible
from hpsearch.core.words import how_many, nearest
from hpsearch.errors import InputError
from hpsearch.store import ownership
from hpsearch.store.queue import runs
from hpsearch.store.queue.fence import StudyRef, is_there, lock_study
from hpsearch.store.server.connections import begin
from hpsearch.store.store import Store
from hpsearch.store.summaries import StudySummary
from hpsearch.store.tables import attributes
from hpsearch.store.tables.optuna_tables import (
    DIRECTIONS,
    STUDIES,
    STUDY_ATTRS,
    STUDY_SYSTEM_ATTRS,
)
from hpsearch.store.trials import write

_OF_STUDY = (DIRECTIONS, STUDY_ATTRS, STUDY_SYSTEM_ATTRS, STUDIES)
LONGEST_NAME = 100


def named(store: Store, name: str) -> StudySummary:
    """The study of exactly this name. Raises InputError if there is none."""
    found = store.study(name)
    if found is None:
        names = [one.name for one in store.studies()]
        raise InputError(
            f"The store {store.shown_url} has no study {name!r}{nearest(name, names)}: "
            "`hpsearch studies` lists those it has; give the whole name."
        )
    return found


def delete_study(store: Store, study: StudySummary) -> None:
    """Remove the study, its trials, epochs, events, rules and verifications, and its files.

    Models that another study of the store started from stay. Raises InputError if it is being run.
    """

    def attempt() -> None:
        with store.exclusive("plan"):
            check_idle(store, study)
            if is_there(store.engine, study.ref):  # or an earlier attempt succeeded unheard
                delete_rows(store.engine, study.ref)

    store.retry(attempt)
    if study.ref.uid is None or not is_uid(study.ref.uid):
        return
    models = study_folder(TRIAL_MODELS, study.name, study.ref.uid)
    used = (str(one.attrs.get(attributes.LANGUAGE_MODEL)) for one in store.studies())
    remove(study_folder(CHECKPOINTS, study.name, study.ref.uid))
    if not any(place.startswith(str(models)) for place in used):
        remove(models)


def delete_rows(engine: sa.Engine, study: StudyRef) -> None:
    """Remove every row about the study in one transaction. The caller keeps others from planning.

    Raises StudyGoneError.
    """
    with begin(engine) as connection:
        lock_study(connection, study)
        write.deleted.delete_trials(connection, study.study_id)
        for table in (*ownership.ABOUT, *_OF_STUDY):
            connection.execute(sa.delete(table).where(table.c.study_id == study.study_id))


def rename_study(store: Store, study: StudySummary, name: str) -> None:
    """Call the study `name`; verifications of it know it by that name, too.

    Raises InputError for a name that is taken or none, and for a study that is being run.
    """
    if not name.strip() or len(name) > LONGEST_NAME:
        raise InputError(f"A study's name has 1 to {LONGEST_NAME} characters, not {len(name):,}.")

    if visible(name) != name or not name.isprintable():
        raise InputError(
            f"The name {name!r} holds control characters: give one of letters, digits and signs."
        )

    def attempt() -> None:
        with store.exclusive("plan"):
            check_idle(store, study)
            _rename(store, study.ref, name)

    store.retry(attempt)
    if study.ref.uid is not None and is_uid(study.ref.uid):
        old, new = (study_folder(CHECKPOINTS, one, study.ref.uid) for one in (study.name, name))
        with suppress(OSError):  # there need be none, and without them trials begin anew
            old.rename(new)


def _rename(store: Store, study: StudyRef, name: str) -> None:
    taken = store.study(name)
    if taken is not None and taken.study_id == study.study_id and name != study.name:
        return  # an earlier attempt succeeded unheard
    if taken is not None:
        raise InputError(f"The store {store.shown_url} has a study {name!r} already: name another.")
    runs.note_died(store.engine, runs.find_dead(store.engine))
    with begin(store.engine) as connection:
        lock_study(connection, study)
        own = STUDIES.c.study_id == study.study_id
        try:
            connection.execute(sa.update(STUDIES).where(own).values(study_name=name))
        except sa.exc.IntegrityError as error:  # of a database that takes A for a
            raise InputError(
                f"The store {store.shown_url} takes {name!r} for the name of another study: give "
                "one that differs by more than capitals and accents."
            ) from error
        verifies = sa.and_(
            STUDY_ATTRS.c.key == attributes.VERIFIES,
            STUDY_ATTRS.c.value_json == json.dumps(study.name),
        )
        renamed = {"value_json": json.dumps(name)}
        connection.execute(sa.update(STUDY_ATTRS).where(verifies).values(renamed))


def check_idle(store: Store, study: StudySummary) -> None:
    """Raises InputError if a run of the study goes on."""
    if living := runs.living(store.engine, study.study_id):
        where = ", ".join(sorted({str(host) for host in living}))
        raise InputError(
            f"The study {study.name} is being run ({how_many(len(living), 'run')} on {where}): end "
            "that first, with Ctrl-C there."
        )
