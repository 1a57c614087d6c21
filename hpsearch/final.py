"""`train`: one model with chosen hyperparameters, on all the training data, kept in a folder."""

from __future__ import annotations

import json
import shutil
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import optuna
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.text import Text

from hpsearch.errors import InputError
from hpsearch.files import write_whole
from hpsearch.search.attempts import halved
from hpsearch.search.circumstances import default_device, versions
from hpsearch.search.display import describe_params, duration
from hpsearch.search.planning import choose_language_model, plain, study_name
from hpsearch.search.progress import shown_progress
from hpsearch.store import Store, reading
from hpsearch.studies import ResolvedPreset, StudySpec, merge_settings
from hpsearch.trainers import config_class
from hpsearch.training.contract import EpochRecord
from hpsearch.wording import first_problem

PLAN = "training.json"
"""In the model's folder: what is trained there, so that the same command goes on with it."""


def train_final(
    spec: StudySpec,
    output: Path,
    *,
    preset: str = "auto",
    params: Mapping[str, Any] | None = None,
    sets: Sequence[str] = (),
    language_model: str | None = None,
    store: Store | None = None,
    data_path: Path | None = None,
    seed: int = 0,
    device: str | None = None,
    console: Console | None = None,
) -> dict[str, float]:
    """Train the study's model with `params` (default: the study's defaults) and write it to
    `output`; returns its metrics, on the test data where there is any.

    `sets` are "key=value", dotted keys for tables. Called again on a folder whose training was
    interrupted, it goes on after the last finished epoch. Raises InputError for a setting that
    there is not, and for a folder that holds something else.
    """
    console = console or Console()
    started = time.perf_counter()
    resolved = _resolve(spec, preset, language_model, store)
    settings = final_settings(spec, resolved, params or {}, sets)
    device = device or default_device()
    trainer: Any = spec.trainer_module()
    plan = plain({"study": spec.name, "preset": resolved.name, "settings": settings, "seed": seed})
    check_folder(output, plan)
    prepared = prepare_shown(spec, settings, data_path, device, console)
    write_plan(output, plan)
    with shown_progress(console) as progress:
        result = trainer.train(
            settings, {}, prepared, seed=seed, device=device, keep=output, progress=progress,
            checkpoint=output / "checkpoint",
            report=lambda record: console.print(Text(describe_epoch(record)), soft_wrap=True),
        )  # fmt: skip
        metrics = dict(result.metrics)
        if hasattr(trainer, "on_test"):
            metrics |= trainer.on_test(output, prepared, device=device, progress=progress)
    seconds = time.perf_counter() - started
    facts = {"data": prepared.source, "fingerprint": prepared.fingerprint, "versions": versions()}
    done = {**plan, "metrics": metrics, "seconds": seconds, "device": device, **facts}
    write_plan(output, done)
    shutil.rmtree(output / "checkpoint", ignore_errors=True)
    tested = any(name.startswith("test_") for name in metrics)
    what = "" if tested else "on the held-out data: "
    text = f"{what}{describe_params(metrics)}; wrote {output} after {duration(seconds)}"
    console.print(Text(text), soft_wrap=True)
    return metrics


def _resolve(
    spec: StudySpec, preset: str, language_model: str | None, store: Store | None
) -> ResolvedPreset:
    resolved = spec.resolve(preset)
    if language_model is None:
        return resolved
    if store is None:
        return resolved.with_language_model(language_model)
    return cast(ResolvedPreset, choose_language_model(store, spec, resolved, language_model))


def prepare_shown(
    spec: StudySpec,
    settings: Mapping[str, Any],
    data_path: Path | None,
    device: str,
    console: Console,
) -> Any:  # noqa: ANN401
    """What the study's trainer prepares for `settings`, with its progress and its summary shown."""
    trainer: Any = spec.trainer_module()
    with shown_progress(console) as progress:
        prepared = trainer.prepare(
            plain(spec.data), settings, data_path=data_path, device=device, progress=progress,
            say=lambda sentence: console.print(Text(sentence), soft_wrap=True),
        )  # fmt: skip
    for line in (f"data: {prepared.source}", prepared.summary):
        console.print(Text(line), soft_wrap=True)
    return prepared


