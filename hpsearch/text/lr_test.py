"""The learning-rate range test of the text trainers: single steps at any rate."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np
import torch

from hpsearch.text.batches import stream_batches, training_order
from hpsearch.text.classifier_run import ClassifierRun
from hpsearch.text.config import ClassifierConfig, LanguageModelTrialConfig
from hpsearch.text.language_model_run import LanguageModelRun
from hpsearch.text.lm_stage import start_model
from hpsearch.text.prepare import PreparedTexts
from hpsearch.training.device import keep_freed_memory
from hpsearch.training.lr_finder import LrTest
from hpsearch.training.masks import Masks
from hpsearch.training.param_groups import discriminative_lrs
from hpsearch.training.schedule import OneCycle
from hpsearch.training.stages import Stage


def of_classifier(
    config: ClassifierConfig, data: PreparedTexts, *, stage: str, seed: int, device: str
) -> LrTest:
    """Steps of a new classifier; `stage` "head" thaws its head only, "all" every group."""
    keep_freed_memory()
    folder = data.language_models[0].folder
    run = ClassifierRun(config, data.texts, folder, seed=seed, device=device)
    shares = discriminative_lrs(1.0, config.lr_decay, run.n_groups)
    run.start_stage(Stage(stage, -1 if stage == "head" else 0, shares, 1))
    masks = Masks(seed, torch.device(device))
    flat = OneCycle.flat(config.moms)
    run.model.train()

    def batches() -> Iterator[Any]:
        for epoch in count():
            rng = np.random.default_rng([seed, epoch])
            yield from training_order(run.train.lengths, config.bs, rng)

    source = batches()

    def step(lr: float) -> float:
        run.lrs = tuple(lr * share for share in shares)
        return run.step(next(source), masks, flat, 0).item()

    return LrTest(step, run.model, run.optimiser)


def of_language_model(
    config: LanguageModelTrialConfig, data: PreparedTexts, *, stage: str, seed: int, device: str
) -> LrTest:
    """Steps of a language model; `stage` "head" thaws embedding and decoder only."""
    keep_freed_memory()
    model, sized, _ = start_model(data.texts, config, lambda *_: None, lambda _: None)
    read = data.texts.parts["read"]
    read = read.reversed() if sized.backward else read
    run = LanguageModelRun(sized, model, read, device=device, precision=config.precision)
    shares = discriminative_lrs(1.0, sized.lr_decay, len(run.groups))
    run.start_stage(Stage(stage, -1 if stage == "head" else 0, shares, 1))
    run.cycle = OneCycle.flat(sized.moms)
    run.start_stream(seed)

    def batches() -> Iterator[Any]:
        for epoch in count():
            order = np.random.default_rng([seed, epoch]).permutation(len(read))
            yield from stream_batches(read.take(order), sized.bs, sized.seq_len, device)

    source = batches()

    def step(lr: float) -> float:
        run.lrs = tuple(lr * share for share in shares)
        x, y = next(source)
        return run.step(x, y, 0).item()

    return LrTest(step, model, run.optimiser)
