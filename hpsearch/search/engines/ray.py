"""Workers as tasks of a Ray cluster, on whichever of its nodes has the processors for one.

What was prepared travels as an object of Ray's store, which the workers of a node share without
copies; cached stages that trainings read from disk are written into each node's own cache.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
import uuid
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.trial import TrialState

from hpsearch.core import own_code
from hpsearch.core.database_urls import full_url, parse_url, sqlite_path
from hpsearch.data.cache.stages import install_stage, stage_files
from hpsearch.errors import HpsearchError, InputError
from hpsearch.extras import require
from hpsearch.search.engines.local import RESTARTS, WorkerError
from hpsearch.search.job import Job
from hpsearch.search.processes import LEAVE_S
from hpsearch.search.worker.loop import work
from hpsearch.search.worker.signals import Stopper
from hpsearch.search.worker.workload import Workload
from hpsearch.store import Store, summaries
from hpsearch.store.queue import runs
from hpsearch.store.queue.fence import StudyRef
from hpsearch.store.queue.orphans import requeue_orphans
from hpsearch.store.queue.processes import this_worker
from hpsearch.store.server.retry import retry
from hpsearch.store.tables.optuna_tables import FINISHED
from hpsearch.study.trainers import import_trainer
from hpsearch.trainers.contract import Prepared

if TYPE_CHECKING:
    from types import ModuleType

    from hpsearch.search.engines import Cluster

LOOK_S = 0.5
KNOCK_S = 10.0


def connect(address: str) -> ModuleType:
    """Ray, connected to the cluster at `address` ("auto": the one of this machine).

    Raises InputError if Ray is not installed, or no cluster answers.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    require("ray")
    import ray

    if not ray.is_initialized():
        try:
            _knock(address)
            # Ray puts the current folder first into its workers' module path: none of ours.
            with contextlib.chdir(Path.cwd().anchor):
                ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(
                f"No Ray cluster answers at {address}: start one with `ray start --head`, "
                "or give its --address as HOST:PORT."
            ) from error
    return ray


def _knock(address: str) -> None:
    """Raises OSError or ValueError where nothing listens: Ray itself would try for a minute."""
    if address != "auto":
        host, _, port = address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=KNOCK_S):
            pass


def room(cluster: Cluster) -> tuple[int, Cluster]:
    """(how many workers fit into the cluster, the same with the share of a GPU that each takes).

    Raises InputError if no node has what a single worker takes.
    """
    if cluster.cpus < 0 or (cluster.gpus or 0.0) < 0 or not (cluster.cpus or cluster.gpus):
        raise InputError("--worker-cpus and --worker-gpus cannot be negative, nor both zero.")
    ray = connect(cluster.address)
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if cluster.gpus is None:
        cluster = replace(cluster, gpus=1.0 if any(node.get("GPU") for node in nodes) else 0.0)
    assert cluster.gpus is not None
    wanted = {"CPU": cluster.cpus, "GPU": cluster.gpus}
    fits = sum(
        min(int(node.get(name, 0.0) / amount + 1e-9) for name, amount in wanted.items() if amount)
        for node in nodes
    )
    if not fits:
        cpus, gpus = max((node.get("CPU", 0.0), node.get("GPU", 0.0)) for node in nodes)
        raise InputError(
            f"No node of the Ray cluster has {cluster.cpus:g} CPUs and {cluster.gpus:g} GPUs for "
            f"a worker (the largest has {cpus:g} and {gpus:g}): lower --worker-cpus or "
            "--worker-gpus."
        )
    return fits, cluster


def run_on_ray(workload: Workload, study: StudyRef, workers: int, cluster: Cluster) -> None:
    """Run the workload in so many tasks of the cluster until all have ended.

    A worker that dies, with its node or alone, is recorded. Its trial goes back into the queue, and
    it is started again where there is room, up to RESTARTS times in a row. Raises what
    `WorkerProcesses.run` raises.
    """
    ray = connect(cluster.address)
    job, store, stop = workload.job, workload.store, workload.stop
    path = sqlite_path(store.url)
    if path is not None:  # tasks have another working folder
        url = parse_url(job.storage).set(database=str(path.absolute()))
        job = replace(job, storage=full_url(url))
    trainer, prepared = workload.trainer.__name__, workload.prepared
    stages = {name: stage_files(name) for name in prepared.stages}
    shared = ray.put((trainer, own_code.allowed(), prepared, stages))
    takes = {"num_cpus": cluster.cpus, "num_gpus": cluster.gpus}
    task = ray.remote(**takes, max_retries=0, max_calls=1)(_worker)
    tasks = _Tasks(ray, task, job, store, study, shared, job.ends_at(store))
    try:
        for number in range(workers):
            tasks.start(number, measures=number == 0)
        while tasks.running and not tasks.over():
            with stop.shielded():  # Ray does not bear an exception inside
                ready, _ = ray.wait(list(tasks.running), timeout=LOOK_S)
            for reference in ready:
                tasks.ended(reference)
    finally:
        with stop.shielded():
            tasks.stop()


