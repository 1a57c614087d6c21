"""The workers of a run that finds out by itself how many of them share a GPU."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from optuna.trial import TrialState

from hpsearch.search.speed import estimate as speeds
from hpsearch.search.speed.gpu_sharing import GPU_SHARED, MEMORY, HillClimb, Memory, room
from hpsearch.store import Store, summaries
from hpsearch.store.queue import runs
from hpsearch.store.queue.fence import StudyRef
from hpsearch.store.queue.progress import count_epochs, latest_value, running_workers

LOOK_S = 1.0


@dataclass
class Growth:
    """Looks at the run in the store now and then, and says how many workers there should be.

    `settled` is told the number on each GPU and its gain, once.
    """

    store: Store
    run_id: int
    study: StudyRef
    gpus: int
    with_mps: bool = False
    settled: Callable[[int, float], None] = lambda workers, gain: None
    climb: HillClimb = field(default_factory=HillClimb)
    _looked: float = -LOOK_S
    _told: bool = False
    _available: float = 0.0
    _peak: float = 0.0

    def look(self, workers: int) -> int:
        """How many workers there should be, if there are `workers` now."""
        now = time.monotonic()
        if now - self._looked < LOOK_S:
            return workers
        self._looked = now
        counts = self.store.retry(self._counts)
        waiting = counts.get(TrialState.WAITING, 0)
        if not self.climb.settled:
            self._observe(now)
        wanted = self.climb.level * self.gpus
        self._tell()
        return min(wanted, workers + waiting) if wanted > workers else wanted

    def lower(self, workers: int) -> None:
        """Allow no more workers than `workers`: another worker ran out of memory and left."""
        self.climb.limit(max(1, workers // self.gpus))

    def _counts(self) -> Any:  # noqa: ANN401
        return summaries.states(self.store.engine, self.study.study_id, self.run_id)

    def _observe(self, now: float) -> None:
        engine, run_id = self.store.engine, self.run_id
        epochs = self.store.retry(count_epochs, engine, run_id)
        busy = self.store.retry(running_workers, engine, run_id)
        memory = self.store.retry(latest_value, engine, run_id, MEMORY, Memory)
        if memory is not None:
            # The first record says how much memory one worker had alone. Later workers see less
            # free memory. Of their records only a larger peak counts.
            self._available = self._available or memory.available
            self._peak = max(self._peak, memory.peak)
            self.climb.limit(room(self._available, self._peak))
        # All GPUs have the same number of workers, so the climb observes the mean of the GPUs.
        self.climb.observe(now, epochs / self.gpus, busy // self.gpus)

    def _tell(self) -> None:
        """Note what was found, once."""
        climb = self.climb
        if not climb.settled or self._told:
            return
        self._told = True
        self.settled(climb.level, climb.gain)
        engine, run_id = self.store.engine, self.run_id
        self.store.retry(runs.set_workers, engine, self.study, run_id, climb.level * self.gpus)
        self.store.record_event(GPU_SHARED, self.sentence(), study=self.study, run_id=run_id)

    def sentence(self) -> str:
        """'4 trials share a GPU, with MPS: 1,234 rows/s (1: 400, 2: 720, 4: 1,234, 6: 1,250)'."""
        climb, estimate = self.climb, speeds.read_estimate(self.store, self.run_id)
        per_epoch, unit = (estimate.per_epoch, estimate.unit) if estimate else (1.0, "epochs")
        rates = {n: rate * per_epoch for n, rate in sorted(climb.rates.items())}
        text = "1 trial has a GPU" if climb.level == 1 else f"{climb.level} trials share a GPU"
        if self.with_mps:
            text += ", with MPS"
        if climb.level in rates:
            text += f": {speeds.per_second(rates[climb.level], unit)}"
        each = ", ".join(f"{n}: {speeds.rate_text(rate)}" for n, rate in rates.items())
        return text + (f" ({each})" if each else "")
