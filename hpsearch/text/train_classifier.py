"""The trainer of text classifiers: ULMFiT's gradual unfreezing in one explicit epoch loop."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hpsearch.text.classifier_run import ClassifierRun, measure, plan_stages
from hpsearch.text.config import ClassifierConfig
from hpsearch.text.lr_test import of_classifier as lr_test
from hpsearch.text.prepare import PreparedTexts, prepare_texts
from hpsearch.text.saved_classifier import SavedClassifier, load_classifier, save_classifier
from hpsearch.text.texts import Texts
from hpsearch.training.contract import EpochRecord, Progress, Report, TrainResult
from hpsearch.training.device import keep_freed_memory
from hpsearch.training.fields import parse_config
from hpsearch.training.loop import check_finite
from hpsearch.training.metrics import scores
from hpsearch.training.stages import Epoch, train_stages

__all__ = ["lr_test", "on_test", "prepare", "train", "train_classifier"]
prepare = partial(prepare_texts, ClassifierConfig)
"""Texts and language models for the preset's settings."""


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
    """Train one classifier on `data`; accuracy on the held-out texts is reported every epoch.

    The trained model is written to the folder `keep`. Raises DivergedError when a loss is not
    finite, and whatever `report` raises (a pruned trial).
    """
    return train_classifier(
        parse_config(ClassifierConfig, settings, params),
        data.texts,
        [stage.folder for stage in data.language_models],
        seed=seed,
        device=device,
        report=report,
        checkpoint=checkpoint,
        keep=keep,
        progress=progress,
    )


def train_classifier(
    config: ClassifierConfig,
    texts: Texts,
    language_models: Sequence[Path],
    *,
    seed: int,
    device: str,
    report: Report,
    checkpoint: Path | None = None,
    keep: Path | None = None,
    progress: Progress = lambda what, done, total: None,
) -> TrainResult:
    """Train a classifier on each of the `language_models` (one a direction), side by side: after
    every epoch their probabilities are averaged and measured on the held-out texts."""
    started = time.perf_counter()
    keep_freed_memory()
    runs = [ClassifierRun(config, texts, lm, seed=seed, device=device) for lm in language_models]
    stages = plan_stages(config, runs[0].n_groups)

    def train_epoch(epoch: Epoch) -> EpochRecord:
        return _epoch(runs, texts, epoch, progress)

    records = train_stages(runs, stages, train_epoch, report=report, checkpoint=checkpoint)
    if keep:
        save_classifier(keep, _content(config, texts, runs, records[-1]))
    return TrainResult(records[-1].metrics, len(records), time.perf_counter() - started)


def _epoch(
    runs: Sequence[ClassifierRun], texts: Texts, epoch: Epoch, progress: Progress
) -> EpochRecord:
    """Train all directions for one epoch and measure them."""
    began = time.perf_counter()
    losses = []
    for i, run in enumerate(runs):
        before = epoch.number - 1 + i / len(runs)

        def step(done: int, total: int, before: float = before) -> None:
            progress("training", before + done / total / len(runs), epoch.total)

        loss, lrs = run.train_epoch(epoch, step)
        losses.append(loss)
    metrics, valid_loss = measure(runs, texts.labels["valid"])
    return EpochRecord(
        stage=epoch.stage.name,
        epoch=epoch.number,
        epochs=epoch.total,
        train_loss=check_finite(float(np.mean(losses)), "training loss"),
        valid_loss=check_finite(valid_loss, "validation loss"),
        metrics=metrics,
        lrs=lrs,
        seconds=time.perf_counter() - began,
    )


def _content(
    config: ClassifierConfig, texts: Texts, runs: Sequence[ClassifierRun], last: EpochRecord
) -> SavedClassifier:
    facts = {
        "data": texts.source,
        "training_texts": len(texts.parts["train"]),
        "held_out_texts": len(texts.parts["valid"]),
        "epochs": last.epoch,
        "train_loss": last.train_loss,
        "valid_loss": last.valid_loss,
        "metrics": dict(last.metrics),
    }
    return SavedClassifier(
        models=[run.model for run in runs],
        backward=[run.backward for run in runs],
        sizes=[run.sizes for run in runs],
        vocab=texts.vocab,
        classes=texts.classes,
        tokenizer=texts.tokenizer,
        config=config,
        text_columns=texts.columns,
        facts=facts,
    )


def on_test(
    folder: Path,
    data: PreparedTexts,
    *,
    device: str,
    progress: Progress = lambda what, done, total: None,
) -> dict[str, float]:
    """The metrics of the classifier in `folder` on all test texts, as test_accuracy and so on; also
    noted in the folder. Nothing where the data has no test texts."""
    docs = data.texts.parts["test"]
    if not len(docs):
        return {}
    saved = load_classifier(folder)
    probabilities = saved.predict_documents(docs, device=device, progress=progress)
    found = scores(probabilities, data.texts.labels["test"])
    metrics = {f"test_{name}": value for name, value in found.items()}
    facts = {**saved.facts, "test_texts": len(docs), "test_metrics": found}
    save_classifier(folder, replace(saved, facts=facts))
    return metrics