@dataclass
class _Slot:
    """One worker: its name, how often it died in a row, how many trials were finished before."""

    number: int
    name: str
    deaths: int = 0
    finished: int = 0


@dataclass
class _Tasks:
    """The workers of a run on a cluster."""

    ray: Any
    task: Any
    job: Job
    store: Store
    study: StudyRef
    shared: Any
    ends: float
    running: dict[Any, _Slot] = field(default_factory=dict)

    def start(
        self, number: int, deaths: int = 0, finished: int = 0, *, measures: bool = False
    ) -> None:
        name = f"ray-{number}-{uuid.uuid4().hex[:8]}"
        reference = self.task.remote(
            replace(self.job, measures=measures).to_dict(), self.shared, name
        )
        self.running[reference] = _Slot(number, name, deaths, finished)

    def ended(self, reference: Any) -> None:  # noqa: ANN401
        """Deal with a task that has ended, and start its successor if it is to have one."""
        slot = self.running.pop(reference)
        try:
            answer = self.ray.get(reference)
        except self.ray.exceptions.TaskCancelledError as error:
            raise KeyboardInterrupt from error
        except self.ray.exceptions.RayError as error:
            self._crashed(slot, error)
            return
        if answer.get("interrupted"):  # its node is being taken away
            self.start(slot.number)
        elif "error" in answer:
            raise WorkerError(answer["error"], answer["status"])

    def _crashed(self, slot: _Slot, error: Exception) -> None:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        self.store.record_event(
            "worker-crashed",
            f"worker {slot.name} was lost: {reason}",
            study=self.study,
            run_id=self.job.run_id,
            worker=slot.name,
        )
        me = this_worker()
        requeue_orphans(self.store, self.study, me, self.job.run_id, dead={slot.name})
        finished = sum(self._counts().get(state, 0) for state in FINISHED)
        deaths = 1 if finished > slot.finished else slot.deaths + 1
        if deaths <= RESTARTS:
            self.start(slot.number, deaths, finished)
        elif not self.running:
            raise HpsearchError(
                f"The last worker was lost after {RESTARTS} restarts: {self.store.redact(reason)}; "
                "finished trials are kept, run the same command again to go on."
            )

    def _counts(self) -> Mapping[Any, int]:
        return self.store.retry(
            summaries.states, self.store.engine, self.study.study_id, self.job.run_id
        )

    def over(self) -> bool:
        """Whether nothing is left to do. This asks the store, because a worker that has no room in
        the cluster cannot answer."""
        counts, run_id = self._counts(), self.job.run_id
        if counts.get(TrialState.RUNNING):
            return False
        return (
            time.monotonic() >= self.ends
            or not counts.get(TrialState.WAITING)
            or (run_id is not None and not runs.is_open(self.store.engine, run_id))
        )

    def stop(self) -> None:
        """Ask the workers to put back their trials and leave; end those that do not."""
        for force in (False, True):
            for reference in self.running:
                with contextlib.suppress(self.ray.exceptions.RayError, ValueError):
                    self.ray.cancel(reference, force=force)
            deadline = time.monotonic() + LEAVE_S
            left = list(self.running)
            while left and time.monotonic() < deadline:
                _, left = self.ray.wait(left, num_returns=len(left), timeout=LOOK_S)
            self.running = {one: self.running[one] for one in left}


def _worker(
    job: Mapping[str, Any], shared: tuple[str, Any, Prepared, Any], name: str
) -> dict[str, Any]:
    """What a task does: one worker, until nothing is left."""
    own = Job.from_dict(job)
    module, code, prepared, stages = shared
    own_code.allow_all(code)
    # The arrays in Ray's store are read-only. Nothing writes to them, so the warning is hidden.
    warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
    with Stopper() as stop:
        try:
            for stage, files in stages.items():
                install_stage(stage, files)
            trainer = import_trainer(module)
            with retry(Store.open, own.storage, create=False) as store:
                work(Workload(own, store, trainer, prepared, stop), name)
        except KeyboardInterrupt:
            return {"interrupted": True}
        except HpsearchError as error:
            return {"error": str(error), "status": error.exit_status}
    return {}
