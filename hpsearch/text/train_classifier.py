"""The trainer of text classifiers: ULMFiT's gradual unfreezing in one explicit epoch loop."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import TypeAdapter
from torch import nn

from hpsearch.errors import HpsearchError
from hpsearch.text.awd_lstm import CLASSIFIER_DROPOUTS, Masks
from hpsearch.text.batches import Documents, by_length, pad_documents, training_order
from hpsearch.text.classifier import TextClassifier
from hpsearch.text.config import ClassifierConfig, parse_moms
from hpsearch.text.language_model import load_language_model
from hpsearch.text.prepare import PreparedTexts, prepare_texts
from hpsearch.training.checkpoint import (
    load_checkpoint,
    restore_model,
    restore_optimiser,
    save_checkpoint,
)
from hpsearch.training.contract import EpochRecord, Progress, Report, Say, TrainResult
from hpsearch.training.device import autocast, resolve_precision
from hpsearch.training.loop import check_finite, optimiser_step
from hpsearch.training.param_groups import discriminative_lrs, freeze_to, make_adam
from hpsearch.training.schedule import OneCycle

_CONFIG = TypeAdapter(ClassifierConfig)


def prepare(
    data: Mapping[str, Any],
    settings: Mapping[str, Any],
    *,
    data_path: Path | None,
    device: str,
    progress: Progress,
    say: Say = lambda _: None,
) -> PreparedTexts:
    """Reviews and language model for the preset's `settings` (see `prepare_texts`)."""
    config = _CONFIG.validate_python(dict(settings))
    return prepare_texts(
        data, config, data_path=data_path, device=device, progress=progress, say=say
    )


@dataclass(frozen=True)
class Stage:
    """A part of the training with one cycle and one set of thawed groups."""

    name: str
    freeze_to: int
    lr: float
    epochs: int


def plan_stages(config: ClassifierConfig, n_groups: int) -> list[Stage]:
    """The lesson's recipe: thaw from the head down at lr, lr/2, lr/4, then all at lr/20, twice as
    long. Without `unfreeze`: one stage of as many epochs with everything thawed."""
    names = ["head"] + [f"rnn{i}" for i in reversed(range(n_groups - 2))]
    partial = [
        Stage(names[k - 1], -k, config.lr / 2 ** (k - 1), config.epochs)
        for k in range(1, min(3, n_groups - 1) + 1)
    ]
    total = config.epochs * (len(partial) + 2)
    if not config.unfreeze:
        return [Stage("all", 0, config.lr, total)]
    return [*partial, Stage("all", 0, config.lr / 20, 2 * config.epochs)]


def train(
    settings: Mapping[str, Any],
    params: Mapping[str, Any],
    data: PreparedTexts,
    *,
    seed: int,
    device: str,
    report: Report,
    checkpoint: Path | None,
) -> TrainResult:
    """Train one classifier on `data`; accuracy on the held-out reviews is reported every epoch.

    Raises DivergedError when a loss is not finite, and whatever `report` raises (a pruned trial).
    """
    started = time.perf_counter()
    config = _CONFIG.validate_python({**settings, **params})
    run = _Run(config, new_classifier(config, data, seed).to(device), data, seed, device)
    saved = load_checkpoint(checkpoint) if checkpoint else None
    records = saved[1] if saved else []
    if saved:
        restore_model(run.model, saved[0])
    for record in records:
        report(record)
    epochs = [(s, k) for s in plan_stages(config, run.n_groups) for k in range(s.epochs)]
    for epoch, (stage, k) in enumerate(epochs, start=1):
        if epoch <= len(records):
            continue
        if k == 0 or run.optimiser is None:
            run.start_stage(stage)
            if k > 0 and saved and run.optimiser is not None:
                restore_optimiser(run.optimiser, saved[0])
        record = run.epoch(epoch, len(epochs), stage, k)
        records.append(record)
        if checkpoint and run.optimiser is not None and epoch < len(epochs):
            save_checkpoint(checkpoint, run.model, run.optimiser, records)
        report(record)
    return TrainResult(records[-1].metrics, len(epochs), time.perf_counter() - started)


