"""Trials on one table side by side, in one stack as long as they last."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from hpsearch.tabular.run import TabularRun, train_epochs
from hpsearch.training.contract import EpochRecord, TrainResult
from hpsearch.training.stages import Epoch, Training

MOST_WEIGHTS = 1_000_000
"""In a stack. Networks that are larger together no longer fit the processor's caches, and their
arithmetic outweighs what calls cost."""

Measure = Callable[[TabularRun, Epoch, float, tuple[float, ...], float], EpochRecord]
"""(run, epoch, mean loss, rates, when the epoch began) -> its record."""


@dataclass
class SideBySide:
    """One of the trials: its `place` among them all."""

    place: int
    run: TabularRun
    training: Training
    began: float = field(default_factory=time.perf_counter)

    @property
    def result(self) -> TrainResult:
        """Once it is through."""
        records = self.training.records
        return TrainResult(records[-1].metrics, len(records), time.perf_counter() - self.began)


def groups(trials: Sequence[SideBySide]) -> list[list[SideBySide]]:
    """The trials that can be one stack: of one batch size, depth and range of outputs, and of no
    more weights than MOST_WEIGHTS."""

    def kind(trial: SideBySide) -> str:
        model, sizes = trial.run.model, trial.run.model.sizes
        # A product with a vector may round otherwise where that lies among others' columns.
        alone = trial.place if 1 in (sizes.n_in, *sizes.layers) else None
        return repr((trial.run.config.bs, len(sizes.layers), model.y_range, alone))

    found: list[list[SideBySide]] = []
    for _, alike in groupby(sorted(trials, key=kind), kind):
        total = MOST_WEIGHTS
        for trial in alike:
            size = trial.run.model.weights.numel()
            if total + size > MOST_WEIGHTS:
                found.append([])
                total = 0
            found[-1].append(trial)
            total += size
    return found


def train_group(
    group: Sequence[SideBySide], measure: Measure
) -> Iterator[tuple[int, TrainResult | Exception]]:
    """The place and the end of each trial of one stack, which the others do not wait for."""
    left = list(group)
    while left:
        epochs = [trial.training.next_epoch() for trial in left]
        for trial, epoch in zip(left, epochs, strict=True):
            if epoch is None:
                yield trial.place, trial.result
        both = [(one, epoch) for one, epoch in zip(left, epochs, strict=True) if epoch is not None]
        left = []
        for trial, outcome in _epoch(both, measure):
            if outcome is None:
                left.append(trial)
            else:
                yield trial.place, outcome


def _epoch(
    trials: Sequence[tuple[SideBySide, Epoch]], measure: Measure
) -> Iterator[tuple[SideBySide, Exception | None]]:
    """Train an epoch of each trial; None, or what ended it."""
    began = time.perf_counter()
    if not trials:
        return
    trained = train_epochs(
        [trial.run for trial, _ in trials], [epoch for _, epoch in trials], lambda done, total: None
    )
    for (trial, epoch), (loss, lrs) in zip(trials, trained, strict=True):
        try:
            trial.training.end(epoch, measure(trial.run, epoch, loss, lrs, began))
        except Exception as error:
            yield trial, error
        else:
            yield trial, None
