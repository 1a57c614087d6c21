"""`train --trial N`: a trial of a study trained again, to the bit on the CPU it ran on."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console

from hpsearch.core.console import say, shown_progress
from hpsearch.core.environment import default_device, versions
from hpsearch.core.plain_json import plain
from hpsearch.core.terminal import new_console
from hpsearch.errors import InputError
from hpsearch.models.finish import Training, finish
from hpsearch.models.plan_file import check_folder, write_plan
from hpsearch.models.stored import stored_study
from hpsearch.models.train import (
    TrainOptions,
    describe_epoch,
    prepare_with_progress,
    say_speed,
)
from hpsearch.search.plan.language_model import check_language_model
from hpsearch.search.worker.attempts import halved_batch
from hpsearch.store import Store
from hpsearch.store.summaries import Row
from hpsearch.store.tables import attributes
from hpsearch.study.settings import merge_settings, parse_set
from hpsearch.study.spec import StudySpec
from hpsearch.study.trainers import is_own
from hpsearch.trainers.contract import EpochRecord, TrialSetup


def repeat_trial(
    spec: StudySpec,
    store: Store,
    output: Path,
    options: TrainOptions,
    console: Console | None = None,
) -> dict[str, float]:
    """Train the options' `trial` of the study once more, with its seed, settings, data and threads,
    and keep the model in `output`; returns its metrics.

    Says whether the trial's recorded values came out again, where no `sets` change it. Raises
    InputError for a trial that there is not, or other data than the trial's.
    """
    console = console or new_console()
    started = time.perf_counter()
    number, sets = options.trial, options.sets
    assert number is not None
    study = stored_study(store, spec, options.preset)
    trial = _find_trial(study, number)
    record = next(row for row in store.trials(study.study_name) if row["number"] == number)
    settings, params = _settings(study, trial, sets)
    preset = spec.resolve(options.preset)
    declared = _language_models(preset.settings)
    for place in _language_models(study.user_attrs[attributes.SETTINGS]) - declared:
        check_language_model(place, f"the store {store.shown_url}")
    device = _device_for(record)
    plan = plain({"study": study.study_name, "trial": number, "settings": settings, "set": params})
    check_folder(output, plan)
    if not is_own(spec.trainer) or "torch" in sys.modules:
        _use_threads(record)
    prepared = prepare_with_progress(spec, settings, options.data_path, device, console)
    _check_data(record, prepared.fingerprint, number)
    write_plan(output, plan)
    reported: dict[int, float] = {}

    def report(epoch: EpochRecord) -> None:
        if spec.metric in epoch.metrics:
            reported[epoch.epoch] = float(epoch.metrics[spec.metric])
        say(console, describe_epoch(epoch))

    trainer = spec.trainer_module()
    measured = say_speed(trainer, settings, params, prepared, device, console)
    with shown_progress(console) as progress:
        setup = TrialSetup(
            record["seed"], device, report, output / "checkpoint", output, progress,
            objectives=(spec.metric,),
        )  # fmt: skip
        result = trainer.train(settings, params, prepared, setup)
    done = Training(
        spec, plan, options.command(spec, output, preset.name), prepared, device,
        result.metrics, started, test=False, facts=measured,
    )  # fmt: skip
    metrics = finish(output, done, console)
    if not sets:
        value = metrics[spec.metric]
        say(console, _verdict(spec.metric, trial, record, value, reported, device))
    return metrics


def _find_trial(study: optuna.Study, number: int) -> FrozenTrial:
    trials = study.get_trials(deepcopy=False)
    found = next((one for one in trials if one.number == number), None)
    if found is None or not found.params or attributes.SEED not in found.user_attrs:
        raise InputError(
            f"The study {study.study_name} has no trial {number} that was run; it has "
            f"{len(trials)} trials, counted from 0."
        )
    return found


def _language_models(settings: Mapping[str, Any]) -> set[str]:
    """The language models that the settings start from."""
    parts = [one for one in settings.values() if isinstance(one, Mapping)]
    return {str(part["pretrained"]) for part in parts if part.get("pretrained")}


def _settings(
    study: optuna.Study, trial: FrozenTrial, sets: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings and parameters as the trial had them, with the values of `sets` in their place."""
    settings = dict(study.user_attrs[attributes.SETTINGS])
    params = {**trial.params, **halved_batch(trial.user_attrs)}
    for text in sets:
        for key, value in parse_set(text).items():
            if key in params:
                params[key] = value
            else:
                settings = merge_settings(settings, {key: value})
    return settings, params


def _device_for(record: Row) -> str:
    """The trial's device if this machine has that kind, else the default device."""
    known = str(record["device"] or "")
    own = default_device()
    return known if known == "cpu" or known.partition(":")[0] == own.partition(":")[0] else own


def _use_threads(record: Row) -> None:
    """Use as many threads as the trial: another order of a sum changes its last bits."""
    import torch

    if record["threads"]:
        torch.set_num_threads(record["threads"])


def _check_data(record: Row, fingerprint: str, number: int) -> None:
    if record["data_fingerprint"] not in (None, fingerprint):
        raise InputError(
            f"The data is not what trial {number} was trained on ({record['data_source']}): "
            "give that with --data."
        )


def _verdict(
    metric: str,
    trial: FrozenTrial,
    record: Row,
    value: float,
    reported: Mapping[int, float],
    device: str,
) -> str:
    """Whether what was recorded came out again, and if not what may be the reason."""
    before = trial.value if trial.state == TrialState.COMPLETE else None
    pairs = [(step, old, reported.get(step)) for step, old in trial.intermediate_values.items()]
    wrong = [(f"epoch {step}", old, new) for step, old, new in pairs if old != new]
    # The kept model may have learnt more than the trial's model, such as rows from metadata. So the
    # value of the last epoch counts, too.
    ended = reported.get(max(reported, default=0), value)
    if before is not None and before not in (value, ended):
        wrong.append(("the end", before, value))
    if not wrong:
        what = f"{metric} {before!r}" if before is not None else f"its {len(pairs)} epochs"
        if before not in (None, value):
            what += f"; what was kept has learnt from metadata, too, and has {value!r}"
        return f"trial {trial.number} came out the same again: {what}"
    where, old, new = wrong[0]
    text = f"trial {trial.number} came out otherwise: {metric} {new!r} at {where}, was {old!r}"
    known = record["versions"] or {}
    changed = [f"{k} {v} (was {known[k]})" for k, v in versions().items() if known.get(k, v) != v]
    if record["device"] != device:
        changed.append(f"{device} (was {record['device']})")
    return f"{text}; what changed: {', '.join(changed) or 'nothing that was recorded'}"
