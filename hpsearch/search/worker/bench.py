"""What a worker uses while it runs trials, and the error for a store that stays out of reach."""

from __future__ import annotations

from dataclasses import dataclass, field

import optuna
import sqlalchemy as sa

from hpsearch.core.database_urls import database_problem
from hpsearch.errors import HpsearchError
from hpsearch.search.job import Job
from hpsearch.search.speed.gpu_sharing import GpuSharing
from hpsearch.search.worker.limits import Guard
from hpsearch.search.worker.signals import Stopper
from hpsearch.store import Store
from hpsearch.store.queue.fence import StudyRef
from hpsearch.store.queue.processes import Worker
from hpsearch.store.server.retry import is_transient
from hpsearch.store.trials.worker_storage import WorkerStorage
from hpsearch.trainers.contract import Prepared, Trainer

STORE_ERRORS = (sa.exc.DBAPIError, optuna.exceptions.StorageInternalError)
"""The errors of a database that stays out of reach."""


class StoreLostError(HpsearchError):
    """The database stayed out of reach for longer than anybody waits."""


@dataclass
class Bench:
    """All that one worker uses to run its trials: job, open store, trainer and prepared data."""

    job: Job
    store: Store
    storage: WorkerStorage
    ref: StudyRef
    study: optuna.Study
    trainer: Trainer
    prepared: Prepared
    worker: Worker
    stop: Stopper
    guard: Guard
    sharing: GpuSharing = field(default_factory=GpuSharing)

    def note(self, kind: str, message: str, trial_id: int | None = None) -> None:
        """Write an event of this worker down."""
        self.store.record_event(
            kind,
            message,
            study=self.ref,
            trial_id=trial_id,
            run_id=self.job.run_id,
            worker=self.worker.name,
        )


def store_lost(store: Store, error: BaseException) -> StoreLostError:
    """The error to raise where the store did not come back while it was retried."""
    waited = f", for {store.retry_s:.0f} s by now" if is_transient(error) else ""
    store.retry_s = 0.0  # what is still to be written on the way out need not wait again
    return StoreLostError(
        f"The store {store.shown_url} {database_problem(error, store.url)}{waited}; "
        "no finished trial is lost: mend it, then run the same command again."
    )
