"""A training in stages, epoch by epoch, that goes on where it was interrupted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import nn

from hpsearch.training.checkpoint import (
    load_checkpoint,
    restore_model,
    restore_optimisers,
    save_checkpoint,
)
from hpsearch.training.contract import EpochRecord, Report
from hpsearch.training.optimiser import Optimiser


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


class Run(Protocol):
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
    runs: Sequence[Run],
    stages: Sequence[Stage],
    train_epoch: Callable[[Epoch], EpochRecord],
    *,
    report: Report,
    checkpoint: Path | None,
) -> list[EpochRecord]:
    """Train the runs, side by side, through all epochs of all stages; `report` hears of each.

    With a `checkpoint` folder, a training that was interrupted goes on after the last epoch that
    it finished there; `report` hears of the epochs before it too.
    """
    training = Training(runs, stages, report, checkpoint)
    while (epoch := training.next_epoch()) is not None:
        training.end(epoch, train_epoch(epoch))
    return training.records


class Training:
    """A training of `train_stages`, for who goes through its epochs himself."""

    def __init__(
        self, runs: Sequence[Run], stages: Sequence[Stage], report: Report, checkpoint: Path | None
    ) -> None:
        self._runs, self._report, self._checkpoint = runs, report, checkpoint
        self._models = nn.ModuleList(run.model for run in runs)
        self._epochs = _epochs(stages)
        self._saved = load_checkpoint(checkpoint) if checkpoint else None
        self.records: list[EpochRecord] = self._saved[1] if self._saved else []
        if self._saved:
            restore_model(self._models, self._saved[0])
        for record in self.records:
            report(record)

    def next_epoch(self) -> Epoch | None:
        """The epoch to train now, its stage begun; None after the last."""
        if len(self.records) == len(self._epochs):
            return None
        epoch, saved = self._epochs[len(self.records)], self._saved
        if epoch.k == 0 or saved:
            for run in self._runs:
                run.start_stage(epoch.stage)
        if epoch.k > 0 and saved:
            restore_optimisers([run.optimiser for run in self._runs], saved[0])
        self._saved = None
        return epoch

    def end(self, epoch: Epoch, record: EpochRecord) -> None:
        """Keep and report what the epoch came to."""
        self.records.append(record)
        if self._checkpoint and epoch.number < epoch.total:
            optimisers = [run.optimiser for run in self._runs]
            save_checkpoint(self._checkpoint, self._models, optimisers, self.records)
        self._report(record)


def _epochs(stages: Sequence[Stage]) -> list[Epoch]:
    places = [(stage, k) for stage in stages for k in range(stage.epochs)]
    return [Epoch(stage, k, i, len(places)) for i, (stage, k) in enumerate(places, start=1)]
