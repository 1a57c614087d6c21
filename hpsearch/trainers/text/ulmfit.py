"""The trainer of the whole pipeline: a trial's language model first, then its classifier."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from hpsearch.trainers.contract import EpochRecord, TrainResult, TrialSetup
from hpsearch.trainers.shared.config_fields import parse_config
from hpsearch.trainers.text.classifier.train import ASSESS, train_classifier
from hpsearch.trainers.text.config import UlmfitConfig
from hpsearch.trainers.text.language_model.prepared_texts import PreparedTexts
from hpsearch.trainers.text.language_model.pretrained import find_missing_pretrained
from hpsearch.trainers.text.prepare import language_models, prepare_texts

__all__ = [
    "ASSESS", "KEEPS_BEST", "SPEED", "lr_test", "missing_pretrained", "prepare", "train",
    "train_side_by_side",
]  # fmt: skip
KEEPS_BEST = False
SPEED = "hpsearch.trainers.text.ulmfit_speed"
lr_test = None
train_side_by_side = None
prepare = partial(prepare_texts, UlmfitConfig)
"""The texts that all trials share; every trial sees to its own language model."""
missing_pretrained = partial(find_missing_pretrained, UlmfitConfig)
"""Why a pretrained model that they start from cannot be had."""


def train(
    settings: Mapping[str, Any],
    params: Mapping[str, Any],
    data: PreparedTexts,
    setup: TrialSetup,
) -> TrainResult:
    """Train a language model for each direction, then the classifier on them.

    The epochs of all count as one sequence. A language model that another trial trained with equal
    settings is taken from the cache. This is why its seed is that of its settings, not the trial's.

    Raises:
        DivergedError: A loss is not finite.
        Exception: Whatever `setup.report` raises, such as TrialPruned.
    """
    started = time.perf_counter()
    config = parse_config(UlmfitConfig, settings, params)
    lm_records: list[EpochRecord] = []
    lm_epochs = sum(one.epochs + one.frozen_epochs for one in config.directions)

    def report_language_model(record: EpochRecord) -> None:
        # Its accuracy is that of the next word, not what a trial of this study is judged by.
        metrics = {f"lm_{name}": value for name, value in record.metrics.items()}
        moved = replace(record, epoch=len(lm_records) + 1, epochs=lm_epochs, metrics=metrics)
        lm_records.append(moved)
        setup.report(moved)

    stages = language_models(
        config.directions, data.texts, config, replace(setup, report=report_language_model)
    )

    def report_classifier(record: EpochRecord) -> None:
        n = len(lm_records)
        setup.report(replace(record, epoch=n + record.epoch, epochs=n + record.epochs))

    result = train_classifier(
        config,
        data.texts,
        [stage.folder for stage in stages],
        replace(setup, report=report_classifier),
    )
    metrics = {**result.metrics, "lm_perplexity": stages[0].perplexity}
    return TrainResult(metrics, len(lm_records) + result.epochs, time.perf_counter() - started)
