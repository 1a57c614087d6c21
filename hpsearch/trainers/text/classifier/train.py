"""The trainer of text classifiers: ULMFiT's gradual unfreezing in one explicit epoch loop."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from hpsearch.core.console import Progress
from hpsearch.trainers.contract import EpochRecord, TrainResult, TrialSetup
from hpsearch.trainers.shared.config_fields import parse_config
from hpsearch.trainers.shared.device import keep_freed_memory
from hpsearch.trainers.shared.lr_finder import LrTest
from hpsearch.trainers.shared.stages import Epoch, Stage, epoch_record, train_stages
from hpsearch.trainers.step.param_groups import discriminative_lrs
from hpsearch.trainers.step.schedule import OneCycle
from hpsearch.trainers.text.batches import training_order
from hpsearch.trainers.text.classifier.fit import ClassifierFit, measure, plan_stages
from hpsearch.trainers.text.classifier.label_metrics import best_threshold
from hpsearch.trainers.text.classifier.saved import SavedClassifier, save_classifier
from hpsearch.trainers.text.config import ClassifierConfig
from hpsearch.trainers.text.language_model.prepared_texts import PreparedTexts
from hpsearch.trainers.text.language_model.pretrained import find_missing_pretrained
from hpsearch.trainers.text.numbered_texts import Texts
from hpsearch.trainers.text.prepare import prepare_texts

__all__ = [
    "ASSESS", "KEEPS_BEST", "SPEED", "lr_test", "missing_pretrained", "prepare", "train",
    "train_classifier", "train_side_by_side",
]  # fmt: skip
ASSESS = "hpsearch.trainers.text.classifier.assess"
KEEPS_BEST = False
SPEED = "hpsearch.trainers.text.classifier.speed"
train_side_by_side = None
prepare = partial(prepare_texts, ClassifierConfig)
"""Texts and language models for the preset's settings."""
missing_pretrained = partial(find_missing_pretrained, ClassifierConfig)
"""Why a pretrained model that they start from cannot be had."""


def train(
    settings: Mapping[str, Any],
    params: Mapping[str, Any],
    data: PreparedTexts,
    setup: TrialSetup,
) -> TrainResult:
    """Train one classifier, and measure its accuracy on the held-out texts after every epoch.

    Args:
        settings: The preset's settings.
        params: The trial's parameters, which replace settings of the same name.
        setup: The trained model is written to its folder `keep`.

    Raises:
        DivergedError: A loss is not finite.
        Exception: Whatever `setup.report` raises, such as TrialPruned.
    """
    return train_classifier(
        parse_config(ClassifierConfig, settings, params),
        data.texts,
        [stage.folder for stage in data.language_models],
        setup,
    )


def train_classifier(
    config: ClassifierConfig,
    texts: Texts,
    language_models: Sequence[Path],
    setup: TrialSetup,
) -> TrainResult:
    """Train a classifier on each of the `language_models`, one for each direction, side by side.

    After every epoch their probabilities are averaged and measured on the held-out texts.
    """
    started = time.perf_counter()
    keep_freed_memory()
    fits = [
        ClassifierFit(config, texts, folder, seed=setup.seed, device=setup.device)
        for folder in language_models
    ]
    stages = plan_stages(config, fits[0].n_groups)

    def train_epoch(epoch: Epoch) -> EpochRecord:
        return _epoch(fits, texts, epoch, setup.progress)

    records = train_stages(fits, stages, train_epoch, setup)
    if setup.keep:
        save_classifier(setup.keep, _content(config, texts, fits, records[-1]))
    return TrainResult(records[-1].metrics, len(records), time.perf_counter() - started)


def _epoch(
    fits: Sequence[ClassifierFit], texts: Texts, epoch: Epoch, progress: Progress
) -> EpochRecord:
    """Train all directions for one epoch and measure them."""
    began = time.perf_counter()
    losses = []
    for i, fit in enumerate(fits):
        before = epoch.number - 1 + i / len(fits)

        def step(done: int, total: int, before: float = before) -> None:
            progress("training", before + done / total / len(fits), epoch.total)

        loss, lrs = fit.train_epoch(epoch, step)
        losses.append(loss)
    metrics, valid_loss = measure(fits, texts.labels["valid"])
    return epoch_record(epoch, began, (float(np.mean(losses)), lrs), valid_loss, metrics)


def _content(
    config: ClassifierConfig, texts: Texts, fits: Sequence[ClassifierFit], last: EpochRecord
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
        models=[fit.model for fit in fits],
        backward=[fit.backward for fit in fits],
        sizes=[fit.sizes for fit in fits],
        vocab=texts.vocab,
        classes=texts.classes,
        tokenizer=texts.tokenizer,
        config=config,
        text_columns=texts.columns,
        facts=facts,
        thresholds=_thresholds(config, texts, fits),
    )


def _thresholds(
    config: ClassifierConfig, texts: Texts, fits: Sequence[ClassifierFit]
) -> tuple[float, ...]:
    """One for each label where a text may have several: the best for the held-out texts."""
    if not texts.several:
        return ()
    one = config.threshold
    if isinstance(one, str):
        probabilities = np.mean([fit.predict() for fit in fits], axis=0)
        one = best_threshold(probabilities, texts.labels["valid"])
    return (one,) * len(texts.classes)


def lr_test(
    config: ClassifierConfig, data: PreparedTexts, *, stage: str, seed: int, device: str
) -> LrTest:
    """Steps of a new classifier; `stage` "head" thaws its head only, "all" every group."""
    keep_freed_memory()
    folder = data.language_models[0].folder
    fit = ClassifierFit(config, data.texts, folder, seed=seed, device=device)
    shares = discriminative_lrs(1.0, config.lr_decay, fit.n_groups)
    fit.start_stage(Stage(stage, -1 if stage == "head" else 0, shares, 1))
    flat = OneCycle.flat(config.moms)
    fit.model.train()

    def batches() -> Iterator[Any]:
        for epoch in count():
            rng = np.random.default_rng([seed, epoch])
            order = training_order(fit.train.lengths, config.bs, rng)
            yield from zip(order, fit.train.rows(order), strict=True)

    source = batches()

    def step(lr: float) -> float:
        fit.lrs = tuple(lr * share for share in shares)
        which, rows = next(source)
        return fit.step(which, rows, flat, 0).item()

    return LrTest(step, fit.model, fit.optimiser)
