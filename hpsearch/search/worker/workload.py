"""What a worker is given: the job, the open store, the trainer and the data that it prepared."""

from __future__ import annotations

from dataclasses import dataclass

from hpsearch.search.job import Job
from hpsearch.search.worker.signals import Stopper
from hpsearch.store import Store
from hpsearch.trainers.contract import Prepared, Trainer


@dataclass(frozen=True)
class Workload:
    """A run's job, with all that this process has for it. The `stop` ends a training."""

    job: Job
    store: Store
    trainer: Trainer
    prepared: Prepared
    stop: Stopper
