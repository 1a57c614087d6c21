"""`train`: one model with chosen hyperparameters, on all the training data, kept in a folder."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from hpsearch.core.console import say, shown_progress
from hpsearch.core.environment import default_device
from hpsearch.core.plain_json import plain
from hpsearch.core.terminal import new_console
from hpsearch.core.words import describe_params, duration, first_problem
from hpsearch.errors import InputError
from hpsearch.models.finish import Training, finish
from hpsearch.models.plan_file import check_folder, read_plan, write_plan
from hpsearch.search.engines.devices import AUTO, are_open, check_device
from hpsearch.search.plan.language_model import choose_language_model, choose_start
from hpsearch.search.plan.study_record import recorded
from hpsearch.search.speed.device_choice import choose_for_one
from hpsearch.search.speed.estimate import WORTH_SAYING_S, training_sentence
from hpsearch.store import Store
from hpsearch.study.conditions import is_active
from hpsearch.study.settings import merge_settings, parse_set, pretrained_of
from hpsearch.study.spec import ResolvedPreset, StudySpec, study_name
from hpsearch.study.trainers import config_class, is_own
from hpsearch.trainers.contract import EpochRecord, Prepared, PrepareSetup, Trainer, TrialSetup
from hpsearch.trainers.shared import speed


@dataclass(frozen=True)
class TrainOptions:
    """The model that `train` was asked for: with the values of the best trial, of `params`, or as
    a `trial` was; see hpsearch.train.

    `sets` are "key=value", dotted keys for tables.
    """

    preset: str = "auto"
    best: bool = False
    trial: int | None = None
    params: Mapping[str, Any] | None = None
    sets: Sequence[str] = ()
    language_model: str | None = None
    data_path: Path | None = None
    device: str = "auto"
    seed: int = 0

    def check(self) -> None:
        """Raises InputError for a device that there is not, and values of two origins."""
        check_device(self.device, "--device")
        if self.best and self.trial is not None:
            raise InputError("--best and --trial exclude each other: drop one.")
        if self.params is not None and (self.best or self.trial is not None):
            raise InputError("params goes with neither best nor trial: drop one.")

    def command(self, spec: StudySpec, output: Path, preset: str) -> str:
        """The command that trains this."""
        words = ["hpsearch", "train", str(spec.file or spec.name), "--preset", preset]
        if self.best or self.trial is not None:
            words += ["--best"] if self.best else ["--trial", str(self.trial)]
        else:
            values = [f"{name}={value}" for name, value in (self.params or {}).items()]
            words += [word for value in values for word in ("--set", value)]
        words += [word for value in self.sets for word in ("--set", value)]
        given = {
            "--language-model": self.language_model, "--data": self.data_path,
            "--device": None if self.device == AUTO else self.device, "--seed": self.seed or None,
            "--output": output,
        }  # fmt: skip
        words += [str(w) for name, one in given.items() if one is not None for w in (name, one)]
        return shlex.join(words)

    @property
    def needs_store(self) -> bool:
        """Whether something is read from a store."""
        from_best = (self.language_model or "").split(":")[0] == "best"
        return self.best or self.trial is not None or from_best


def train_final(
    spec: StudySpec,
    output: Path,
    options: TrainOptions,
    store: Store | None = None,
    console: Console | None = None,
) -> dict[str, float]:
    """Train the study's model with the options' `params` (default: the study's defaults) and write
    it to `output`; returns its metrics, on the test data where there is any.

    Called again on a folder whose training was interrupted, it goes on after the last finished
    epoch. Raises InputError for a setting that there is not, and for a folder that holds something
    else.
    """
    console = console or new_console()
    started = time.perf_counter()

    def plan_of(resolved: ResolvedPreset) -> dict[str, Any]:
        settings = final_settings(spec, resolved, options.params or {}, options.sets)
        told = {"study": spec.name, "preset": resolved.name}
        return {**told, "settings": settings, "seed": options.seed}

    resolved = _resolve(spec, options, store, console)
    if (scratch := resolved.from_scratch) is not None:
        if read_plan(output) == plan_of(scratch):
            resolved = scratch  # as it began
        elif read_plan(output) != plan_of(resolved):
            resolved = start_preset(spec, resolved, plan_of(resolved)["settings"], store, console)
    plan = plan_of(resolved)
    settings = plan["settings"]
    trainer = spec.trainer_module()
    check_folder(output, plan)
    device, prepared = prepare_on_fastest(
        spec, settings, options.data_path, options.device, console
    )
    write_plan(output, plan)
    measured = say_speed(trainer, settings, {}, prepared, device, console)
    with shown_progress(console) as progress:
        setup = TrialSetup(
            seed=options.seed, device=device, keep=output, progress=progress,
            checkpoint=output / "checkpoint", objectives=(spec.metric,),
            report=lambda record: say(console, describe_epoch(record)),
        )  # fmt: skip
        metrics = trainer.train(settings, {}, prepared, setup).metrics
    done = Training(
        spec, plan, options.command(spec, output, resolved.name), prepared, device, metrics,
        started, test=True, facts=measured,
    )  # fmt: skip
    return finish(output, done, console)


def _resolve(
    spec: StudySpec, options: TrainOptions, store: Store | None, console: Console
) -> ResolvedPreset:
    resolved, language_model = spec.resolve(options.preset), options.language_model
    if language_model is None:
        return resolved
    if store is None:
        return resolved.with_language_model(language_model)
    study = recorded(store, study_name(spec, resolved))
    return choose_language_model(store, spec, resolved, study, language_model, console)


def start_preset(
    spec: StudySpec,
    resolved: ResolvedPreset,
    settings: Mapping[str, Any],
    store: Store | None,
    console: Console,
) -> ResolvedPreset:
    """Choose whether the preset's language model starts from a pretrained model.

    If `settings` name another pretrained model, the preset stays as it is. If the store has the
    study, the preset starts as that study did. Else it starts from its pretrained model if that
    can be had.
    """
    if pretrained_of(settings) != resolved.pretrained:
        return resolved
    name = study_name(spec, resolved)
    studies = store.studies() if store is not None else []
    attrs = next((study.attrs for study in studies if study.name == name), None)
    return choose_start(spec, resolved, attrs, console, settings)


def prepare_with_progress(
    spec: StudySpec,
    settings: Mapping[str, Any],
    data_path: Path | None,
    device: str,
    console: Console,
) -> Prepared:
    """What the study's trainer prepares for `settings`, with its progress and its summary shown."""
    with shown_progress(console) as progress:
        setup = PrepareSetup(data_path, device, progress, lambda text: say(console, text))
        prepared = spec.trainer_module().prepare(spec.data, settings, setup)
    for line in (f"data: {prepared.source}", prepared.summary):
        say(console, line)
    return prepared


def prepare_on_fastest(
    spec: StudySpec,
    settings: Mapping[str, Any],
    data_path: Path | None,
    device: str | None,
    console: Console,
) -> tuple[str, Prepared]:
    """(the device, the data prepared on it). If `device` is None, this measures and takes the
    device on which one training is faster."""
    is_open = are_open(None if device is None else [device])
    chosen = default_device() if device in (None, AUTO) else str(device)
    prepared = prepare_with_progress(spec, settings, data_path, chosen, console)
    trainer = spec.trainer_module()
    if is_open and speed.is_measurable(trainer):
        chosen = choose_for_one(spec.name, trainer, settings, {}, prepared, console)
        if chosen == "cpu":
            prepared = prepare_with_progress(spec, settings, data_path, chosen, console)
    return chosen, prepared


def say_speed(
    trainer: Trainer,
    settings: Mapping[str, Any],
    params: Mapping[str, Any],
    prepared: Prepared,
    device: str,
    console: Console,
) -> dict[str, Any]:
    """Measure the training's speed, and print how long the training takes if it is long.

    Returns the measurement under the key "speed".
    """
    if not speed.is_measurable(trainer):
        return {}
    try:
        found = speed.measure(
            trainer, settings, params, prepared, device=device, enough=WORTH_SAYING_S
        )
    except Exception as error:  # what is wrong will be said by the training itself
        return {"speed": {"error": f"{type(error).__name__}: {error}"}}
    if (line := training_sentence(found, device)) is not None:
        say(console, line)
    return {"speed": asdict(found)}


def final_settings(
    spec: StudySpec,
    preset: ResolvedPreset,
    params: Mapping[str, Any],
    sets: Sequence[str],
    *,
    whole: bool = True,
) -> dict[str, Any]:
    """Merge the preset's settings and defaults, `params` and `sets`. Later values replace earlier
    ones. `whole` stands for a final model: it has all the data and what the preset's [train] says.
    """
    config = config_class(spec.trainer)
    content = {**preset.settings, **preset.defaults}
    if whole:
        content = merge_settings(content | getattr(config, "WHOLE", {}), preset.train)
    content = merge_settings(content, params)
    for text in sets:
        content = merge_settings(content, parse_set(text))
    content = {key: one for key, one in content.items() if is_active(key, content, preset.when)}
    if is_own(spec.trainer):
        return content
    try:
        checked = TypeAdapter(config).validate_python(content)
    except ValidationError as error:
        raise InputError(f"--set cannot be used: {first_problem(error)}.") from error
    return plain(asdict(checked))


def describe_epoch(record: EpochRecord) -> str:
    """One line an epoch: stage, losses where the trainer has them, metrics, time."""
    losses = record.train_loss, record.valid_loss
    known = not all(map(math.isnan, losses))
    return (
        f"epoch {record.epoch}/{record.epochs}  {record.stage:<9}  "
        f"{f'loss {_loss(losses[0])} / {_loss(losses[1])}  ' if known else ''}"
        f"{describe_params(record.metrics)}  {duration(record.seconds)}"
    )


def _loss(loss: float) -> str:
    """The loss as text. A loss in the data's units may be in the millions: it gets four digits."""
    return f"{loss:.4f}" if abs(loss) < 1000 else f"{loss:.4g}"
