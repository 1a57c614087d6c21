"""Many trials written at once: Optuna adds one in some milliseconds, this thousands."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial

from hpsearch.store.optuna_tables import (
    ATTRS,
    PARAMS,
    REPORTS,
    STUDIES,
    SYSTEM_ATTRS,
    TRIALS,
    VALUES,
)
from hpsearch.store.queue import begin

AT_ONCE = 5000  # trials, so that 100,000 of them do not stand in memory a second time


def add_trials(engine: sa.Engine, study_id: int, trials: Iterable[FrozenTrial]) -> int:
    """Append finished trials to a study, all or none, as `Study.add_trials` does: how many.

    They get the study's next numbers in their order, whatever numbers they have.
    """
    source, added = iter(trials), 0
    texts: dict[int, tuple[BaseDistribution, str]] = {}
    with begin(engine) as connection:
        # The same lock that Optuna takes while it numbers a new trial.
        lock = sa.select(STUDIES.c.study_id).where(STUDIES.c.study_id == study_id)
        connection.execute(lock.with_for_update())
        count = sa.select(sa.func.count()).where(TRIALS.c.study_id == study_id)
        first = connection.execute(count).scalar_one()
        while batch := list(islice(source, AT_ONCE)):
            _add(connection, study_id, first + added, batch, texts)
            added += len(batch)
    return added


def _add(
    connection: sa.Connection,
    study_id: int,
    first: int,
    trials: Sequence[FrozenTrial],
    texts: dict[int, tuple[BaseDistribution, str]],
) -> None:
    rows = [
        {
            "number": number,
            "study_id": study_id,
            "state": trial.state,
            "datetime_start": _utc(trial.datetime_start),
            "datetime_complete": _utc(trial.datetime_complete),
        }
        for number, trial in enumerate(trials, first)
    ]
    connection.execute(sa.insert(TRIALS), rows)
    query = sa.select(TRIALS.c.trial_id).where(
        TRIALS.c.study_id == study_id, TRIALS.c.number >= first
    )
    ids = connection.execute(query.order_by(TRIALS.c.number)).scalars().all()
    known = list(zip(ids, trials, strict=True))
    for table, content in (
        (PARAMS, _params(known, texts)),
        (VALUES, _values(known)),
        (REPORTS, _reports(known)),
        (ATTRS, _attrs((one, trial.user_attrs) for one, trial in known)),
        (SYSTEM_ATTRS, _attrs((one, trial.system_attrs) for one, trial in known)),
    ):
        if found := list(content):
            connection.execute(sa.insert(table), found)


def _utc(moment: datetime | None) -> datetime | None:
    """Optuna's trials have local times, its tables UTC, both naive."""
    return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None)


def _params(
    trials: Sequence[tuple[int, FrozenTrial]], texts: dict[int, tuple[BaseDistribution, str]]
) -> Iterator[dict[str, Any]]:
    """`texts` remembers the JSON of each distribution by its id (and keeps it, so that the id
    stays its own): to make it anew for every trial would take most of the time."""
    for trial_id, trial in trials:
        for name, value in trial.params.items():
            distribution = trial.distributions[name]
            known = texts.get(id(distribution))
            if known is None:
                known = texts[id(distribution)] = distribution, distribution_to_json(distribution)
            yield {
                "trial_id": trial_id,
                "param_name": name,
                "param_value": distribution.to_internal_repr(value),
                "distribution_json": known[1],
            }


def _values(trials: Sequence[tuple[int, FrozenTrial]]) -> Iterator[dict[str, Any]]:
    for trial_id, trial in trials:
        for objective, value in enumerate(trial.values or ()):
            stored, kind = models.TrialValueModel.value_to_stored_repr(value)
            yield {
                "trial_id": trial_id, "objective": objective, "value": stored, "value_type": kind,
            }  # fmt: skip


def _reports(trials: Sequence[tuple[int, FrozenTrial]]) -> Iterator[dict[str, Any]]:
    to_stored = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr
    for trial_id, trial in trials:
        for step, value in trial.intermediate_values.items():
            stored, kind = to_stored(value)
            yield {
                "trial_id": trial_id,
                "step": step,
                "intermediate_value": stored,
                "intermediate_value_type": kind,
            }


def _attrs(trials: Iterable[tuple[int, dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    for trial_id, attrs in trials:
        for key, value in attrs.items():
            yield {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
