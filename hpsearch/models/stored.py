"""What a training takes from a store: the study of a preset that ran, and its best trial."""

from __future__ import annotations

from typing import Any

import optuna
from rich.console import Console

from hpsearch.core.console import say
from hpsearch.core.words import describe_params, number
from hpsearch.errors import InputError
from hpsearch.search.worker.attempts import halved_batch
from hpsearch.store import Store, summaries
from hpsearch.store.tables.optuna_private import study_id
from hpsearch.store.trials.frozen import all_trials
from hpsearch.study.spec import StudySpec, study_name

AUTO = "auto"


def preset_that_ran(store: Store, spec: StudySpec, preset: str, console: Console) -> str:
    """Choose the preset that "auto" stands for where something is read from a store.

    It is the preset of this machine's device if the store has trials of it, else the only one that
    it has trials of, which is said. A `preset` that was named stays.

    Raises InputError if several others ran: then only the user knows which one is meant.
    """
    if preset != AUTO or not spec.presets:
        return preset
    names = {study.name for study in store.studies() if study.trials}
    own = spec.resolve(AUTO).name
    ran = [name for name in spec.presets if study_name(spec, spec.resolve(name)) in names]
    if own in ran or not ran:
        return own
    if len(ran) > 1:
        raise InputError(
            f"Study {spec.name} has run with the presets {' and '.join(ran)}: choose one of them "
            "with --preset."
        )
    say(console, f"preset {ran[0]}: the one that ran")
    return str(ran[0])


def stored_study(store: Store, spec: StudySpec, preset: str) -> optuna.Study:
    """The study of a preset in the store. Raises InputError if it was not run yet."""
    name = study_name(spec, spec.resolve(preset))
    found = next((summary for summary in store.studies() if summary.name == name), None)
    if found is None:
        raise InputError(
            f"The store {store.shown_url} has no study {name}: "
            "run that study first, or drop --best and --trial."
        )
    found.check()
    return optuna.load_study(study_name=name, storage=store.optuna)


def best_params(store: Store, spec: StudySpec, preset: str, console: Console) -> dict[str, Any]:
    """The hyperparameters of the best trial of the study in the store, by its first objective.

    Raises InputError if it has none yet.
    """
    study = stored_study(store, spec, preset)
    best = summaries.best(store.engine, study_id(study), study.directions[0])
    if best is None:
        raise InputError(f"The study {study.study_name} has no finished trial yet.")
    value, best_number = best
    trial = next(one for one in all_trials(study) if one.number == best_number)
    params = {**trial.params, **halved_batch(trial.user_attrs)}
    text = f"the values of trial {best_number}, the best of {study.study_name}"
    say(console, f"{text} ({spec.metric} {number(value)}): {describe_params(params)}")
    return params
