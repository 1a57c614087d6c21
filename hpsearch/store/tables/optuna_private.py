"""Optuna's private parts, all of them: a new version may change them without a word.

A test ties this module to the version of Optuna that was read.
"""

from __future__ import annotations

import optuna
import sqlalchemy as sa
from optuna._transform import _SearchSpaceTransform as SearchSpaceTransform
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage as CachedStorage
from optuna.storages._rdb import models

__all__ = ["CachedStorage", "SearchSpaceTransform", "engine_of", "models", "study_id"]


def study_id(study: optuna.Study) -> int:
    return study._study_id


def engine_of(study: optuna.Study) -> sa.Engine | None:
    """The database that a study is read from; None for storages in memory, a journal and others."""
    storage = getattr(study._storage, "_backend", study._storage)  # what Optuna's cache reads from
    return storage.engine if isinstance(storage, RDBStorage) else None
