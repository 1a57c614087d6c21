"""The work of a language model's trial in pieces, for `hpsearch.trainers.shared.speed`."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import Any

import numpy as np

from hpsearch.core.console import silent
from hpsearch.trainers.shared.config_fields import parse_config
from hpsearch.trainers.shared.device import keep_freed_memory
from hpsearch.trainers.shared.speed import Part, Work
from hpsearch.trainers.shared.stages import Stage
from hpsearch.trainers.step.param_groups import discriminative_lrs
from hpsearch.trainers.step.schedule import OneCycle
from hpsearch.trainers.text.batches import Documents, stream_batches
from hpsearch.trainers.text.config import LanguageModelConfig, LanguageModelTrialConfig
from hpsearch.trainers.text.language_model.files import evaluate_language_model
from hpsearch.trainers.text.language_model.fit import LanguageModelFit
from hpsearch.trainers.text.language_model.prepared_texts import PreparedTexts
from hpsearch.trainers.text.language_model.stage import start_model
from hpsearch.trainers.text.networks.awd_lstm import LanguageModel

UNIT = "tokens"
LOWEST_LR = 1e-9
BATCHES = 64
"""So many batches of training are read again and again."""
SAMPLED = 4
"""So many batches of held-out texts are read at a time."""


def work(settings: Mapping[str, Any], params: Mapping[str, Any], data: PreparedTexts) -> Work:
    """Tokens, each as often as it is trained on."""
    config = parse_config(LanguageModelTrialConfig, settings, params)
    return work_of(config, data.texts.parts["read"])


def work_of(config: LanguageModelConfig, read: Documents) -> Work:
    """The same of a language model that is no trial."""
    epochs = config.epochs + config.frozen_epochs
    return Work(UNIT, float(epochs * len(read.ids)), epochs)


def parts(
    settings: Mapping[str, Any], params: Mapping[str, Any], data: PreparedTexts, *, device: str
) -> list[Part]:
    """Steps with everything thawed, and held-out texts."""
    keep_freed_memory()
    config = parse_config(LanguageModelTrialConfig, settings, params)
    model, sized, _ = start_model(data.texts, config, silent, silent)
    read, held_out = data.texts.parts["read"], data.texts.parts["valid"]
    return language_model_parts(sized, model, read, held_out, device, config.precision)


def language_model_parts(
    config: LanguageModelConfig,
    model: LanguageModel,
    read: Documents,
    held_out: Documents,
    device: str,
    precision: str = "auto",
) -> list[Part]:
    """The parts of the training of a model that nobody keeps."""
    fit = LanguageModelFit(
        config, model, _first_documents(read, BATCHES * config.bs * config.seq_len + 1),
        device=device, precision=precision,
    )  # fmt: skip
    lrs = discriminative_lrs(LOWEST_LR, config.lr_decay, len(fit.groups))
    fit.start_stage(Stage("measured", 0, lrs, 1))
    fit.cycle = OneCycle.flat(config.moms)
    fit.start_stream(0)
    batches = cycle(list(stream_batches(fit.train, config.bs, config.seq_len, device)))
    sample = _first_documents(held_out, SAMPLED * config.bs * config.seq_len + 1)

    def train(n: int) -> float:
        fit.model.train()
        done = 0
        for _ in range(n):
            x, y = next(batches)
            fit.step(x, y, 0)
            done += y.numel()
        return float(done)

    def measured(n: int) -> float:
        for _ in range(n):
            evaluate_language_model(fit.model, sample, config, device, fit.dtype)
        return float(n * len(sample.ids))

    whole = work_of(config, read)
    # On a GPU the step is recorded as a graph after two calls, and replayed from then on.
    return [
        Part(train, whole.units, warm_up=4 if device.startswith("cuda") else 1),
        Part(measured, float(max(whole.epochs, 1) * len(held_out.ids)), trains=False),
    ]


def _first_documents(docs: Documents, tokens: int) -> Documents:
    """The first documents, so many that they have that many tokens, or all."""
    n = int(np.searchsorted(docs.offsets, tokens))
    return docs.take(np.arange(min(n, len(docs))))
