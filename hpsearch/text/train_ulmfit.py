"""The trainer of the whole pipeline: a trial's language model first, then its classifier."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hpsearch.text.config import UlmfitConfig
from hpsearch.text.prepare import PreparedTexts, language_models, prepare_texts
from hpsearch.text.train_classifier import on_test, train_classifier
from hpsearch.training.contract import EpochRecord, Progress, Report, TrainResult
from hpsearch.training.fields import parse_config

__all__ = ["on_test", "prepare", "train"]
prepare = partial(prepare_texts, UlmfitConfig)
"""The texts that all trials share; every trial sees to its own language model."""


def train(
    settings: Mapping[str, Any],
    params: Mapping[str, Any],
    data: PreparedTexts,
    *,
    seed: int,
    device: str,
    report: Report,
    checkpoint: Path | None,
    keep: Path | None = None,
    progress: Progress = lambda what, done, total: None,
) -> TrainResult:
    """Train a language model for each direction, unless another trial with equal settings did, then
    the classifier; the epochs of all are one sequence.

    The language model's seed is that of its settings, not the trial's: only so can trials share it.
    Raises DivergedError when a loss is not finite, and whatever `report` raises (a pruned trial).
    """
    started = time.perf_counter()
    config = parse_config(UlmfitConfig, settings, params)
    before: list[EpochRecord] = []
    to_come = sum(one.epochs + one.frozen_epochs for one in config.directions)

    def hear_language_model(record: EpochRecord) -> None:
        # Its accuracy is that of the next word, not what a trial of this study is judged by.
        metrics = {f"lm_{name}": value for name, value in record.metrics.items()}
        moved = replace(record, epoch=len(before) + 1, epochs=to_come, metrics=metrics)
        before.append(moved)
        report(moved)

    stages = language_models(
        config.directions, data.texts, config, device=device, progress=progress,
        report=hear_language_model,
    )  # fmt: skip

    def hear(record: EpochRecord) -> None:
        n = len(before)
        report(replace(record, epoch=n + record.epoch, epochs=n + record.epochs))

    result = train_classifier(
        config,
        data.texts,
        [stage.folder for stage in stages],
        seed=seed,
        device=device,
        report=hear,
        checkpoint=checkpoint,
        keep=keep,
        progress=progress,
    )
    metrics = {**result.metrics, "lm_perplexity": stages[0].perplexity}
    return TrainResult(metrics, len(before) + result.epochs, time.perf_counter() - started)
