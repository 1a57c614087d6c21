"""`import`: trials from a table become an Optuna study in the store."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from hpsearch.data.words import how_many
from hpsearch.errors import InputError
from hpsearch.exchange import whole
from hpsearch.exchange.foreign import read_table
from hpsearch.exchange.layout import find_metric
from hpsearch.exchange.reading import Columns, read_file
from hpsearch.exchange.scales import Wishes
from hpsearch.search.worker import quiet_optuna
from hpsearch.store import Store
from hpsearch.store.bulk import add_trials
from hpsearch.store.opening import translated

DIRECTIONS = ("minimize", "maximize")
HIGHER = re.compile(
    r"(^|[_./ ])(acc|accuracy|auc|auroc|f1|precision|recall|r2|score|reward|map|bleu|iou|dice)"
    r"(@?\d+)?$"
    r"|^mean_test_score|reward_mean$",
    re.IGNORECASE,
)
"""Names of metrics of which more is better."""


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
    *,
    metrics: Sequence[str] = (),
    directions: Sequence[str] = (),
    params: Sequence[str] = (),
    ignore: Sequence[str] = (),
    wishes: Wishes | None = None,
) -> Imported:
    """Make the study `name` of the trials in a CSV, Parquet or JSON file.

    A file that `export` wrote gives the study back. In any other, `metrics` are the columns of the
    objectives, `directions` theirs (default: as the metric's name suggests, else "minimize"),
    `params` the only columns to take for parameters, `ignore` columns not to take. Raises
    InputError where the file cannot be read or the study exists already.
    """
    path = Path(file)
    if not name.strip():
        raise InputError("--study is empty: say what the new study is called.")
    if any(summary.name == name for summary in store.studies()):
        raise InputError(
            f"The store {store.shown_url} has a study {name!r} already: give another --study."
        )
    _check_directions(directions, metrics)
    columns = read_file(path)
    if whole.is_ours(columns):
        asked = bool(params or ignore or wishes)
        _check_options(columns, str(path), metrics, directions, asked)
        about, trials = whole.read_study(columns, str(path))
        space = {n: d for trial in trials for n, d in trial.distributions.items()}
        labels, aims = about["metric_names"], about["directions"]
        study = _make(store, name, aims, labels, about["user_attrs"], trials)
        return _report(study, labels or ["value"], space, trials, ())
    table = read_table(columns, str(path), metrics, params, ignore, wishes or Wishes())
    aims = list(directions or map(usual_direction, table.metrics))
    attrs = {"imported_from": path.name}
    study = _make(store, name, aims, table.metrics, attrs, table.trials)
    return _report(study, table.metrics, table.space, table.trials, table.notes)


def _check_options(
    columns: Columns, where: str, metrics: Sequence[str], directions: Sequence[str], asked: bool
) -> None:
    """A file that `export` wrote says itself what everything is. Raises InputError if told else."""
    for metric in metrics:
        find_metric(columns, where, metric)
    known = whole.study_of(columns, where)["directions"]
    if asked or (directions and list(directions) != known):
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


def usual_direction(metric: str) -> str:
    """Where a metric of this name is usually better: "maximize" for accuracies and scores."""
    return "maximize" if HIGHER.search(metric) else "minimize"


def _make(
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
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                study.set_metric_names(list(metrics))
        for key, value in attrs.items():
            study.set_user_attr(key, value)
        with translated(store.url):
            add_trials(store.engine, study._study_id, trials)
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
