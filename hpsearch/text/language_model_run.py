"""A language model in training: it learns to predict the next token of the texts."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hpsearch.text.awd_lstm import LanguageModel
from hpsearch.text.batches import Documents, count_stream_batches, stream_batches
from hpsearch.text.config import LanguageModelConfig
from hpsearch.text.language_model import evaluate_language_model
from hpsearch.training.contract import EpochRecord
from hpsearch.training.device import autocast, keep_freed_memory, resolve_precision
from hpsearch.training.fields import parse_moms
from hpsearch.training.loop import check_finite, optimiser_step
from hpsearch.training.masks import Masks
from hpsearch.training.param_groups import discriminative_lrs, freeze_to, make_adam
from hpsearch.training.schedule import OneCycle
from hpsearch.training.stages import Epoch, Stage, train_stages

StepProgress = Callable[[int, int], None]


def plan_stages(config: LanguageModelConfig, n_groups: int) -> list[Stage]:
    """Embedding and decoder alone at ten times `lr`, then all groups (the 2018 lesson)."""
    frozen = (0.0,) * (n_groups - 1) + (10 * config.lr,)
    lrs = discriminative_lrs(config.lr, config.lr_decay, n_groups)
    stages = [
        Stage("lm-frozen", -1, frozen, config.frozen_epochs),
        Stage("lm", 0, lrs, config.epochs),
    ]
    return [stage for stage in stages if stage.epochs]


class LanguageModelRun:
    """A model, the texts that it reads, and the optimiser and the rates of its stage."""

    def __init__(
        self,
        config: LanguageModelConfig,
        model: LanguageModel,
        train: Documents,
        *,
        device: str,
        precision: str = "auto",
    ) -> None:
        self.config, self.model, self.train, self.device = config, model.to(device), train, device
        self.dtype = resolve_precision(precision, device)
        self.groups = model.layer_groups()
        self.per_epoch = count_stream_batches(len(train.ids), config.bs, config.seq_len)

    def start_stage(self, stage: Stage) -> None:
        """Thaw the stage's groups; the optimiser starts without memory, as fastai's does."""
        freeze_to(self.groups, stage.freeze_to)
        self.optimiser = make_adam(self.groups, self.config.wd)
        self.lrs = stage.lrs
        moms = parse_moms(self.config.moms)
        self.cycle = OneCycle(self.per_epoch * stage.epochs, self.config.pct_start, moms)

    def start_stream(self, seed: int) -> None:
        """Forget what was read; dropout begins anew from `seed`."""
        self.state = self.model.encoder.zero_state(self.config.bs)
        self.masks = Masks(seed, torch.device(self.device))

    def step(self, x: Tensor, y: Tensor, i: int) -> Tensor:
        """Train on the tokens x and their successors y, both (T, B), with the rates of step `i` of
        the cycle; their mean cross-entropy in nats."""
        config = self.config
        with autocast(self.device, self.dtype):
            raw, dropped, self.state = self.model(x, self.state, self.masks)
            loss = self.model.loss(dropped, y)
            penalty = config.alpha * dropped.float().pow(2).mean()
            penalty = penalty + config.beta * (raw[1:] - raw[:-1]).float().pow(2).mean()
        # A last batch of one step has no neighbours, and the mean of nothing is not a number.
        regularised = loss + penalty if len(x) > 1 else loss
        optimiser_step(regularised, self.optimiser, self.cycle, i, self.lrs, config.clip)
        return loss.detach()

    def train_epoch(
        self, epoch: Epoch, progress: Callable[[int], None]
    ) -> tuple[float, tuple[float, ...]]:
        """One pass over the shuffled documents as one stream: mean loss in nats per token, and the
        groups' highest rates."""
        config = self.config
        order = np.random.default_rng([config.seed, epoch.number]).permutation(len(self.train))
        self.start_stream(config.seed * 1_000_003 + epoch.number)
        total, n_tokens = torch.zeros((), device=self.device), 0
        docs = self.train.take(order)
        steps = range(epoch.k * self.per_epoch, (epoch.k + 1) * self.per_epoch)
        batches = stream_batches(docs, config.bs, config.seq_len, self.device)
        for i, (x, y) in zip(steps, batches, strict=True):
            total += self.step(x, y, i) * y.numel()
            n_tokens += y.numel()
            progress(i - steps.start + 1)
        highest = self.cycle.highest(steps)
        loss = check_finite(total.item() / n_tokens, "language model's training loss")
        return loss, tuple(lr * highest for lr in self.lrs)


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
    run = LanguageModelRun(config, model, train, device=device, precision=precision)
    stages = plan_stages(config, len(run.groups))

    def train_epoch(epoch: Epoch) -> EpochRecord:
        return _epoch(run, valid, epoch, progress)

    train_stages([run], stages, train_epoch, report=report, checkpoint=checkpoint)
    return model


def _epoch(
    run: LanguageModelRun, valid: Documents, epoch: Epoch, progress: StepProgress
) -> EpochRecord:
    """Train one epoch and measure the model on the held-out texts."""
    began = time.perf_counter()
    before, total = (epoch.number - 1) * run.per_epoch, epoch.total * run.per_epoch
    train_loss, lrs = run.train_epoch(epoch, lambda step: progress(before + step, total))
    valid_loss, accuracy = evaluate_language_model(
        run.model, valid, run.config, run.device, run.dtype
    )
    check_finite(valid_loss, "language model's validation loss")
    return EpochRecord(
        stage=epoch.stage.name,
        epoch=epoch.number,
        epochs=epoch.total,
        train_loss=train_loss,
        valid_loss=valid_loss,
        metrics={"perplexity": float(np.exp(valid_loss)), "accuracy": accuracy},
        lrs=lrs,
        seconds=time.perf_counter() - began,
    )
