"""The language-model stage: an AWD-LSTM that learns to predict the next token of the texts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from hpsearch.errors import HpsearchError
from hpsearch.text.awd_lstm import (
    AWDLSTM,
    LANGUAGE_MODEL_DROPOUTS,
    LanguageModel,
    Masks,
    detach,
)
from hpsearch.text.batches import Documents, count_stream_batches, stream_batches
from hpsearch.text.config import LanguageModelConfig, parse_moms
from hpsearch.text.vocab import Vocab
from hpsearch.training.contract import EpochRecord
from hpsearch.training.device import autocast, keep_freed_memory, resolve_precision
from hpsearch.training.loop import check_finite, optimiser_step
from hpsearch.training.param_groups import make_adam
from hpsearch.training.schedule import OneCycle

StepProgress = Callable[[int, int], None]


def new_language_model(config: LanguageModelConfig, n_tokens: int) -> LanguageModel:
    """A model with weights drawn from the config's seed."""
    drop = LANGUAGE_MODEL_DROPOUTS.times(config.drop_mult)
    encoder = AWDLSTM(n_tokens, config.emb, config.hidden, config.layers, drop)
    encoder.init_weights(torch.Generator().manual_seed(config.seed))
    return LanguageModel(encoder)


def train_language_model(
    config: LanguageModelConfig,
    model: LanguageModel,
    train: Documents,
    valid: Documents,
    *,
    device: str,
    precision: str = "auto",
    report: Callable[[EpochRecord], None],
    progress: StepProgress = lambda done, total: None,
) -> LanguageModel:
    """Train `model` in one cycle over all epochs; the documents are shuffled before each.

    The reported losses are cross-entropy in nats per token, without the AR and TAR terms.
    Raises DivergedError when a loss is not finite.
    """
    keep_freed_memory()
    model.to(device)
    dtype = resolve_precision(precision, device)
    groups = model.layer_groups()
    optimiser = make_adam(groups, config.wd)
    per_epoch = count_stream_batches(len(train.ids), config.bs, config.seq_len)
    cycle = OneCycle(per_epoch * config.epochs, config.pct_start, parse_moms(config.moms))
    lrs = (config.lr,) * len(groups)
    for epoch in range(1, config.epochs + 1):
        started = time.perf_counter()
        order = np.random.default_rng([config.seed, epoch]).permutation(len(train))
        masks = Masks(config.seed * 1_000_003 + epoch, torch.device(device))
        state = model.encoder.zero_state(config.bs)
        total, n_tokens = torch.zeros((), device=device), 0
        batches = stream_batches(train.take(order), config.bs, config.seq_len)
        for i, (x, y) in enumerate(batches, start=(epoch - 1) * per_epoch):
            x, y = x.to(device), y.to(device)
            with autocast(device, dtype):
                raw, dropped, state = model(x, detach(state), masks)
                loss = model.loss(dropped, y)
                penalty = config.alpha * dropped.float().pow(2).mean()
                penalty = penalty + config.beta * (raw[1:] - raw[:-1]).float().pow(2).mean()
            # A last batch of one step has no neighbours, and the mean of nothing is not a number.
            regularised = loss + penalty if len(x) > 1 else loss
            optimiser_step(regularised, optimiser, cycle, i, lrs, config.clip)
            total += loss.detach() * y.numel()
            n_tokens += y.numel()
            progress(i + 1, cycle.steps)
        train_loss = check_finite(total.item() / n_tokens, "language model's training loss")
        valid_loss, accuracy = evaluate_language_model(model, valid, config, device, dtype)
        check_finite(valid_loss, "language model's validation loss")
        metrics = {"perplexity": float(np.exp(valid_loss)), "accuracy": accuracy}
        highest = cycle.highest(range((epoch - 1) * per_epoch, epoch * per_epoch))
        report(
            EpochRecord(
                stage="lm",
                epoch=epoch,
                epochs=config.epochs,
                train_loss=train_loss,
                valid_loss=valid_loss,
                metrics=metrics,
                lrs=tuple(lr * highest for lr in lrs),
                seconds=time.perf_counter() - started,
            )
        )
    return model


@torch.no_grad()
def evaluate_language_model(
    model: LanguageModel,
    docs: Documents,
    config: LanguageModelConfig,
    device: str,
    dtype: torch.dtype,
) -> tuple[float, float]:
    """Cross-entropy in nats per token, and the share of tokens predicted exactly."""
    bs = max(1, min(config.bs, (len(docs.ids) - 1) // config.seq_len))
    state = model.encoder.zero_state(bs)
    loss, right, n_tokens = 0.0, 0, 0
    for x, y in stream_batches(docs, bs, config.seq_len):
        x, y = x.to(device), y.to(device)
        with autocast(device, dtype):
            _, dropped, state = model(x, state, None)
        batch_loss, batch_right = model.score(dropped, y)
        loss += batch_loss.item()
        right += int(batch_right)
        n_tokens += y.numel()
    return loss / n_tokens, right / n_tokens


def save_language_model(
    folder: Path, model: LanguageModel, vocab: Vocab, config: LanguageModelConfig
) -> None:
    """Weights as safetensors, vocabulary and config as JSON."""
    save_file({k: v.cpu() for k, v in model.state_dict().items()}, folder / "model.safetensors")
    vocab.save(folder / "vocab.json")
    (folder / "config.json").write_text(json.dumps(asdict(config), indent=1), encoding="utf-8")


def load_language_model(folder: Path) -> tuple[LanguageModel, Vocab, LanguageModelConfig]:
    """What `save_language_model` wrote. Raises HpsearchError if a file is missing or damaged."""
    try:
        config = LanguageModelConfig(**json.loads((folder / "config.json").read_text("utf-8")))
        vocab = Vocab.load(folder / "vocab.json")
        model = new_language_model(config, len(vocab))
        model.load_state_dict(load_file(folder / "model.safetensors"))
    except Exception as error:
        raise HpsearchError(
            f"The language model in {folder} cannot be read ({type(error).__name__}); "
            "delete that folder and it is made again."
        ) from error
    return model, vocab, config
