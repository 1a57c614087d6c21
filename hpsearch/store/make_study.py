"""Making a study: Optuna's rows, the names of its metrics, and our attributes, written whole."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.study import StudyDirection

from hpsearch.core.home import is_uid, new_uid
from hpsearch.errors import InputError
from hpsearch.store import Store
from hpsearch.store.ownership import drop_earlier
from hpsearch.store.queue.fence import StudyRef, lock_study
from hpsearch.store.server.connections import begin
from hpsearch.store.tables import attributes
from hpsearch.store.tables.optuna_private import study_id
from hpsearch.store.tables.optuna_tables import STUDY_ATTRS


@dataclass(frozen=True)
class NewStudy:
    """What a study is made with: the direction and the metric of each objective, and its
    attributes, to which its id is added."""

    name: str
    directions: Sequence[StudyDirection]
    metrics: Sequence[str]
    attrs: Mapping[str, Any]


def make_study(store: Store, new: NewStudy) -> optuna.Study:
    """The study of this name, made if the store has none. The first process to write the attributes
    fixes them; those of a study with trials are never written.

    Raises InputError if the database takes another study for it.
    """
    study = optuna.create_study(
        storage=store.optuna, study_name=new.name, directions=new.directions, load_if_exists=True
    )
    _check_name(store, study_id(study), new.name)
    if attributes.UID not in study.user_attrs and not study.get_trials(deepcopy=False):
        name_metrics(study, new.metrics)
        write_attrs(store.engine, study, {**new.attrs, attributes.UID: new_uid()})
    return study


def _check_name(store: Store, study_id: int, name: str) -> None:
    """Raise InputError if the database took another study for the one of this name: MariaDB and
    MySQL do if the names differ in upper and lower case, or in accents, only."""
    found = store.optuna.get_study_name_from_id(study_id)
    if found != name:
        raise InputError(
            f"The store {store.shown_url} has a study {found!r}, which its database takes for "
            f"{name!r}: give the new study another name, or another --storage."
        )


def name_metrics(study: optuna.Study, metrics: Sequence[str]) -> None:
    """Give the study's objectives their names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names(list(metrics))


def write_attrs(engine: sa.Engine, study: optuna.Study, attrs: Mapping[str, Any]) -> None:
    """Set attributes of a new study in one transaction: others see all of them or none, also where
    this process dies meanwhile. Our rows of an earlier study with its number are removed.

    Raises StudyGoneError.
    """
    ref, table = StudyRef(study_id(study), study.study_name, None), STUDY_ATTRS
    with begin(engine) as connection:
        lock_study(connection, ref)
        drop_earlier(connection, ref.study_id)
        for key, value in attrs.items():
            text = {"value_json": json.dumps(value)}
            its = sa.and_(table.c.study_id == ref.study_id, table.c.key == key)
            if not connection.execute(sa.update(table).where(its).values(text)).rowcount:
                row = {"study_id": ref.study_id, "key": key, **text}
                connection.execute(sa.insert(table).values(row))


def own_ref(study: optuna.Study) -> StudyRef:
    """Which study it is. An id that hpsearch did not make is replaced: it must not become part of a
    path. Files that trials left under the old id are then no longer found."""
    if not is_uid(study.user_attrs[attributes.UID]):
        study.set_user_attr(attributes.UID, new_uid())
    return StudyRef.of(study)
