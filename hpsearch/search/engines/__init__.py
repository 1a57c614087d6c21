"""Where a run's workers live: this process, processes of this machine, or a Ray cluster."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hpsearch.errors import InputError
from hpsearch.search.engines.local import run_processes
from hpsearch.search.worker import work

if TYPE_CHECKING:
    from hpsearch.search.job import Job
    from hpsearch.search.stopping import Stopper
    from hpsearch.store import Store
    from hpsearch.training.contract import Prepared, Trainer

ENGINES = ("local",)
MOST_WORKERS = 1_000


@dataclass(frozen=True)
class Crew:
    """The workers of a run: how many, and the devices that they take in turn."""

    workers: int
    devices: tuple[str, ...]
    engine: str = "local"

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= MOST_WORKERS:
            raise InputError(
                f"--workers {self.workers} is not possible: "
                f"give a whole number from 1 to {MOST_WORKERS}."
            )
        if self.engine not in ENGINES:
            raise InputError(
                f"--engine {self.engine} is not known: choose one of {', '.join(ENGINES)}."
            )

    def work(
        self,
        job: Job,
        store: Store,
        study_id: int,
        trainer: Trainer,
        prepared: Prepared,
        stop: Stopper,
    ) -> None:
        """Let all workers work on the job until nothing is left to do."""
        if self.workers == 1:
            work(replace(job, device=self.devices[0]), store, trainer, prepared, stop)
        else:
            run_processes(job, store, study_id, self.workers, self.devices)