@dataclass
class _Run:
    """One trial under way: the model, its optimiser and the rates of the current stage."""

    config: ClassifierConfig
    model: TextClassifier
    data: PreparedTexts
    seed: int
    device: str
    optimiser: torch.optim.Optimizer | None = None
    lrs: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        self.groups = self.model.layer_groups()
        self.n_groups = len(self.groups)
        self.dtype = resolve_precision(self.config.precision, self.device)

    def start_stage(self, stage: Stage) -> None:
        """Thaw the stage's groups; the optimiser starts without memory, as fastai's does."""
        freeze_to(self.groups, stage.freeze_to)
        first = stage.freeze_to % self.n_groups
        lrs = discriminative_lrs(stage.lr, self.config.lr_decay, self.n_groups)
        self.lrs = tuple(lr if i >= first else 0.0 for i, lr in enumerate(lrs))
        self.optimiser = make_adam(self.groups, self.config.wd)

    def epoch(self, epoch: int, epochs: int, stage: Stage, k: int) -> EpochRecord:
        """Train epoch `epoch`, the k-th of its stage, and look at the held-out texts."""
        started = time.perf_counter()
        train_loss, lrs = self._train_epoch(epoch, stage, k)
        probabilities, valid_loss = self._evaluate()
        accuracy = float((probabilities.argmax(1) == self.data.valid_labels).mean())
        return EpochRecord(
            stage=stage.name,
            epoch=epoch,
            epochs=epochs,
            train_loss=check_finite(train_loss, "training loss"),
            valid_loss=check_finite(valid_loss, "validation loss"),
            metrics={"accuracy": accuracy},
            lrs=lrs,
            seconds=time.perf_counter() - started,
        )

    def _train_epoch(self, epoch: int, stage: Stage, k: int) -> tuple[float, tuple[float, ...]]:
        """Mean cross-entropy over the epoch, and the groups' rates at their highest. Order and
        dropout depend on seed and epoch alone, so that a resumed trial goes on as the uninterrupted
        one would."""
        assert self.optimiser is not None
        rng = np.random.default_rng([self.seed, epoch])
        masks = Masks(int(rng.integers(2**62)), torch.device(self.device))
        batches = training_order(self.data.train.lengths, self.config.bs, rng)
        moms = parse_moms(self.config.moms)
        cycle = OneCycle(len(batches) * stage.epochs, self.config.pct_start, moms)
        total = torch.zeros((), device=self.device)
        self.model.train()
        steps = range(k * len(batches), (k + 1) * len(batches))
        for i, which in zip(steps, batches, strict=True):
            tokens, lengths = pad_documents(self.data.train, which)
            labels = torch.from_numpy(self.data.train_labels[which]).to(self.device)
            with autocast(self.device, self.dtype):
                logits, penalty = self.model(tokens.to(self.device), lengths, masks)
            loss = nn.functional.cross_entropy(logits.float(), labels)
            optimiser_step(loss + penalty, self.optimiser, cycle, i, self.lrs)
            total += loss.detach() * len(which)
        highest = cycle.highest(steps)
        return total.item() / len(self.data.train), tuple(lr * highest for lr in self.lrs)

    def _evaluate(self) -> tuple[npt.NDArray[np.float32], float]:
        """Probabilities (texts, classes) of the held-out texts and their mean cross-entropy."""
        probabilities = predict(self.model, self.data.valid, self.device, self.dtype)
        of_truth = probabilities[np.arange(len(probabilities)), self.data.valid_labels]
        return probabilities, float(-np.log(np.maximum(of_truth, 1e-30)).mean())


def new_classifier(config: ClassifierConfig, data: PreparedTexts, seed: int) -> TextClassifier:
    """The language model's encoder with a new head, drawn from `seed`.

    Raises HpsearchError if the encoder's vocabulary is not that of the texts.
    """
    language_model, vocab, _ = load_language_model(data.language_model)
    if vocab.fingerprint != data.vocab.fingerprint:
        raise HpsearchError(
            f"The language model in {data.language_model} knows {len(vocab)} tokens and the texts "
            f"are numbered with {len(data.vocab)} others; train them from the same vocabulary."
        )
    encoder = language_model.encoder
    encoder.drop = CLASSIFIER_DROPOUTS.times(config.drop_mult)
    model = TextClassifier(
        encoder,
        len(data.classes),
        lin_ftrs=config.lin_ftrs,
        drop_mult=config.drop_mult,
        seq_len=config.seq_len,
        max_len=config.max_len,
        alpha=config.alpha,
        beta=config.beta,
    )
    model.head.init_weights(torch.Generator().manual_seed(seed))
    return model


@torch.no_grad()
def predict(
    model: TextClassifier, docs: Documents, device: str, dtype: torch.dtype, bs: int = 64
) -> npt.NDArray[np.float32]:
    """Class probabilities (texts, classes), in the order of the texts."""
    model.eval()
    out = np.zeros((len(docs), model.head.linear2.out_features), dtype=np.float32)
    for which in by_length(docs.lengths, bs):
        tokens, lengths = pad_documents(docs, which)
        with autocast(device, dtype):
            logits, _ = model(tokens.to(device), lengths, None)
        out[which] = torch.softmax(logits.float(), dim=1).cpu().numpy()
    return out
