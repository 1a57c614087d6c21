"""A language model in training: it learns to predict the next token of the texts."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from hpsearch.core.console import Progress
from hpsearch.trainers.contract import EpochRecord, TrialSetup
from hpsearch.trainers.shared.device import keep_freed_memory, resolve_precision
from hpsearch.trainers.shared.stages import Epoch, Stage, Trained, epoch_record, train_stages
from hpsearch.trainers.step.cuda_graph import CapturedStep
from hpsearch.trainers.step.dropout_masks import Masks
from hpsearch.trainers.step.gradients import check_finite, gradients
from hpsearch.trainers.step.optimiser import GroupedAdamW
from hpsearch.trainers.step.param_groups import discriminative_lrs, freeze_to, optimiser_groups
from hpsearch.trainers.step.schedule import OneCycle, parse_moms
from hpsearch.trainers.text.batches import Documents, count_stream_batches, stream_batches
from hpsearch.trainers.text.config import LanguageModelConfig
from hpsearch.trainers.text.language_model.files import evaluate_language_model
from hpsearch.trainers.text.networks.awd_lstm import LanguageModel, write_state


def plan_stages(config: LanguageModelConfig, n_groups: int) -> list[Stage]:
    """Embedding and decoder alone at ten times `lr`, then all groups (the 2018 lesson)."""
    frozen = (0.0,) * (n_groups - 1) + (10 * config.lr,)
    lrs = discriminative_lrs(config.lr, config.lr_decay, n_groups)
    stages = [
        Stage("lm-frozen", -1, frozen, config.frozen_epochs),
        Stage("lm", 0, lrs, config.epochs),
    ]
    return [stage for stage in stages if stage.epochs]


class LanguageModelFit:
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
        # These live as long as the fit: the recorded steps of a GPU hold on to them.
        self.state = model.encoder.zero_state(config.bs)
        self.masks = Masks(0, torch.device(device))
        self.per_epoch = count_stream_batches(len(train.ids), config.bs, config.seq_len)

    def start_stage(self, stage: Stage) -> None:
        """Thaw the stage's groups; the optimiser starts without memory, as fastai's does."""
        freeze_to(self.groups, stage.freeze_to)
        self.optimiser = GroupedAdamW(optimiser_groups(self.groups, self.config.wd))
        self.lrs = stage.lrs
        self._gradients = CapturedStep(
            _Gradients(self), device=self.device, generators=[self.masks.generator], most=1
        )
        moms = parse_moms(self.config.moms)
        self.cycle = OneCycle(self.per_epoch * stage.epochs, self.config.pct_start, moms)

    def start_stream(self, seed: int) -> None:
        """Forget what was read; dropout begins anew from `seed`."""
        write_state(self.state, self.model.encoder.zero_state(self.config.bs))
        self.masks.restart(seed)

    def step(self, x: Tensor, y: Tensor, i: int) -> Tensor:
        """Train on the tokens x and their successors y, both (T, B), with the rates of step `i` of
        the cycle; their mean cross-entropy in nats."""
        loss, *grads = self._gradients(x, y)
        share, momentum = self.cycle.at(i)
        self.optimiser.step(grads, [lr * share for lr in self.lrs], momentum)
        return loss

    def train_epoch(self, epoch: Epoch, progress: Callable[[int], None]) -> Trained:
        """Train on the shuffled documents once, joined to one stream.

        Returns:
            The mean cross-entropy in nats per token, and the highest rate of each layer group.
        """
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


class _Gradients:
    """What a step computes before the optimiser: loss and gradients, and the state goes on.

    It does not refer to the fit: a cycle of references would keep the memory of both.
    """

    def __init__(self, fit: LanguageModelFit) -> None:
        self.config, self.model, self.dtype = fit.config, fit.model, fit.dtype
        self.state, self.masks, self.weights = fit.state, fit.masks, fit.optimiser.weights

    def __call__(self, x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        """Tokens and their successors (T, B) -> cross-entropy, a gradient for each weight."""
        config = self.config
        raw, dropped, state = self.model(x, self.state, self.masks, self.dtype)
        loss = self.model.loss(dropped, y)
        penalty = config.alpha * dropped.float().pow(2).mean()
        penalty = penalty + config.beta * (raw[1:] - raw[:-1]).float().pow(2).mean()
        # A last batch of one step has no neighbours, and the mean of nothing is not a number.
        regularised = loss + penalty if len(x) > 1 else loss
        grads = gradients(regularised, self.weights, config.clip)
        write_state(self.state, state)  # not before: the gradients need what it was
        return loss.detach(), *grads


def train_language_model(
    config: LanguageModelConfig,
    model: LanguageModel,
    train: Documents,
    valid: Documents,
    setup: TrialSetup,
    *,
    precision: str = "auto",
) -> LanguageModel:
    """Train `model` through its stages; the documents are shuffled before each epoch.

    The reported losses are cross-entropy in nats per token, without the terms AR and TAR.

    Args:
        train, valid: The documents to train on, and those held out.
        setup: Its seed and keep are not used: the seed is that of `config`, and the caller keeps
            the model.
        precision: "auto", "bfloat16" or "float32".

    Raises:
        DivergedError: A loss is not finite.
    """
    keep_freed_memory()
    fit = LanguageModelFit(config, model, train, device=setup.device, precision=precision)
    stages = plan_stages(config, len(fit.groups))

    def train_epoch(epoch: Epoch) -> EpochRecord:
        return _epoch(fit, valid, epoch, setup.progress)

    train_stages([fit], stages, train_epoch, setup)
    return model


def _epoch(
    fit: LanguageModelFit, valid: Documents, epoch: Epoch, progress: Progress
) -> EpochRecord:
    """Train one epoch and measure the model on the held-out texts."""
    began = time.perf_counter()
    before, total = (epoch.number - 1) * fit.per_epoch, epoch.total * fit.per_epoch
    trained = fit.train_epoch(epoch, lambda step: progress("language model", before + step, total))
    valid_loss, accuracy = evaluate_language_model(
        fit.model, valid, fit.config, fit.device, fit.dtype
    )
    check_finite(valid_loss, "language model's validation loss")
    metrics = {"perplexity": float(np.exp(valid_loss)), "accuracy": accuracy}
    return epoch_record(epoch, began, trained, valid_loss, metrics)
