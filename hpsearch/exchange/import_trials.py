"""`import`: trials from a table become an Optuna study in the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from hpsearch.core.home import new_uid
from hpsearch.core.words import how_many
from hpsearch.errors import InputError
from hpsearch.exchange import own_tables
from hpsearch.exchange.cells import Columns, read_file
from hpsearch.exchange.column_roles import ColumnChoice, find_metric
from hpsearch.exchange.export_trials import value_columns
from hpsearch.exchange.foreign_tables import read_table
from hpsearch.store import Store
from hpsearch.store.make_study import name_metrics, write_attrs
from hpsearch.store.server.open import translated
from hpsearch.store.tables import attributes
from hpsearch.store.tables.optuna_private import study_id
from hpsearch.store.tables.optuna_tables import (
    quiet_optuna,
)
from hpsearch.store.trials.write.finished import add_trials
from hpsearch.study.metric_names import more_is_better

EVERY_COLUMN = ColumnChoice()
LONGEST_NAME = 512
"""Letters in Optuna's tables. SQLite takes more, and then no server takes the study."""
DIRECTIONS = ("minimize", "maximize")


@dataclass(frozen=True)
class Imported:
    """What came of a file: the study, its parameters and what a person should know about it."""

    study: optuna.Study
    metrics: tuple[str, ...]
    directions: tuple[str, ...]
    params: dict[str, BaseDistribution]
    counts: dict[str, int]
    notes: tuple[str, ...]


def import_trials(
    store: Store,
    file: str | Path,
    name: str,
    choice: ColumnChoice = EVERY_COLUMN,
) -> Imported:
    """Make the study `name` of the trials in a CSV, Parquet or JSON file.

    A file that `export` wrote gives the study back. In any other, `choice` says which columns are
    what; the default of a direction is as the metric's name suggests, else "minimize". Raises
    InputError where the file cannot be read or the study exists already.
    """
    path = Path(file)
    if not name.strip():
        raise InputError("--study is empty: say what the new study is called.")
    _check_lengths([name])
    if any(summary.name == name for summary in store.studies()):
        raise InputError(
            f"The store {store.shown_url} has a study {name!r} already: give another --study."
        )
    _check_directions(choice.directions, choice.metrics)
    columns = read_file(path)
    if own_tables.is_ours(columns):
        _check_options(columns, str(path), choice)
        about, trials = own_tables.read_study(columns, str(path))
        space = {n: d for trial in trials for n, d in trial.distributions.items()}
        _check_lengths([*space, *(n for trial in trials for n in trial.user_attrs)])
        labels, aims = about["metric_names"], about["directions"]
        study = make_filled(store, name, aims, labels, about["user_attrs"], trials)
        return _report(study, labels or value_columns(None, len(aims)), space, trials, ())
    table = read_table(columns, str(path), choice)
    _check_lengths([*table.space, *table.metrics, *(n for t in table.trials for n in t.user_attrs)])
    known = {name: more_is_better(name) for name in table.metrics}
    named = ["maximize" if known[name] else "minimize" for name in table.metrics]
    aims = list(choice.directions or named)
    unsaid = [] if choice.directions else [name for name in known if known[name] is None]
    notes = [
        f"Whether more of {name!r} is better its name does not tell: taken for lower is better "
        "(--direction maximize)."
        for name in unsaid
    ]
    attrs = {"imported_from": path.name}
    study = make_filled(store, name, aims, table.metrics, attrs, table.trials)
    return _report(study, table.metrics, table.space, table.trials, (*table.notes, *notes))


def _check_lengths(names: Iterable[str]) -> None:
    """Raises InputError for a name that is longer than the columns of Optuna's tables."""
    for name in names:
        if len(name) > LONGEST_NAME:
            raise InputError(
                f"The name {name[:40]!r}... has {len(name):,} letters, and {LONGEST_NAME} is the "
                "most for a study, a parameter or an attribute: shorten it."
            )


def _check_options(columns: Columns, where: str, choice: ColumnChoice) -> None:
    """A file that `export` wrote says itself what everything is. Raises InputError if told else."""
    for metric in choice.metrics:
        find_metric(columns, where, metric)
    known = own_tables.study_of(columns, where)["directions"]
    asked = choice.params or choice.keep or choice.ignore or choice.overrides
    if asked or (choice.directions and list(choice.directions) != known):
        raise InputError(
            f"{where} was written by hpsearch export and holds its parameters, their ranges and "
            f"the direction ({', '.join(known)}): leave out the options that say otherwise."
        )


def _check_directions(directions: Sequence[str], metrics: Sequence[str]) -> None:
    if wrong := [one for one in directions if one not in DIRECTIONS]:
        raise InputError(f"--direction {wrong[0]} is not known: give minimize or maximize.")
    if directions and metrics and len(directions) != len(metrics):
        raise InputError(
            f"{how_many(len(metrics), 'metric')} and {how_many(len(directions), 'direction')}: "
            "give one --direction for each --metric."
        )


def make_filled(
    store: Store,
    name: str,
    directions: Sequence[str],
    metrics: Sequence[str] | None,
    attrs: Mapping[str, Any],
    trials: Sequence[FrozenTrial],
) -> optuna.Study:
    """The study with its trials; no study where they cannot be written."""
    with quiet_optuna(), translated(store.url):
        study = optuna.create_study(
            storage=store.optuna,
            study_name=name,
            directions=[StudyDirection[one.upper()] for one in directions],
        )
    try:
        if metrics:
            name_metrics(study, metrics)
        # What tells its files from others' is never taken from a file.
        own = {attributes.UID: new_uid()} if attributes.UID in attrs else {}
        with translated(store.url):
            write_attrs(store.engine, study, {**attrs, **own})
            add_trials(store.engine, study_id(study), trials)
    except BaseException:
        optuna.delete_study(study_name=name, storage=store.optuna)
        raise
    return study


def _report(
    study: optuna.Study,
    metrics: Sequence[str],
    space: dict[str, BaseDistribution],
    trials: Sequence[FrozenTrial],
    notes: Sequence[str],
) -> Imported:
    counts = Counter(trial.state.name.lower() for trial in trials)
    aims = tuple(one.name.lower() for one in study.directions)
    return Imported(study, tuple(metrics), aims, space, dict(counts), tuple(notes))
