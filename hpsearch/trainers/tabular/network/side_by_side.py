"""Trials on one table side by side, in one stack as long as they last."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from hpsearch.trainers.contract import EpochRecord, TrainResult
from hpsearch.trainers.shared.stages import Epoch, Trained, Training
from hpsearch.trainers.tabular.network.fit import TabularFit, train_epochs

MOST_WEIGHTS = 1_000_000
"""In a stack. Networks that are larger together no longer fit the processor's caches, and their
arithmetic outweighs what calls cost."""

Measure = Callable[[TabularFit, Epoch, float, Trained], EpochRecord]
"""measure(fit, epoch, when it began, what training gave) -> the record of the epoch."""


@dataclass
class SideBySide:
    """One of the trials that train side by side; `place` is its index among all of them.

    `own` counts the trial's seconds: its equal share of the time in which the trials trained
    together, and the whole time of the work for this trial alone.
    """

    place: int
    fit: TabularFit
    training: Training
    began: float = field(default_factory=time.perf_counter)
    own: float = 0.0

    @property
    def result(self) -> TrainResult:
        """The result of the trial; it exists after the last epoch."""
        records = self.training.records
        facts = {"wall_seconds": time.perf_counter() - self.began}
        return TrainResult(records[-1].metrics, len(records), self.own, facts)


def groups(trials: Sequence[SideBySide]) -> list[list[SideBySide]]:
    """Divide the trials into groups. Each group can train as one stack.

    The trials of a group have the same batch size, number of hidden layers, range of outputs and
    weights of classes.
    Together they have at most MOST_WEIGHTS weights; a larger trial is a group of its own.
    """

    def kind(trial: SideBySide) -> str:
        model, sizes = trial.fit.model, trial.fit.model.sizes
        # A layer of width 1 makes a product with a vector. If the vector lies between the columns
        # of other networks, it may be rounded differently. So such a trial is a group of its own.
        alone = trial.place if 1 in (sizes.n_in, *sizes.layers) else None
        config = trial.fit.config
        alike = config.bs, len(sizes.layers), model.y_range, config.class_weights
        return repr((*alike, alone))

    found: list[list[SideBySide]] = []
    for _, alike in groupby(sorted(trials, key=kind), kind):
        total = MOST_WEIGHTS
        for trial in alike:
            size = trial.fit.model.weights.numel()
            if total + size > MOST_WEIGHTS:
                found.append([])
                total = 0
            found[-1].append(trial)
            total += size
    return found


def train_group(
    group: Sequence[SideBySide], measure: Measure
) -> Iterator[tuple[int, TrainResult | Exception]]:
    """Train a group as one stack; yield (place, result or error) of each trial when it ends.

    The other trials of the group then go on training.
    """
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
    """Train each trial for one epoch; yield (trial, None), or (trial, the error that ended it)."""
    began = time.perf_counter()
    if not trials:
        return
    trained = train_epochs(
        [trial.fit for trial, _ in trials], [epoch for _, epoch in trials], lambda done, total: None
    )
    share = (time.perf_counter() - began) / len(trials)
    for (trial, epoch), given in zip(trials, trained, strict=True):
        own_began = time.perf_counter()
        try:
            trial.training.end(epoch, measure(trial.fit, epoch, began, given))
        except Exception as error:
            yield trial, error
        else:
            trial.own += share + time.perf_counter() - own_began
            yield trial, None
