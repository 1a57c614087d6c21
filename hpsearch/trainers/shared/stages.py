"""A training in stages, epoch by epoch, that goes on where it was interrupted."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import nn

from hpsearch.trainers.contract import EpochRecord, TrialSetup
from hpsearch.trainers.shared.checkpoint import (
    load_checkpoint,
    restore_model,
    restore_optimisers,
    save_checkpoint,
)
from hpsearch.trainers.step.gradients import check_finite
from hpsearch.trainers.step.optimiser import Optimiser


@dataclass(frozen=True)
class Stage:
    """A part of a training with one cycle and one set of thawed layer groups.

    Groups before index `freeze_to` (negative: from the end) learn nothing; `lrs` is the highest
    learning rate of each group, 0 where it is frozen.
    """

    name: str
    freeze_to: int
    lrs: tuple[float, ...]
    epochs: int


@dataclass(frozen=True)
class Epoch:
    """Where a training is: in epoch `number` of `total`, the `k`-th of its stage, k from 0."""

    stage: Stage
    k: int
    number: int
    total: int


Trained = tuple[float, tuple[float, ...]]
"""What an epoch of training gave: the mean loss, and the highest rate of each parameter group."""


def epoch_record(
    epoch: Epoch,
    began: float,
    trained: Trained,
    valid_loss: float,
    metrics: Mapping[str, float],
) -> EpochRecord:
    """The record of an epoch that has just ended.

    Args:
        began: What `time.perf_counter()` was when the epoch began.
        trained: The mean training loss, and the highest rate of each parameter group.
        valid_loss: The mean loss on the held-out data.

    Raises:
        DivergedError: A loss is infinite or not a number.
    """
    train_loss, lrs = trained
    return EpochRecord(
        stage=epoch.stage.name,
        epoch=epoch.number,
        epochs=epoch.total,
        train_loss=check_finite(train_loss, "training loss"),
        valid_loss=check_finite(valid_loss, "validation loss"),
        metrics=metrics,
        lrs=lrs,
        seconds=time.perf_counter() - began,
    )


class Fit(Protocol):
    """One model in training."""

    @property
    def model(self) -> nn.Module:
        """What is trained."""

    @property
    def optimiser(self) -> Optimiser:
        """That of the stage begun last."""

    def start_stage(self, stage: Stage) -> None:
        """Thaw the stage's groups and begin with a new optimiser."""


def train_stages(
    fits: Sequence[Fit],
    stages: Sequence[Stage],
    train_epoch: Callable[[Epoch], EpochRecord],
    setup: TrialSetup,
) -> list[EpochRecord]:
    """Train the models of `fits`, side by side, through all epochs of all stages.

    `setup.report` hears of each epoch. With a folder `setup.checkpoint`, a training that was
    interrupted continues after the last epoch that it finished; `setup.report` then hears of the
    epochs before it, too.
    """
    training = Training(fits, stages, setup)
    while (epoch := training.next_epoch()) is not None:
        training.end(epoch, train_epoch(epoch))
    return training.records


class Training:
    """A training of `train_stages` for a caller with a loop of its own over the epochs."""

    def __init__(self, fits: Sequence[Fit], stages: Sequence[Stage], setup: TrialSetup) -> None:
        self._fits, self._report, self._checkpoint = fits, setup.report, setup.checkpoint
        self._models = nn.ModuleList(fit.model for fit in fits)
        self._epochs = _epochs(stages)
        self._saved = load_checkpoint(setup.checkpoint) if setup.checkpoint else None
        self.records: list[EpochRecord] = self._saved[1] if self._saved else []
        if self._saved:
            restore_model(self._models, self._saved[0])
        for record in self.records:
            setup.report(record)

    def next_epoch(self) -> Epoch | None:
        """The epoch to train now, its stage begun; None after the last."""
        if len(self.records) == len(self._epochs):
            return None
        epoch, saved = self._epochs[len(self.records)], self._saved
        if epoch.k == 0 or saved:
            for fit in self._fits:
                fit.start_stage(epoch.stage)
        if epoch.k > 0 and saved:
            restore_optimisers([fit.optimiser for fit in self._fits], saved[0])
        self._saved = None
        return epoch

    def end(self, epoch: Epoch, record: EpochRecord) -> None:
        """Keep and report what the epoch came to."""
        self.records.append(record)
        if self._checkpoint and epoch.number < epoch.total:
            optimisers = [fit.optimiser for fit in self._fits]
            save_checkpoint(self._checkpoint, self._models, optimisers, self.records)
        self._report(record)


def _epochs(stages: Sequence[Stage]) -> list[Epoch]:
    places = [(stage, k) for stage in stages for k in range(stage.epochs)]
    return [Epoch(stage, k, i, len(places)) for i, (stage, k) in enumerate(places, start=1)]
