"""Optuna's trials as its own objects: all of a study in bulk, or some in one statement.

`Study.get_trials` builds an ORM object for every row of every table and parses every range again,
which takes half a millisecond a trial. Here each table takes one query (`read.content`), and each
range is parsed once.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from hpsearch.store.server.connections import snapshot
from hpsearch.store.tables.damage import readable
from hpsearch.store.tables.optuna_private import engine_of, study_id
from hpsearch.store.tables.optuna_tables import (
    NOT_FINITE,
    local_time,
    parsed_range,
)
from hpsearch.store.trials import read
from hpsearch.store.trials.read.content import ATTR, PARAM, REPORT, SYSTEM_ATTR, VALUE


def frozen_of(connection: sa.Connection, rows: Sequence[Any]) -> list[FrozenTrial]:
    """The trials of these rows of `read.content.claimed` or `started`, in their order."""
    found: dict[int, list[Any]] = defaultdict(list)
    for part in read.content.parts_of(connection, [row.trial_id for row in rows]):
        found[part.trial_id].append(part)
    trials = []
    for row in rows:
        with readable(f"A value of trial {row.number}"):
            trials.append(_frozen(row, found[row.trial_id]))
    return trials


def _frozen(row: Any, own: Iterable[Any]) -> FrozenTrial:  # noqa: ANN401
    kinds: tuple[list[Any], ...] = ([], [], [], [], [])
    for part in sorted(own, key=lambda one: one.id):  # parameters in the order of their drawing
        kinds[part.kind].append(part)
    distributions = {one.the_name: parsed_range(one.the_text) for one in kinds[PARAM]}
    values = {one.the_index: _number(one) for one in kinds[VALUE]}
    return FrozenTrial(
        number=row.number,
        state=row.state,
        value=None,
        values=[values[one] for one in sorted(values)] or None,
        datetime_start=local_time(row.datetime_start),
        datetime_complete=local_time(row.datetime_complete),
        params={
            one.the_name: distributions[one.the_name].to_external_repr(one.the_number)
            for one in kinds[PARAM]
        },
        distributions=distributions,
        user_attrs={one.the_name: json.loads(one.the_text) for one in kinds[ATTR]},
        system_attrs={one.the_name: json.loads(one.the_text) for one in kinds[SYSTEM_ATTR]},
        intermediate_values={one.the_index: _number(one) for one in kinds[REPORT]},
        trial_id=row.trial_id,
    )


def _number(part: Any) -> float:  # noqa: ANN401
    return float(NOT_FINITE.get(part.the_special, part.the_number))


Held = dict[int, FrozenTrial]


def all_trials(study: optuna.Study) -> list[FrozenTrial]:
    """What `study.get_trials(deepcopy=False)` returns, whatever the study's storage."""
    engine = engine_of(study)
    if engine is not None:
        return read_trials(engine, study_id(study))
    return study.get_trials(deepcopy=False)


def read_trials(engine: sa.Engine, study_id: int) -> list[FrozenTrial]:
    """The trials of a study in the order of their numbers, as they are at one moment."""
    own = read.content.of_study(study_id)
    with readable("A value of the study's trials"), snapshot(engine) as connection:
        held = _trials(connection, own)
        _add_values(connection, own, held)
        _add_params(connection, own, held)
        for trial_id, key, text in read.content.user_attrs(connection, own):
            held[trial_id].user_attrs[key] = json.loads(text)
        for trial_id, key, text in read.content.system_attrs(connection, own):
            held[trial_id].system_attrs[key] = json.loads(text)
        for trial_id, step, value, word in read.content.reports(connection, own, ordered=True):
            held[trial_id].intermediate_values[step] = NOT_FINITE.get(word, value)
    return list(held.values())


def _trials(connection: sa.Connection, own: sa.ColumnElement[bool]) -> Held:
    """The trials by id, in the order of their numbers, without what other tables hold of them."""
    return {
        trial_id: FrozenTrial(
            number=number, state=TrialState[word], value=None, datetime_start=local_time(start),
            datetime_complete=local_time(end), params={}, distributions={}, user_attrs={},
            system_attrs={}, intermediate_values={}, trial_id=trial_id,
        )
        for trial_id, number, word, start, end in read.content.trials(connection, own)
    }  # fmt: skip


def _add_values(connection: sa.Connection, own: sa.ColumnElement[bool], held: Held) -> None:
    for trial_id, _, value, word in read.content.values(connection, own, ordered=True):
        trial = held[trial_id]
        trial.values = [*(trial.values or ()), NOT_FINITE.get(word, value)]


def _add_params(connection: sa.Connection, own: sa.ColumnElement[bool], held: Held) -> None:
    known: dict[str, tuple[BaseDistribution, Callable[[float], Any]]] = {}
    for trial_id, _, name, value, text in read.content.params(connection, own, ordered=True):
        found = known.get(text)
        if found is None:
            distribution = parsed_range(text)
            found = known[text] = distribution, _outward(distribution)
        trial = held[trial_id]
        trial.distributions[name], trial.params[name] = found[0], found[1](value)


def _outward(distribution: BaseDistribution) -> Callable[[float], Any]:
    """What `distribution.to_external_repr` does, less what it does for other kinds."""
    if isinstance(distribution, CategoricalDistribution):
        choices = distribution.choices
        return lambda value: choices[int(value)]
    if isinstance(distribution, FloatDistribution):
        return float
    return int if isinstance(distribution, IntDistribution) else distribution.to_external_repr
