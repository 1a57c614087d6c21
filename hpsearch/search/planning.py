"""A study in the store: made once, refused when it changed, and planned one run at a time."""

from __future__ import annotations

import json
import uuid
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import TrialState

from hpsearch.errors import InputError
from hpsearch.library import FILE
from hpsearch.search import models
from hpsearch.search.cohorts import ENQUEUED, WARM_START, History, plan, trial_seed
from hpsearch.search.ending import is_reached
from hpsearch.search.job import Preset, Spec
from hpsearch.search.space import describe_difference, space_from_json, space_to_json
from hpsearch.search.warm_start import warm_start
from hpsearch.search.worker import requeue_orphans
from hpsearch.search_options import Search, merge
from hpsearch.store import Store, queue, runs
from hpsearch.store.identity import this_worker
from hpsearch.store.opening import GRACE_S
from hpsearch.store.schema import to_json
from hpsearch.training.contract import Prepared
from hpsearch.urls import without_password

ALSO = "hps_also"
"""The study attribute with its further objectives."""
CHOSEN = "hps_language_model"
"""The study attribute with the language model that a run was given for it."""


@dataclass(frozen=True)
class Planned:
    """A run that is ready to work: its study, its id, how many trials it will finish."""

    study: optuna.Study
    run_id: int
    trials: int
    left_over: int
    seed: int
    uid: str


def study_name(spec: Spec, preset: Preset) -> str:
    return f"{spec.name}-{preset.name}"


def choose_language_model(store: Store, spec: Spec, preset: Preset, asked: str | None) -> Preset:
    """The preset with the language model that was `asked` for put into its settings; without one,
    that which the study was made with. Raises InputError where it cannot be used."""
    asked = asked or (_attrs(store, study_name(spec, preset)) or {}).get(CHOSEN)
    if asked is None:
        return preset
    if "language_model" not in preset.settings:
        raise InputError(
            f"--language-model does not go with study {spec.name}: its trainer takes none."
        )
    chosen = models.find_language_model(store, asked, plain(spec.data), preset.name)
    return preset.with_language_model(chosen.place)


def with_objectives(store: Store, spec: Spec, preset: Preset, search: Search) -> Search:
    """The search with the further objectives that the study was made with, where none are given."""
    attrs = _attrs(store, study_name(spec, preset)) or {}
    return merge(search, {"also": search.also or attrs.get(ALSO, [])})


def reached(store: Store, spec: Spec, preset: Preset, search: Search) -> optuna.Study | None:
    """The study if it has a trial as good as the target already."""
    name = study_name(spec, preset)
    if search.target is None or _attrs(store, name) is None:
        return None
    study = optuna.load_study(study_name=name, storage=store.optuna)
    return study if is_reached(store, study, search.target) else None


def check_unchanged(store: Store, spec: Spec, preset: Preset, search: Search) -> None:
    """Refuse a study whose space, settings or data declaration changed since its first trials.

    Raises InputError with the difference and the way out. A study that is new, or has no trials
    yet, is fine.
    """
    name = study_name(spec, preset)
    attrs = _attrs(store, name)
    if attrs is None:
        return
    if "hps_study" not in attrs:
        raise InputError(
            f"The store {store.shown_url} has a study {name!r} that hpsearch did not make: "
            "give another --storage, or rename that study."
        )
    changes = describe_difference(
        space_from_json(attrs["hps_space"]), space_from_json(space_to_json(preset.distributions))
    )
    changes += _changed("settings", attrs["hps_settings"], plain(preset.settings))
    # A file may move: what it holds is compared by its fingerprint, once it is read.
    declared = (
        {**data, "path": None}
        for data in (attrs["hps_data"]["declared"], plain(without_password(spec.data)))
    )
    changes += _changed("data", *declared)
    if attrs["hps_metric"] != spec.metric:
        changes.append(f"the metric is {spec.metric} (was {attrs['hps_metric']})")
    directions = store.optuna.get_study_directions(store.study_id(name))
    if directions[0].name.lower() != spec.direction:
        changes.append(f"the direction is {spec.direction}")
    if (also := list(search.also)) != (before := attrs.get(ALSO) or []):
        changes.append(f"the further objectives are {also or 'none'} (were {before or 'none'})")
    if changes:
        raise _refusal(name, changes)


def check_same_data(store: Store, spec: Spec, preset: Preset, prepared: Prepared) -> None:
    """Refuse to add trials on other data than the study's first trials saw."""
    name = study_name(spec, preset)
    attrs = _attrs(store, name)
    if attrs is None:
        return
    known = attrs["hps_data"]
    if known["fingerprint"] != prepared.fingerprint:
        raise _refusal(
            name,
            [
                f"the data is {prepared.source}, fingerprint {prepared.fingerprint[:12]} "
                f"(was {known['source']}, fingerprint {known['fingerprint'][:12]})"
            ],
        )


def _refusal(name: str, changes: list[str]) -> InputError:
    return InputError(
        f"The study {name} changed since its first trials: {'; '.join(changes)}. "
        "Trials of both cannot be compared: give a new --storage for the new study, "
        "or put the old values back."
    )


