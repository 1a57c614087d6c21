"""Where a run's workers live: this process, processes of this machine, or a Ray cluster."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hpsearch.errors import InputError
from hpsearch.search import devices as local_devices
from hpsearch.search.circumstances import default_device
from hpsearch.search.engines.local import Process, hired, run_processes
from hpsearch.search.worker import work

if TYPE_CHECKING:
    from hpsearch.search.job import Job
    from hpsearch.search.stopping import Stopper
    from hpsearch.store import Store
    from hpsearch.training.contract import Prepared, Trainer

ENGINES = ("local", "ray")
MOST_WORKERS = 1_000


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster, and what a worker takes of it; `gpus` None: one, if the cluster has any."""

    address: str = "auto"
    cpus: float = 1.0
    gpus: float | None = None


@dataclass(frozen=True)
class Crew:
    """The workers of a run: how many, and the devices that they take in turn; with a `cluster`
    they are its tasks."""

    workers: int
    devices: tuple[str, ...]
    cluster: Cluster | None = None

    @property
    def engine(self) -> str:
        return "local" if self.cluster is None else "ray"

    @property
    def prepares_on(self) -> str:
        """The device of this machine for what is prepared once for all workers."""
        return self.devices[0] if self.cluster is None else default_device()

    def hired(self) -> AbstractContextManager[list[Process]]:
        """Processes of this machine that start while the data is prepared for them, if there are to
        be any: see `local.hired`."""
        alone = self.cluster is not None or self.workers == 1
        return hired(0 if alone else self.workers)

    def work(
        self,
        job: Job,
        store: Store,
        study_id: int,
        trainer: Trainer,
        prepared: Prepared,
        stop: Stopper,
        waiting: list[Process] | None = None,
    ) -> None:
        """Let all workers work on the job until nothing is left to do; those `waiting` first."""
        if self.cluster is not None:
            from hpsearch.search.engines.ray import run_on_ray

            run_on_ray(job, store, study_id, prepared, self.workers, self.cluster, stop)
        elif self.workers == 1:
            work(replace(job, device=self.devices[0]), store, trainer, prepared, stop)
        else:
            run_processes(job, store, study_id, self.workers, self.devices, waiting or [])


def choose_crew(
    workers: int | None,
    devices: Sequence[str] | None,
    trials: int,
    engine: str = "local",
    cluster: Cluster | None = None,
) -> Crew:
    """The crew as it was asked for; `workers` None: as many as there are GPUs, cores, or places in
    the cluster, but no more than `trials`. Raises InputError for what is not possible."""
    if workers is not None and not 1 <= workers <= MOST_WORKERS:
        raise InputError(
            f"--workers {workers} is not possible: give a whole number from 1 to {MOST_WORKERS}."
        )
    if engine not in ENGINES:
        raise InputError(f"--engine {engine} is not known: choose one of {', '.join(ENGINES)}.")
    if engine == "local":
        if cluster is not None:
            raise InputError("--address, --worker-cpus and --worker-gpus go with --engine ray.")
        return Crew(*local_devices.choose(workers, devices, trials))
    if devices:
        raise InputError("--devices does not go with --engine ray, which gives workers their GPU.")
    from hpsearch.search.engines.ray import room

    fits, found = room(cluster or Cluster())
    return Crew(workers or min(fits, trials), ("cuda",) if found.gpus else ("cpu",), found)
