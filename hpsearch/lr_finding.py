"""`lr-find`: the learning-rate range test on a study's own model and data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.text import Text

from hpsearch.errors import InputError
from hpsearch.final import final_settings, prepare_shown
from hpsearch.search.circumstances import default_device
from hpsearch.search.progress import shown_progress
from hpsearch.studies import StudySpec, config_class
from hpsearch.text.awd_lstm import Masks
from hpsearch.text.batches import stream_batches, training_order
from hpsearch.text.classifier_run import ClassifierRun
from hpsearch.text.config import ClassifierConfig, LanguageModelConfig
from hpsearch.text.language_model_run import LanguageModelRun
from hpsearch.text.lm_stage import start_model
from hpsearch.text.prepare import PreparedTexts
from hpsearch.training.device import keep_freed_memory
from hpsearch.training.fields import parse_config, parse_moms
from hpsearch.training.lr_finder import LrCurve, find_lr, restored
from hpsearch.training.lr_plot import write_html, write_png
from hpsearch.training.param_groups import discriminative_lrs
from hpsearch.training.schedule import OneCycle
from hpsearch.training.stages import Stage

STAGES = ("head", "all")
Test = tuple[Callable[[float], float], torch.nn.Module, torch.optim.Optimizer]
"""One step at a rate, and what it trains."""


def find_and_draw(
    spec: StudySpec,
    output: Path,
    *,
    preset: str = "auto",
    stage: str = "head",
    sets: Sequence[str] = (),
    data_path: Path | None = None,
    seed: int = 0,
    console: Console | None = None,
) -> LrCurve:
    """Run the test on the study's data with its defaults, print the suggestions, and write
    OUTPUT.png and OUTPUT.html.

    `stage` "head" thaws the top layer group only, "all" every group, each with its share of the
    rate. Raises InputError for a stage that there is not.
    """
    console = console or Console()
    if stage not in STAGES:
        raise InputError(f"--stage {stage} is not known: choose one of {', '.join(STAGES)}.")
    device = default_device()
    resolved = spec.resolve(preset)
    settings = final_settings(spec, resolved, {}, sets)
    config = parse_config(config_class(spec.trainer), settings)
    if isinstance(config, ClassifierConfig) and not config.shared_models:
        raise InputError(
            f"Each trial of {spec.name} trains two models: run lr-find on a study of one of them, "
            "such as imdb-lm or imdb-clas."
        )
    prepared = prepare_shown(spec, settings, data_path, device, console)
    with shown_progress(console) as progress:
        keep_freed_memory()
        make = _classifier_step if isinstance(config, ClassifierConfig) else _language_model_step
        step, model, optimiser = make(config, prepared, stage, seed, device)
        with restored([model], [optimiser]):
            curve = find_lr(step, progress=lambda done, total: progress("lr-find", done, total))
    title = f"{spec.name}, {resolved.name}, {stage}"
    for name, lr in curve.suggestions._asdict().items():
        console.print(f"{name:<9} {lr:.3g}")
    files = _draw(curve, output, title)
    console.print(Text(f"Wrote {' and '.join(map(str, files))}"), soft_wrap=True)
    return curve


def _draw(curve: LrCurve, output: Path, title: str) -> tuple[Path, Path]:
    """Write OUTPUT.png and OUTPUT.html. Raises InputError where they cannot be."""
    png, html = (output.with_name(output.name + suffix) for suffix in (".png", ".html"))
    try:
        loss = "training loss, nats per token or text"
        write_png(curve, png, title=title, loss=loss)
        write_html(curve, html, title=title, loss=loss)
    except OSError as error:
        raise InputError(f"{png} cannot be written: {error.strerror or error}.") from error
    return png, html


def _classifier_step(
    config: ClassifierConfig, data: PreparedTexts, stage: str, seed: int, device: str
) -> Test:
    folder = data.language_models[0].folder
    run = ClassifierRun(config, data.texts, folder, seed=seed, device=device)
    shares = discriminative_lrs(1.0, config.lr_decay, run.n_groups)
    run.start_stage(Stage(stage, -1 if stage == "head" else 0, shares, 1))
    masks = Masks(seed, torch.device(device))
    flat = _flat(config.moms)
    run.model.train()

    def batches() -> Iterator[Any]:
        for epoch in count():
            rng = np.random.default_rng([seed, epoch])
            yield from training_order(run.train.lengths, config.bs, rng)

    source = batches()

    def step(lr: float) -> float:
        run.lrs = tuple(lr * share for share in shares)
        return run.step(next(source), masks, flat, 0).item()

    return step, run.model, run.optimiser


def _language_model_step(
    config: LanguageModelConfig, data: PreparedTexts, stage: str, seed: int, device: str
) -> Test:
    model, config, _ = start_model(data.texts, config, lambda *_: None, lambda _: None)
    read = data.texts.parts["read"]
    read = read.reversed() if config.backward else read
    run = LanguageModelRun(config, model, read, device=device)
    lrs = discriminative_lrs(1.0, config.lr_decay, len(run.groups))
    run.start_stage(Stage(stage, -1 if stage == "head" else 0, lrs, 1))
    run.cycle = _flat(config.moms)
    run.start_stream(seed)

    def batches() -> Iterator[Any]:
        for epoch in count():
            order = np.random.default_rng([seed, epoch]).permutation(len(read))
            yield from stream_batches(read.take(order), config.bs, config.seq_len, device)

    source = batches()

    def step(lr: float) -> float:
        run.lrs = tuple(lr * share for share in lrs)
        x, y = next(source)
        return run.step(x, y, 0).item()

    return step, model, run.optimiser


def _flat(moms: str) -> OneCycle:
    """A cycle whose step 0 has the whole rate and the momentum of a cycle's ends."""
    high, _ = parse_moms(moms)
    return OneCycle(2, 0.0, (high, high))
