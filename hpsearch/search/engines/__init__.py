"""Where a run's workers live: this process, processes of this machine, or a Ray cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hpsearch.core import own_code
from hpsearch.core.environment import default_device
from hpsearch.errors import InputError
from hpsearch.search.engines import devices as local_devices
from hpsearch.search.engines import mps
from hpsearch.search.engines.local import WorkerProcesses, prestarted
from hpsearch.search.engines.worker_growth import Growth
from hpsearch.search.processes import Process
from hpsearch.search.worker.loop import work

if TYPE_CHECKING:
    from hpsearch.search.worker.workload import Workload
    from hpsearch.store.queue.fence import StudyRef

ENGINES = ("local", "ray")
MOST_WORKERS = 1_000


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster, and what a worker takes of it; `gpus` None: one, if the cluster has any."""

    address: str = "auto"
    cpus: float = 1.0
    gpus: float | None = None


@dataclass(frozen=True)
class Workers:
    """The workers that a command asks for.

    `count` None means as many as there are `devices` (default: all GPUs), cores, or places in the
    `cluster`. Only the engine "ray" takes a cluster.
    """

    count: int | None = 1
    devices: Sequence[str] | None = None
    engine: str = "local"
    cluster: Cluster | None = None


def able_to_run(asked: Workers, trainer: str) -> Workers:
    """The workers that were asked for, if they can import the trainer. One's own function may be in
    this process alone: this process is the worker then. Raises InputError where others are asked
    for."""
    reason = own_code.why_held(trainer)
    if reason is None:
        return asked
    if asked.engine != "local" or asked.count not in (None, 1):
        raise InputError(
            f"Worker processes cannot import {trainer} ({reason}): put it into a module of "
            "its own, or run it in this process with workers=1."
        )
    return replace(asked, count=1)


@dataclass(frozen=True)
class WorkerPool:
    """The workers that a run gets: how many, and the devices that they take in turn.

    With a `cluster` the workers are its tasks. `on_cpu` is the pool on the processor that may turn
    out to be faster than the GPU; None where that is decided. `choice` is the key under which the
    speeds of both were stored. A pool that `grows` begins with one worker on each GPU and finds
    out how many more trials can share it.
    """

    workers: int
    devices: tuple[str, ...]
    cluster: Cluster | None = None
    on_cpu: WorkerPool | None = None
    grows: bool = False
    choice: Mapping[str, Any] | None = None

    @property
    def engine(self) -> str:
        return "local" if self.cluster is None else "ray"

    @property
    def prepares_on(self) -> str:
        """The device of this machine for what is prepared once for all workers."""
        return self.devices[0] if self.cluster is None else default_device()

    @property
    def shares(self) -> bool:
        """Whether several processes may train on one GPU."""
        on_gpu = self.cluster is None and self.devices[0].startswith("cuda")
        return on_gpu and (self.grows or self.workers > len(self.devices))

    def prestarted(self) -> AbstractContextManager[list[Process]]:
        """Start the worker processes of this machine while the data is prepared, where their number
        is known: see `local.prestarted`."""
        alone = self.cluster is not None or self.workers == 1 or self.on_cpu or self.shares
        return prestarted(0 if alone else self.workers)

    def work(
        self, workload: Workload, study: StudyRef, prestarted: list[Process] | None = None
    ) -> None:
        """Let all workers run the trials of the workload until none is left; the processes that are
        `prestarted` come first."""
        if self.cluster is not None:
            from hpsearch.search.engines.ray import run_on_ray

            run_on_ray(workload, study, self.workers, self.cluster)
        elif self.workers == 1 and not self.grows:
            work(
                replace(workload, job=replace(workload.job, device=self.devices[0], measures=True))
            )
        else:
            with mps.served(self.shares) as environment:
                growth = self._growth(workload, study, with_mps=bool(environment))
                processes = WorkerProcesses(
                    workload, study, self.devices, prestarted or [], growth, environment
                )
                processes.run(self.workers)

    def _growth(self, workload: Workload, study: StudyRef, *, with_mps: bool) -> Growth | None:
        if not self.grows or workload.job.run_id is None:
            return None

        def remember(workers: int, gain: float) -> None:
            from hpsearch.search.speed.device_choice import note_gain  # it imports this module

            if self.choice is not None:
                note_gain(self.choice, self.devices[0], gain)

        gpus = len(self.devices)
        return Growth(workload.store, workload.job.run_id, study, gpus, with_mps, remember)


def choose_pool(asked: Workers, trials: int) -> WorkerPool:
    """The pool for the workers that were asked for, with no more of them than `trials` unless their
    number was given. Raises InputError for what is not possible."""
    count, devices, engine, cluster = asked.count, asked.devices, asked.engine, asked.cluster
    if count is not None and not 1 <= count <= MOST_WORKERS:
        raise InputError(
            f"--workers {count} is not possible: give a whole number from 1 to {MOST_WORKERS}."
        )
    if engine not in ENGINES:
        raise InputError(f"--engine {engine} is not known: choose one of {', '.join(ENGINES)}.")
    if engine == "local":
        if cluster is not None:
            raise InputError("--address, --worker-cpus and --worker-gpus go with --engine ray.")
        return _local_pool(count, devices, trials)
    if devices:
        raise InputError("--devices does not go with --engine ray, which gives workers their GPU.")
    from hpsearch.search.engines.ray import room

    fits, found = room(cluster or Cluster())
    return WorkerPool(count or min(fits, trials), ("cuda",) if found.gpus else ("cpu",), found)


def _local_pool(count: int | None, devices: Sequence[str] | None, trials: int) -> WorkerPool:
    workers, chosen = local_devices.choose(count, devices, trials)
    grows = count is None and chosen[0].startswith("cuda")
    if not local_devices.are_open(devices):
        return WorkerPool(workers, chosen, grows=grows)
    on_cpu = WorkerPool(*local_devices.choose(count, ("cpu",), trials))
    return WorkerPool(workers, chosen, on_cpu=on_cpu, grows=grows)
