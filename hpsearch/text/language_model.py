"""The language model: an AWD-LSTM that learns to predict the next token of the texts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import TypeAdapter
from safetensors.torch import load_file, save_file
from torch import Tensor

from hpsearch.errors import HpsearchError
from hpsearch.text.awd_lstm import (
    AWDLSTM,
    LANGUAGE_MODEL_DROPOUTS,
    LanguageModel,
    Masks,
    State,
)
from hpsearch.text.batches import Documents, count_stream_batches, stream_batches
from hpsearch.text.config import LanguageModelConfig, parse_moms
from hpsearch.text.vocab import Vocab
from hpsearch.training.checkpoint import (
    load_checkpoint,
    restore_model,
    restore_optimisers,
    save_checkpoint,
)
from hpsearch.training.contract import EpochRecord
from hpsearch.training.device import autocast, keep_freed_memory, resolve_precision
from hpsearch.training.loop import check_finite, optimiser_step
from hpsearch.training.param_groups import discriminative_lrs, freeze_to, make_adam
from hpsearch.training.schedule import OneCycle

StepProgress = Callable[[int, int], None]
_CONFIG = TypeAdapter(LanguageModelConfig)


@dataclass(frozen=True)
class SavedLanguageModel:
    """A language model with what is needed to feed it: the content of a model's folder."""

    model: LanguageModel
    vocab: Vocab
    config: LanguageModelConfig
    tokenizer: str


@dataclass(frozen=True)
class Stage:
    """A part of the training with one cycle and one set of thawed groups."""

    name: str
    freeze_to: int
    lrs: tuple[float, ...]
    epochs: int


def new_language_model(config: LanguageModelConfig, n_tokens: int) -> LanguageModel:
    """A model of the config's sizes with weights drawn from its seed."""
    drop = LANGUAGE_MODEL_DROPOUTS.times(config.drop_mult)
    emb, hidden, layers = config.sizes
    encoder = AWDLSTM(n_tokens, emb, hidden, layers, drop)
    encoder.init_weights(torch.Generator().manual_seed(config.seed))
    return LanguageModel(encoder)


def plan_stages(config: LanguageModelConfig, n_groups: int) -> list[Stage]:
    """Embedding and decoder alone at ten times `lr`, then all groups (the 2018 lesson)."""
    frozen = (0.0,) * (n_groups - 1) + (10 * config.lr,)
    lrs = discriminative_lrs(config.lr, config.lr_decay, n_groups)
    stages = [
        Stage("lm-frozen", -1, frozen, config.frozen_epochs),
        Stage("lm", 0, lrs, config.epochs),
    ]
    return [stage for stage in stages if stage.epochs]


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
    checkpoint: Path | None = None,
) -> LanguageModel:
    """Train `model` through its stages; the documents are shuffled before each epoch.

    The reported losses are cross-entropy in nats per token, without the AR and TAR terms. With a
    `checkpoint` folder the training goes on after the last epoch that it finished there.
    Raises DivergedError when a loss is not finite.
    """
    keep_freed_memory()
    model.to(device)
    groups = model.layer_groups()
    epochs = [(s, k) for s in plan_stages(config, len(groups)) for k in range(s.epochs)]
    saved = load_checkpoint(checkpoint) if checkpoint else None
    records = saved[1] if saved else []
    if saved:
        restore_model(model, saved[0])
    for record in records:
        report(record)
    per_epoch = count_stream_batches(len(train.ids), config.bs, config.seq_len)
    optimiser = None
    for epoch, (stage, k) in enumerate(epochs, start=1):
        if epoch <= len(records):
            continue
        if k == 0 or optimiser is None:
            freeze_to(groups, stage.freeze_to)
            optimiser = make_adam(groups, config.wd)
            if k > 0 and saved:
                restore_optimisers([optimiser], saved[0])
        started = time.perf_counter()
        cycle = OneCycle(per_epoch * stage.epochs, config.pct_start, parse_moms(config.moms))
        train_loss = _train_epoch(
            config, model, train, optimiser, cycle, stage.lrs, epoch, k * per_epoch,
            device=device, precision=precision,
            progress=_from((epoch - 1) * per_epoch, per_epoch * len(epochs), progress),
        )  # fmt: skip
        dtype = resolve_precision(precision, device)
        valid_loss, accuracy = evaluate_language_model(model, valid, config, device, dtype)
        check_finite(valid_loss, "language model's validation loss")
        highest = cycle.highest(range(k * per_epoch, (k + 1) * per_epoch))
        records.append(
            EpochRecord(
                stage=stage.name,
                epoch=epoch,
                epochs=len(epochs),
                train_loss=train_loss,
                valid_loss=valid_loss,
                metrics={"perplexity": float(np.exp(valid_loss)), "accuracy": accuracy},
                lrs=tuple(lr * highest for lr in stage.lrs),
                seconds=time.perf_counter() - started,
            )
        )
        if checkpoint and epoch < len(epochs):
            save_checkpoint(checkpoint, model, [optimiser], records)
        report(records[-1])
    return model


