"""The trainer of language models: each trial trains one, and keeps it for a classifier to use."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

import numpy as np

from hpsearch.core.console import silent
from hpsearch.data import load_text
from hpsearch.data.corpus import read_corpus
from hpsearch.trainers.contract import EpochRecord, PrepareSetup, TrainResult, TrialSetup
from hpsearch.trainers.shared.config_fields import parse_config
from hpsearch.trainers.shared.device import keep_freed_memory, resolve_precision
from hpsearch.trainers.shared.lr_finder import LrTest
from hpsearch.trainers.shared.stages import Stage
from hpsearch.trainers.step.param_groups import discriminative_lrs
from hpsearch.trainers.step.schedule import OneCycle
from hpsearch.trainers.text.batches import stream_batches
from hpsearch.trainers.text.config import LanguageModelTrialConfig
from hpsearch.trainers.text.language_model.fit import LanguageModelFit
from hpsearch.trainers.text.language_model.prepared_texts import PreparedTexts
from hpsearch.trainers.text.language_model.pretrained import (
    find_missing_pretrained,
    untrained_vocab,
)
from hpsearch.trainers.text.language_model.stage import build_language_model, start_model
from hpsearch.trainers.text.numbered_texts import number_texts
from hpsearch.trainers.text.split_texts import language_model_rows
from hpsearch.trainers.text.tokens.tokenizer import Tokenizer

__all__ = [
    "ASSESS", "KEEPS_BEST", "SPEED", "lr_test", "missing_pretrained", "prepare", "train",
    "train_side_by_side",
]  # fmt: skip
ASSESS = "hpsearch.trainers.text.language_model.assess"
KEEPS_BEST = True
SPEED = "hpsearch.trainers.text.language_model.speed"
train_side_by_side = None
missing_pretrained = partial(find_missing_pretrained, LanguageModelTrialConfig)
"""Why a pretrained model that the trials start from cannot be had."""


def prepare(
    data: Mapping[str, Any],
    settings: Mapping[str, Any],
    setup: PrepareSetup,
) -> PreparedTexts:
    """Read and number the texts that all trials train on, and hold some out.

    Test texts are left out. Own texts need no labels: see `read_corpus` for the files they may be
    in.
    """
    config = parse_config(LanguageModelTrialConfig, settings)
    # A wrong name, or a precision that cannot be had, fails before anything is read.
    precision = str(resolve_precision(config.precision, setup.device)).removeprefix("torch.")
    Tokenizer(str(data.get("tokenizer", "en")))
    if data.get("path") is not None and data.get("split") is None:
        columns = data.get("text", "text")
        dataset = read_corpus(
            str(setup.data_path or data["path"]),
            text_columns=(columns,) if isinstance(columns, str) else tuple(columns),
            progress=setup.progress,
            say=setup.say,
        ).dataset()
    else:
        dataset = load_text(data, path=setup.data_path, progress=setup.progress, say=setup.say)
    is_test = (dataset.table["split"] == "test").to_numpy()
    texts = number_texts(
        dataset,
        language_model_rows(is_test, config),
        data,
        vocab=untrained_vocab([config], setup.progress, setup.say),
        max_vocab=config.max_vocab,
        min_freq=config.min_freq,
        progress=setup.progress,
    )
    return PreparedTexts(texts, precision, ())


def train(
    settings: Mapping[str, Any],
    params: Mapping[str, Any],
    data: PreparedTexts,
    setup: TrialSetup,
) -> TrainResult:
    """Train one language model, and measure its perplexity on the held-out texts after every epoch.

    Args:
        settings: The preset's settings.
        params: The trial's parameters, which replace settings of the same name.
        setup: The trained model is written to its folder `keep`.

    Raises:
        DivergedError: A loss is not finite.
        Exception: Whatever `setup.report` raises, such as TrialPruned.
    """
    started = time.perf_counter()
    config = parse_config(LanguageModelTrialConfig, settings, params)
    records: list[EpochRecord] = []

    def report(record: EpochRecord) -> None:
        records.append(record)
        setup.report(record)

    facts = build_language_model(
        data.texts,
        config.language_model(setup.seed),
        replace(setup, report=report),
        n_valid=len(data.texts.parts["valid"]),
        precision=config.precision,
    )
    return TrainResult(facts, len(records), time.perf_counter() - started)


def lr_test(
    config: LanguageModelTrialConfig, data: PreparedTexts, *, stage: str, seed: int, device: str
) -> LrTest:
    """Steps of a language model; `stage` "head" thaws embedding and decoder only."""
    keep_freed_memory()
    model, sized, _ = start_model(data.texts, config, silent, silent)
    read = data.texts.parts["read"]
    read = read.reversed() if sized.backward else read
    fit = LanguageModelFit(sized, model, read, device=device, precision=config.precision)
    shares = discriminative_lrs(1.0, sized.lr_decay, len(fit.groups))
    fit.start_stage(Stage(stage, -1 if stage == "head" else 0, shares, 1))
    fit.cycle = OneCycle.flat(sized.moms)
    fit.start_stream(seed)

    def batches() -> Iterator[Any]:
        for epoch in count():
            order = np.random.default_rng([seed, epoch]).permutation(len(read))
            yield from stream_batches(read.take(order), sized.bs, sized.seq_len, device)

    source = batches()

    def step(lr: float) -> float:
        fit.lrs = tuple(lr * share for share in shares)
        x, y = next(source)
        return fit.step(x, y, 0).item()

    return LrTest(step, model, fit.optimiser)
