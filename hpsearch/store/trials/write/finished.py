"""Adds many finished trials at once: Optuna adds one in some milliseconds, this thousands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.trial import FrozenTrial

from hpsearch.store.server.connections import begin
from hpsearch.store.tables import schema
from hpsearch.store.tables.optuna_tables import (
    ATTRS,
    PARAMS,
    REPORTS,
    STUDIES,
    SYSTEM_ATTRS,
    TRIALS,
    VALUES,
    Row,
    attr_row,
    param_row,
    report_row,
    utc_time,
    value_row,
)
from hpsearch.store.trials import read
from hpsearch.store.trials.write.deleted import drop_reused
from hpsearch.store.trials.write.rows import insert

TRIALS_AT_ONCE = 5000  # trials, so that 100,000 of them do not stand in memory a second time


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
        first = read.states.count(connection, study_id)
        if sa.inspect(connection).has_table(schema.trial.name):  # a store of ours
            drop_reused(connection)
        while batch := list(islice(source, TRIALS_AT_ONCE)):
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
            "datetime_start": utc_time(trial.datetime_start),
            "datetime_complete": utc_time(trial.datetime_complete),
        }
        for number, trial in enumerate(trials, first)
    ]
    connection.execute(sa.insert(TRIALS), rows)
    known = list(zip(read.states.ids_from(connection, study_id, first), trials, strict=True))
    for table, content in (
        (PARAMS, _params(known, texts)),
        (VALUES, _values(known)),
        (REPORTS, _reports(known)),
        (ATTRS, _attrs((one, trial.user_attrs) for one, trial in known)),
        (SYSTEM_ATTRS, _attrs((one, trial.system_attrs) for one, trial in known)),
    ):
        insert(connection, table, list(content))


def _params(
    trials: Sequence[tuple[int, FrozenTrial]], texts: dict[int, tuple[BaseDistribution, str]]
) -> Iterator[Row]:
    """`texts` remembers the JSON of each distribution by its id (and keeps it, so that the id
    stays its own): to make it anew for every trial would take most of the time."""
    for trial_id, trial in trials:
        for name, value in trial.params.items():
            distribution = trial.distributions[name]
            known = texts.get(id(distribution))
            if known is None:
                known = texts[id(distribution)] = distribution, distribution_to_json(distribution)
            yield param_row(trial_id, name, distribution.to_internal_repr(value), known[1])


def _values(trials: Sequence[tuple[int, FrozenTrial]]) -> Iterator[Row]:
    for trial_id, trial in trials:
        for objective, value in enumerate(trial.values or ()):
            yield value_row(trial_id, objective, value)


def _reports(trials: Sequence[tuple[int, FrozenTrial]]) -> Iterator[Row]:
    for trial_id, trial in trials:
        for step, value in trial.intermediate_values.items():
            yield report_row(trial_id, step, value)


def _attrs(trials: Iterable[tuple[int, dict[str, Any]]]) -> Iterator[Row]:
    for trial_id, attrs in trials:
        for key, value in attrs.items():
            yield attr_row(trial_id, key, value)