def _attrs(store: Store, name: str) -> dict[str, Any] | None:
    """The attributes of a study that has trials or was made by us; None for no or an empty one."""
    found = next((study for study in store.studies() if study.name == name), None)
    if found is None or ("hps_study" not in found.attrs and not found.trials):
        return None
    return found.attrs


def plain(content: Mapping[str, Any]) -> dict[str, Any]:
    """As it is after a journey through JSON, so that what is compared and trained is the same."""
    return dict(json.loads(to_json(content)))


def _changed(where: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [
        f"{where}.{key} is {_shown(new, key)} (was {_shown(old, key)})"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]


def _shown(content: Mapping[str, Any], key: str) -> str:
    return to_json(content[key]) if key in content else "not set"


def plan_run(
    store: Store,
    spec: Spec,
    preset: Preset,
    prepared: Prepared,
    *,
    trials: int,
    seed: int,
    search: Search,
    workers: int,
    engine: str,
) -> Planned:
    """Make the study if it is new and put this run's trials into its queue.

    Waiting trials of runs that ended early count towards `trials`. One process at a time plans in a
    store, so two that start a new study together make one, and each adds its own trials. A database
    that is away is waited for, as by everything after.
    """

    def attempt() -> Planned:
        with store.exclusive("plan"):
            queue.drop_orphans(store.engine)
            study = _make_or_load(store, spec, preset, prepared, seed, search)
            # Once more, under the lock: another process may have made the study in the meantime.
            check_unchanged(store, spec, preset, search)
            check_same_data(store, spec, preset, prepared)
            requeue_orphans(store, study._study_id, this_worker(), None)
            attrs = study.user_attrs
            _register_strangers(store, study._study_id, attrs["hps_seed"])
            me = this_worker()
            run_id = store.start_run(
                study._study_id, trials=trials, workers=workers, engine=engine,
                machine=me.machine, host=me.host, pid=me.pid,
            )  # fmt: skip
            try:
                left_over = runs.adopt(store.engine, study._study_id, run_id, trials, GRACE_S)
                _enqueue(store, study, preset, run_id, trials - left_over, search)
            except BaseException:
                # What was planned, if it was, is left over for the next attempt.
                store.end_run(run_id, "failed")
                raise
        return Planned(study, run_id, trials, left_over, attrs["hps_seed"], attrs["hps_uid"])

    return store.patiently(attempt)


def _enqueue(
    store: Store,
    study: optuna.Study,
    preset: Preset,
    run_id: int,
    trials: int,
    search: Search,
) -> None:
    """Put `trials` new trials into the queue, going on where the study's earlier plans stopped."""
    history = History.of(study.get_trials(deepcopy=False))
    tries = [(ENQUEUED, config) for config in search.tries]
    tries += [(WARM_START, one) for one in warm_start(store, study, preset.distributions, search)]
    seed = study.user_attrs["hps_seed"]
    queue.enqueue(
        store.engine,
        study._study_id,
        run_id,
        preset.distributions,
        lambda first: plan(
            preset.distributions,
            preset.defaults,
            trials=trials,
            first=first,
            seed=seed,
            history=history,
            design_share=search.design_share,
            fix=search.fix,
            tries=tries,
        ),
    )


def _make_or_load(
    store: Store, spec: Spec, preset: Preset, prepared: Prepared, seed: int, search: Search
) -> optuna.Study:
    """The study; the attributes that its first run fixes are written by whoever comes first."""
    name = study_name(spec, preset)
    study = optuna.create_study(
        storage=store.optuna,
        study_name=name,
        directions=[
            StudyDirection[spec.direction.upper()],
            *(
                StudyDirection.MAXIMIZE if name[0] == "+" else StudyDirection.MINIMIZE
                for name in search.also
            ),
        ],
        load_if_exists=True,
    )
    if "hps_uid" not in study.user_attrs:
        facts = {"source": prepared.source, "fingerprint": prepared.fingerprint}
        attrs = {
            "hps_preset": preset.name,
            "hps_metric": spec.metric,
            "hps_space": space_to_json(preset.distributions),
            "hps_defaults": plain(preset.defaults),
            "hps_settings": plain(preset.settings),
            "hps_data": {"declared": plain(without_password(spec.data)), **facts},
            "hps_seed": seed,
            CHOSEN: preset.language_model,
            ALSO: search.also,
            FILE: None if spec.file is None else str(spec.file),
            "hps_study": spec.name,
            "hps_uid": uuid.uuid4().hex[:12],  # last: it tells that the others are there
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names([spec.metric, *(name.removeprefix("+") for name in search.also)])
        for key, value in attrs.items():
            study.set_user_attr(key, value)
    return study


def _register_strangers(store: Store, study_id: int, seed: int) -> None:
    """Let the runs also take trials that somebody enqueued with Optuna's own means."""
    for trial_id, number in runs.strangers(store.engine, study_id):
        own = trial_seed(seed, number)
        store.optuna.set_trial_user_attr(trial_id, "hps_cohort", ENQUEUED)
        store.optuna.set_trial_user_attr(trial_id, "hps_seed", own)
        store.record_context(trial_id, study_id=study_id, cohort=ENQUEUED, seed=own)


def unfinished(counts: Mapping[TrialState, int]) -> int:
    return counts.get(TrialState.WAITING, 0) + counts.get(TrialState.RUNNING, 0)
