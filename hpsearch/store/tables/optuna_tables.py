"""Optuna's own tables, which hpsearch reads and writes without Optuna's mapped objects.

Also what the cells of these tables mean, and how many ids one statement may name.
"""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.trial import TrialState

from hpsearch.store.tables.optuna_private import models

STUDIES: sa.Table = models.StudyModel.__table__
DIRECTIONS: sa.Table = models.StudyDirectionModel.__table__
STUDY_ATTRS: sa.Table = models.StudyUserAttributeModel.__table__
STUDY_SYSTEM_ATTRS: sa.Table = models.StudySystemAttributeModel.__table__
TRIALS: sa.Table = models.TrialModel.__table__
PARAMS: sa.Table = models.TrialParamModel.__table__
VALUES: sa.Table = models.TrialValueModel.__table__
REPORTS: sa.Table = models.TrialIntermediateValueModel.__table__
ATTRS: sa.Table = models.TrialUserAttributeModel.__table__
SYSTEM_ATTRS: sa.Table = models.TrialSystemAttributeModel.__table__
BEATS: sa.Table = models.TrialHeartbeatModel.__table__
KEYS: dict[sa.Table, tuple[str, ...]] = {
    STUDIES: ("study_id",), DIRECTIONS: ("study_id", "objective"),
    STUDY_ATTRS: ("study_id", "key"), STUDY_SYSTEM_ATTRS: ("study_id", "key"),
    TRIALS: ("trial_id",), PARAMS: ("trial_id", "param_name"), VALUES: ("trial_id", "objective"),
    REPORTS: ("trial_id", "step"), ATTRS: ("trial_id", "key"), SYSTEM_ATTRS: ("trial_id", "key"),
}  # fmt: skip
"""What names a row of each table: no two rows may have the same."""

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
UNFINISHED = (TrialState.RUNNING, TrialState.WAITING)
Row = dict[str, Any]

NOT_FINITE = {"INF_POS": float("inf"), "INF_NEG": float("-inf"), "NAN": float("nan")}
"""The words for numbers that are not finite; the cell of the number is empty then."""
IDS_AT_ONCE = 500


def parts(ids: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Databases limit the length of IN (...)."""
    return (ids[start : start + IDS_AT_ONCE] for start in range(0, len(ids), IDS_AT_ONCE))


@lru_cache(maxsize=1024)
def parsed_range(text: str) -> BaseDistribution:
    """The range of a parameter, as Optuna stores it."""
    with warnings.catch_warnings():  # those of Optuna 2 warn, and are read all the same
        warnings.simplefilter("ignore", FutureWarning)
        return json_to_distribution(text)


def local_time(moment: datetime | None) -> datetime | None:
    """Optuna's tables have UTC, its trials local times, both naive."""
    return None if moment is None else moment.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)


def utc_time(moment: datetime | None) -> datetime | None:
    """The inverse of `local_time`."""
    return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None)


def param_row(trial_id: int, name: str, internal: float, distribution_json: str) -> Row:
    """A parameter's row; `internal` is what the distribution's `to_internal_repr` gives."""
    return {
        "trial_id": trial_id,
        "param_name": name,
        "param_value": internal,
        "distribution_json": distribution_json,
    }


def attr_row(trial_id: int, key: str, value: object) -> Row:
    """An attribute's row, the user's or the system's."""
    return {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}


def value_row(trial_id: int, objective: int, value: float) -> Row:
    stored, kind = models.TrialValueModel.value_to_stored_repr(value)
    return {"trial_id": trial_id, "objective": objective, "value": stored, "value_type": kind}


def report_row(trial_id: int, step: int, value: float) -> Row:
    """The row of a value that was reported on the way."""
    stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
    return {
        "trial_id": trial_id,
        "step": step,
        "intermediate_value": stored,
        "intermediate_value_type": kind,
    }


@contextlib.contextmanager
def quiet_optuna() -> Iterator[None]:
    """Optuna's own log lines off: the display says what matters."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