def best_params(store: Store, spec: StudySpec, preset: str) -> dict[str, Any]:
    """The hyperparameters of the best trial of the study in the store, by its first objective.

    Raises InputError if it has none yet.
    """
    study = stored_study(store, spec, preset)
    best = reading.best(store.engine, study._study_id, study.directions[0])
    if best is None:
        raise InputError(f"The study {study.study_name} has no finished trial yet.")
    trial = next(one for one in study.get_trials() if one.number == best[1])
    return {**trial.params, **halved(trial.user_attrs)}


def stored_study(store: Store, spec: StudySpec, preset: str) -> optuna.Study:
    """The study of a preset in the store. Raises InputError if it was not run yet."""
    name = study_name(spec, spec.resolve(preset))
    if name not in {summary.name for summary in store.studies()}:
        raise InputError(
            f"The store {store.shown_url} has no study {name}: "
            "run that study first, or drop --best and --trial."
        )
    return optuna.load_study(study_name=name, storage=store.optuna)


def final_settings(
    spec: StudySpec, preset: ResolvedPreset, params: Mapping[str, Any], sets: Sequence[str]
) -> dict[str, Any]:
    """Settings, defaults, parameters and `sets` in one, each before the last; held-out data is
    the test data where the trainer knows it."""
    config = config_class(spec.trainer)
    content = {**preset.settings, **preset.defaults}
    if "hold_out" in config.__dataclass_fields__:
        content["hold_out"] = "test"
    content = merge_settings(content, preset.train)
    content = merge_settings(content, params)
    for text in sets:
        content = merge_settings(content, parse_set(text))
    try:
        checked = TypeAdapter(config).validate_python(content)
    except ValidationError as error:
        raise InputError(f"--set cannot be used: {first_problem(error)}.") from error
    return plain(asdict(checked))


def parse_set(text: str, option: str = "--set") -> dict[str, Any]:
    """'language_model.epochs=2' -> {"language_model": {"epochs": 2}}; what is no TOML value is a
    string. Raises InputError if it is not key=value."""
    key, sign, value = text.partition("=")
    names = key.strip().split(".")
    if not sign or not all(names):
        raise InputError(f"{option} {text!r} is not key=value, such as epochs=2.")
    try:
        parsed = tomllib.loads(f"value = {value.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    for name in reversed(names):
        parsed = {name: parsed}
    return dict(parsed)


def check_folder(output: Path, plan: Mapping[str, Any]) -> None:
    """Raises InputError if the folder holds something else than the beginning of this training, or
    cannot be written: before hours of work, not after."""
    try:
        if not output.exists():
            output.mkdir(parents=True)
            output.rmdir()  # nothing is left behind by a command that fails before it trains
            return
        if not any(output.iterdir()):
            return
    except OSError as error:
        raise InputError(f"{output} cannot be written: {error.strerror or error}.") from error
    try:
        found = json.loads((output / PLAN).read_text("utf-8"))
    except (OSError, ValueError):
        raise InputError(f"{output} holds other files: give a new folder as --output.") from None
    if "metrics" in found:
        raise InputError(f"{output} holds a finished model: give a new folder as --output.")
    if found != plan:
        different = [key for key in plan if found.get(key) != plan[key]]
        raise InputError(
            f"{output} holds an unfinished training with other {' and '.join(different)}: "
            "give a new folder as --output, or the command that began it."
        )


def write_plan(output: Path, plan: Mapping[str, Any]) -> None:
    output.mkdir(parents=True, exist_ok=True)
    write_whole(output / PLAN, json.dumps(plan, indent=1))


def describe_epoch(record: EpochRecord) -> str:
    """One line an epoch: stage, losses, metrics, time."""
    return (
        f"epoch {record.epoch}/{record.epochs}  {record.stage:<9}  "
        f"loss {_loss(record.train_loss)} / {_loss(record.valid_loss)}  "
        f"{describe_params(record.metrics)}  {duration(record.seconds)}"
    )


def _loss(loss: float) -> str:
    """Of numbers in their own units it may be in the millions: as many digits as say something."""
    return f"{loss:.4f}" if abs(loss) < 1000 else f"{loss:.4g}"
