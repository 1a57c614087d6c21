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
    models = nn.ModuleList(run.model for run in runs)
    saved = load_checkpoint(checkpoint) if checkpoint else None
    records = saved[1] if saved else []
    if saved:
        restore_model(models, saved[0])
    for record in records:
        report(record)
    for epoch in _epochs(stages)[len(records) :]:
        if epoch.k == 0 or saved:
            for run in runs:
                run.start_stage(epoch.stage)
        if epoch.k > 0 and saved:
            restore_optimisers([run.optimiser for run in runs], saved[0])
        saved = None
        record = train_epoch(epoch)
        records.append(record)
        if checkpoint and epoch.number < epoch.total:
            save_checkpoint(checkpoint, models, [run.optimiser for run in runs], records)
        report(record)
    return records


def _epochs(stages: Sequence[Stage]) -> list[Epoch]:
    places = [(stage, k) for stage in stages for k in range(stage.epochs)]
    return [Epoch(stage, k, i, len(places)) for i, (stage, k) in enumerate(places, start=1)]
