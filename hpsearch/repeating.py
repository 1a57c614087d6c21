"""`train --trial N`: a trial of a study trained again, to the bit on the CPU it ran on."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.text import Text

from hpsearch.errors import InputError
from hpsearch.final import (
    check_folder,
    describe_epoch,
    parse_set,
    prepare_shown,
    stored_study,
    write_plan,
)
from hpsearch.search.attempts import halved
from hpsearch.search.circumstances import default_device, versions
from hpsearch.search.display import describe_params, duration
from hpsearch.search.planning import plain
from hpsearch.search.progress import shown_progress
from hpsearch.store import Store
from hpsearch.store.reading import Row
from hpsearch.studies import StudySpec, merge_settings
from hpsearch.training.contract import EpochRecord


def repeat_trial(
    spec: StudySpec,
    store: Store,
    number: int,
    output: Path,
    *,
    preset: str = "auto",
    sets: Sequence[str] = (),
    data_path: Path | None = None,
    console: Console | None = None,
) -> dict[str, float]:
    """Train trial `number` of the study once more, with its seed, settings, data and threads, and
    keep the model in `output`; returns its metrics.

    Says whether the trial's recorded values came out again, where no `sets` change it. Raises
    InputError for a trial that there is not, or other data than the trial's.
    """
    console = console or Console()
    started = time.perf_counter()
    study = stored_study(store, spec, preset)
    trial = _trial(study, number)
    record = next(row for row in store.trials(study.study_name) if row["number"] == number)
    settings, params = _settings(study, trial, sets)
    device = default_device()
    plan = plain({"study": study.study_name, "trial": number, "settings": settings, "set": params})
    check_folder(output, plan)
    _use_threads(record)
    prepared = prepare_shown(spec, settings, data_path, device, console)
    _check_data(record, prepared.fingerprint, number)
    write_plan(output, plan)
    reported: dict[int, float] = {}

    def report(epoch: EpochRecord) -> None:
        if spec.metric in epoch.metrics:
            reported[epoch.epoch] = float(epoch.metrics[spec.metric])
        console.print(Text(describe_epoch(epoch)), soft_wrap=True)

    trainer: Any = spec.trainer_module()
    with shown_progress(console) as progress:
        result = trainer.train(
            settings, params, prepared, seed=record["seed"], device=device, keep=output,
            progress=progress, checkpoint=output / "checkpoint", report=report,
        )  # fmt: skip
    metrics = {name: float(value) for name, value in result.metrics.items()}
    seconds = time.perf_counter() - started
    write_plan(output, {**plan, "metrics": metrics, "seconds": seconds, "versions": versions()})
    shutil.rmtree(output / "checkpoint", ignore_errors=True)
    lines = [f"{describe_params(metrics)}; wrote {output} after {duration(seconds)}"]
    if not sets:
        lines.append(_verdict(spec.metric, trial, record, metrics[spec.metric], reported, device))
    for line in lines:
        console.print(Text(line), soft_wrap=True)
    return metrics


def _trial(study: optuna.Study, number: int) -> FrozenTrial:
    trials = study.get_trials(deepcopy=False)
    found = next((one for one in trials if one.number == number), None)
    if found is None or not found.params or "hps_seed" not in found.user_attrs:
        raise InputError(
            f"The study {study.study_name} has no trial {number} that was run; it has "
            f"{len(trials)} trials, counted from 0."
        )
    return found


def _settings(
    study: optuna.Study, trial: FrozenTrial, sets: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings and parameters as the trial had them, with the values of `sets` in their place."""
    settings = dict(study.user_attrs["hps_settings"])
    params = {**trial.params, **halved(trial.user_attrs)}
    for text in sets:
        for key, value in parse_set(text).items():
            if key in params:
                params[key] = value
            else:
                settings = merge_settings(settings, {key: value})
    return settings, params


def _use_threads(record: Row) -> None:
    """As many threads as the trial had: sums in another order differ in their last bits."""
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
    # What is kept may know more than the trial's model did, such as rows from metadata.
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
