"""The trainer of language models: each trial trains one, and keeps it for a classifier to use."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpsearch.data import load_text
from hpsearch.data.corpus import read_corpus
from hpsearch.text.config import LanguageModelTrialConfig
from hpsearch.text.lm_stage import build_language_model
from hpsearch.text.lr_test import of_language_model as lr_test
from hpsearch.text.prepare import PreparedTexts, untrained_vocab
from hpsearch.text.splits import language_model_rows
from hpsearch.text.texts import number_texts
from hpsearch.text.tokenize import Tokenizer
from hpsearch.training.contract import EpochRecord, Progress, Report, Say, TrainResult
from hpsearch.training.device import resolve_precision
from hpsearch.training.fields import parse_config

__all__ = ["KEEPS_BEST", "lr_test", "prepare", "train"]
KEEPS_BEST = True
"""The search asks for every trial's model, and keeps that of the best."""


def prepare(
    data: Mapping[str, Any],
    settings: Mapping[str, Any],
    *,
    data_path: Path | None,
    device: str,
    progress: Progress,
    say: Say = lambda _: None,
) -> PreparedTexts:
    """The texts that all trials read, and those held out; the test texts are left alone.

    Texts of one's own need no labels: see `read_corpus` for what they may lie in.
    """
    config = parse_config(LanguageModelTrialConfig, settings)
    Tokenizer(str(data.get("tokenizer", "en")))  # a wrong name fails before anything is read
    if data.get("path") is not None and data.get("split") is None:
        columns = data.get("text", "text")
        dataset = read_corpus(
            str(data_path or data["path"]),
            text_columns=(columns,) if isinstance(columns, str) else tuple(columns),
            progress=progress,
            say=say,
        ).dataset()
    else:
        dataset = load_text(data, path=data_path, progress=progress, say=say)
    is_test = (dataset.table["split"] == "test").to_numpy()
    texts = number_texts(
        dataset,
        language_model_rows(is_test, config),
        data,
        vocab=untrained_vocab([config], progress, say),
        max_vocab=config.max_vocab,
        min_freq=config.min_freq,
        progress=progress,
    )
    precision = str(resolve_precision(config.precision, device)).removeprefix("torch.")
    return PreparedTexts(texts, precision, ())


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
    """Train one language model; perplexity on the held-out texts is reported every epoch.

    The model is written to the folder `keep`. Raises DivergedError when a loss is not finite, and
    whatever `report` raises (a pruned trial).
    """
    started = time.perf_counter()
    config = parse_config(LanguageModelTrialConfig, settings, params)
    records: list[EpochRecord] = []

    def hear(record: EpochRecord) -> None:
        records.append(record)
        report(record)

    facts = build_language_model(
        keep,
        data.texts,
        config.language_model(seed),
        n_valid=len(data.texts.parts["valid"]),
        device=device,
        precision=config.precision,
        progress=progress,
        report=hear,
        checkpoint=checkpoint,
    )
    return TrainResult(facts, len(records), time.perf_counter() - started)