def _from(before: int, total: int, progress: StepProgress) -> Callable[[int], None]:
    return lambda step: progress(before + step, total)


def _train_epoch(
    config: LanguageModelConfig,
    model: LanguageModel,
    train: Documents,
    optimiser: torch.optim.Optimizer,
    cycle: OneCycle,
    lrs: tuple[float, ...],
    epoch: int,
    first_step: int,
    *,
    device: str,
    precision: str,
    progress: Callable[[int], None],
) -> float:
    """One pass over the shuffled documents as one stream; the mean loss in nats per token."""
    dtype = resolve_precision(precision, device)
    order = np.random.default_rng([config.seed, epoch]).permutation(len(train))
    masks = Masks(config.seed * 1_000_003 + epoch, torch.device(device))
    state = model.encoder.zero_state(config.bs)
    total, n_tokens = torch.zeros((), device=device), 0
    batches = stream_batches(train.take(order), config.bs, config.seq_len, device)
    for i, (x, y) in enumerate(batches):
        loss, state = language_model_step(
            model, x, y, state, config, optimiser, cycle, first_step + i, lrs, masks, dtype
        )
        total += loss * y.numel()
        n_tokens += y.numel()
        progress(i + 1)
    return check_finite(total.item() / n_tokens, "language model's training loss")


def language_model_step(
    model: LanguageModel,
    x: Tensor,
    y: Tensor,
    state: State,
    config: LanguageModelConfig,
    optimiser: torch.optim.Optimizer,
    cycle: OneCycle,
    step: int,
    lrs: Sequence[float],
    masks: Masks,
    dtype: torch.dtype,
) -> tuple[Tensor, State]:
    """One optimiser step on the tokens x and their successors y, both (T, B), with the rates of
    `step` in the cycle: mean cross-entropy and the state to go on from."""
    with autocast(x.device.type, dtype):
        raw, dropped, state = model(x, state, masks)
        loss = model.loss(dropped, y)
        penalty = config.alpha * dropped.float().pow(2).mean()
        penalty = penalty + config.beta * (raw[1:] - raw[:-1]).float().pow(2).mean()
    # A last batch of one step has no neighbours, and the mean of nothing is not a number.
    regularised = loss + penalty if len(x) > 1 else loss
    optimiser_step(regularised, optimiser, cycle, step, lrs, config.clip)
    return loss.detach(), state


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
    loss, right, n_tokens = torch.zeros((), device=device), torch.zeros((), device=device), 0
    for x, y in stream_batches(docs, bs, config.seq_len, device):
        with autocast(device, dtype):
            _, dropped, state = model(x, state, None)
        batch_loss, batch_right = model.score(dropped, y)
        loss += batch_loss
        right += batch_right
        n_tokens += y.numel()
    return loss.item() / n_tokens, right.item() / n_tokens


def save_language_model(
    folder: Path, saved: SavedLanguageModel, dtype: torch.dtype = torch.float32
) -> None:
    """Weights as safetensors (of type `dtype`), vocabulary and config as JSON."""
    emb, hidden, layers = saved.config.sizes
    weights = {name: value.cpu().to(dtype) for name, value in saved.model.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    saved.vocab.save(folder / "vocab.json")
    config = {**asdict(saved.config), "emb": emb, "hidden": hidden, "layers": layers}
    content = {"tokenizer": saved.tokenizer, "config": config}
    (folder / "config.json").write_text(json.dumps(content, indent=1), encoding="utf-8")


def load_language_model(folder: Path) -> SavedLanguageModel:
    """What `save_language_model` wrote. Raises HpsearchError if a file is missing or damaged."""
    try:
        content = json.loads((folder / "config.json").read_text("utf-8"))
        config = _CONFIG.validate_python(content["config"])
        vocab = Vocab.load(folder / "vocab.json")
        model = new_language_model(config, len(vocab))
        model.load_state_dict(load_file(folder / "model.safetensors"))
        return SavedLanguageModel(model, vocab, config, str(content["tokenizer"]))
    except Exception as error:
        raise HpsearchError(
            f"The language model in {folder} cannot be read ({_first_line(error)}); "
            "if it lies in the cache, delete that folder and it is made again."
        ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
