"""How many trials share a GPU, and what a trial's seconds are where it shared one.

The answer is looked for with the run's own trials: workers are added while the work that all of
them get done together grows, and memory allows it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hpsearch.errors import HpsearchError
from hpsearch.trainers.contract import TrainResult

LEVELS = (1, 2, 4, 6, 8, 12, 16)
"""Workers on one GPU that are tried."""
MOST = LEVELS[-1]
WORTH = 1.08
"""A level stays only if it gets that many times the work of the one before done."""
SETTLE_S = 3.0
"""What workers do just after one more began is not looked at."""
ENOUGH_EPOCHS = 60
"""A level is measured over so many ends of epochs ..."""
FEWEST_EPOCHS, LONG_S = 12, 120.0
"""... or after so long over at least so many."""
CONTEXT = 600 << 20
"""Bytes that a process takes of a GPU beside what torch allocates: kernels, libraries."""
MARGIN = 1.1
"""Of a trial's peak memory: the next trial may be larger."""
GPU_SHARED = "companions"
"""The kind of event that says how many trials share a GPU, for people."""
MEMORY = "gpu-memory"
"""The kind of event that says what a trial took of a GPU: a `Memory` as JSON."""
EXIT_GPU_FULL = 75
"""How a worker's process ends that left because its GPU has too little memory for all."""


@dataclass(frozen=True)
class Memory:
    """A trial took `peak` bytes of a GPU, of so many that were `available` to its worker."""

    peak: float
    available: float


class GpuFullError(HpsearchError):
    """A trial ran out of memory on a GPU that it shares: the trial is to be put back, and the
    worker to leave the others more room."""


class HillClimb:
    """The search for the number of workers on one GPU, `level`.

    It is told how many epochs have ended (`observe`), and never asks a clock or a store itself.
    `rates` holds the epochs a second at each level that was measured.
    """

    def __init__(self) -> None:
        self.level = LEVELS[0]
        self.settled = False
        self.rates: dict[int, float] = {}
        self._most = MOST
        self._best = self.level
        self._since: float | None = None
        self._first: tuple[float, float] | None = None
        self._last: tuple[float, float] | None = None

    def observe(self, now: float, epochs: float, workers: int) -> None:
        """`epochs` have ended by `now`, seconds of any clock; so many `workers` have a trial."""
        if self.settled:
            return
        if self._since is None:
            if workers < self.level:  # they are still starting
                return
            # All workers have started. From now on a worker without a trial is between two trials.
            self._since, self._first, self._last = now, None, (now, epochs)
            return
        assert self._last is not None
        if now - self._since < SETTLE_S:
            self._last = (now, epochs)
            return
        if epochs > self._last[1]:
            # The measured time begins and ends where an epoch ends: it holds no half epoch.
            self._first, self._last = self._first or (now, epochs), (now, epochs)
            self._judge()

    def _judge(self) -> None:
        assert self._first is not None
        assert self._last is not None
        took, done = (self._last[i] - self._first[i] for i in range(2))
        if done < ENOUGH_EPOCHS and (took < LONG_S or done < FEWEST_EPOCHS):
            return
        self.rates[self.level] = done / took
        if self.level == self._best or self.rates[self.level] > WORTH * self.rates[self._best]:
            self._best = self.level
            self._try(next((n for n in LEVELS if n > self.level), self.level))
        else:
            self._settle(self._best)

    def _try(self, level: int) -> None:
        """Go on with a higher level, or settle where there is room for none."""
        level = min(level, self._most)
        if level <= self.level:
            self._settle(self.level)
        else:
            self.level, self._since = level, None

    def _settle(self, level: int) -> None:
        self.level, self.settled = level, True

    def limit(self, most: int) -> None:
        """Allow at most `most` workers from now on, because the GPU has no memory for more."""
        self._most = max(1, min(self._most, most))
        if self.level > self._most:
            self._settle(self._most)

    @property
    def gain(self) -> float:
        """How many times the work of one worker all of them get done."""
        return self._rate(self.level) / self.rates[1] if 1 in self.rates else 1.0

    def slowdowns(self) -> dict[int, float]:
        """How many times longer than alone a trial takes at each level. A level that was not
        measured counts as no faster than the best level below it."""
        if 1 not in self.rates:
            return {1: 1.0}
        known = {n: n * self.rates[1] / self._rate(n) for n in {*self.rates, self.level}}
        return {n: max(1.0, one) for n, one in known.items()}

    def _rate(self, level: int) -> float:
        below = [rate for n, rate in self.rates.items() if n <= level]
        return self.rates.get(level, max(below, default=0.0))


def room(available: float, peak: float) -> int:
    """How many workers fit into so many bytes of a GPU, where a trial takes `peak` at most."""
    return max(1, int(0.95 * available / (MARGIN * peak + CONTEXT)))


@dataclass
class GpuSharing:
    """What a worker knows of the other workers on its GPU. Its parent process sends it.

    `slowdowns` says how many times longer a trial takes beside so many workers. With it the worker
    computes the seconds that a trial would have taken alone. The run measures slowdowns only where
    it chooses the number of workers itself. A worker that shall `leave` takes no further trial.
    """

    clock: Callable[[], float] = time.monotonic
    slowdowns: Mapping[int, float] = field(default_factory=dict)
    leave: bool = False
    peak: int = 0
    _since: list[tuple[float, int]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, told: Mapping[str, Any]) -> None:
        """Take in a line of JSON that the parent wrote."""
        if told.get("leave"):
            self.leave = True
        if "workers" in told:
            self.update(told["workers"], {int(n): one for n, one in told["slowdowns"].items()})

    def update(self, workers: int, slowdowns: Mapping[int, float]) -> None:
        """Note that from now on so many workers train on the GPU, this one included."""
        with self._lock:
            self.slowdowns = slowdowns
            if not self._since or self._since[-1][1] != workers:
                self._since.append((self.clock(), workers))

    @property
    def is_shared(self) -> bool:
        """Whether others take memory that a trial alone would have."""
        return bool(self._since) and self._since[-1][1] > 1

    def as_if_alone(self, result: TrainResult) -> TrainResult:
        """The result of a trial that ends now, with the seconds that it would have taken alone. The
        seconds by the clock become the fact `wall_seconds`."""
        wall = float(result.facts.get("wall_seconds", result.seconds))
        share = self._share(wall)
        if share == 1.0:
            return result
        facts = {**result.facts, "wall_seconds": wall}
        return replace(result, seconds=result.seconds * share, facts=facts)

    def _share(self, wall: float) -> float:
        """The part of the last `wall` seconds that work alone would have taken."""
        with self._lock:
            now = self.clock()
            begins = now - wall
            if wall <= 0 or not self._since:
                return 1.0
            ends = [at for at, _ in self._since[1:]] + [now]
            own = max(0.0, min(self._since[0][0], now) - begins)  # before anybody told
            for (began, workers), end in zip(self._since, ends, strict=True):
                lasted = max(0.0, end - max(began, begins))
                own += lasted / self.slowdowns.get(workers, 1.0)
            return min(1.0, own / wall)
