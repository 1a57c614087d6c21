"""The trainer of text classifiers: ULMFiT's gradual unfreezing in one explicit epoch loop."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from hpsearch.text.classifier_run import ClassifierRun, Stage, measure, plan_stages, scores
from hpsearch.text.config import ClassifierConfig, parse_config
from hpsearch.text.prepare import PreparedTexts, prepare_texts
from hpsearch.text.saved_classifier import SavedClassifier, load_classifier, save_classifier
from hpsearch.text.texts import Texts
from hpsearch.training.checkpoint import (
    load_checkpoint,
    restore_model,
    restore_optimisers,
    save_checkpoint,
)
from hpsearch.training.contract import EpochRecord, Progress, Report, TrainResult
from hpsearch.training.device import keep_freed_memory
from hpsearch.training.loop import check_finite

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
    models = nn.ModuleList(run.model for run in runs)
    saved = load_checkpoint(checkpoint) if checkpoint else None
    records = saved[1] if saved else []
    if saved:
        restore_model(models, saved[0])
    for record in records:
        report(record)
    epochs = [(s, k) for s in plan_stages(config, runs[0].n_groups) for k in range(s.epochs)]
    for epoch, (stage, k) in list(enumerate(epochs, start=1))[len(records) :]:
        if k == 0 or saved:
            for run in runs:
                run.start_stage(stage)
        if k > 0 and saved:
            restore_optimisers([run.optimiser for run in runs], saved[0])
        saved = None
        record = _epoch(runs, texts, stage, epoch, k, len(epochs), progress)
        records.append(record)
        if checkpoint and epoch < len(epochs):
            save_checkpoint(checkpoint, models, [run.optimiser for run in runs], records)
        report(record)
    if keep:
        save_classifier(keep, _content(config, texts, runs, records[-1]))
    return TrainResult(records[-1].metrics, len(epochs), time.perf_counter() - started)


def _epoch(
    runs: Sequence[ClassifierRun],
    texts: Texts,
    stage: Stage,
    epoch: int,
    k: int,
    epochs: int,
    progress: Progress,
) -> EpochRecord:
    """Train all directions for epoch `epoch`, the k-th of its stage, and measure them."""
    began = time.perf_counter()
    losses = []
    for i, run in enumerate(runs):
        what = f"epoch {epoch} of {epochs} ({stage.name})"

        def step(done: int, total: int, i: int = i, what: str = what) -> None:
            progress(what, i * total + done, len(runs) * total)

        loss, lrs = run.train_epoch(epoch, stage, k, step)
        losses.append(loss)
    metrics, valid_loss = measure(runs, texts.labels["valid"])
    return EpochRecord(
        stage=stage.name,
        epoch=epoch,
        epochs=epochs,
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


def on_test_texts(
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
