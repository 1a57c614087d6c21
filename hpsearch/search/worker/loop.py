"""A worker: claims one waiting trial after the other until none is left."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import sys
import threading
import time
from dataclasses import asdict

import optuna
from optuna.trial import TrialState

from hpsearch.core import own_code
from hpsearch.errors import HpsearchError
from hpsearch.search.job import Job
from hpsearch.search.samplers.by_name import make_pruner
from hpsearch.search.speed import estimate
from hpsearch.search.speed.gpu_sharing import (
    EXIT_GPU_FULL,
    MEMORY,
    GpuFullError,
    GpuSharing,
    Memory,
)
from hpsearch.search.worker.attempts import DiskFullError, prepare_silently
from hpsearch.search.worker.bench import STORE_ERRORS, Bench, store_lost
from hpsearch.search.worker.heartbeat import Heartbeat
from hpsearch.search.worker.limits import Guard, gpu_memory
from hpsearch.search.worker.side_by_side import claim_beside, run_together
from hpsearch.search.worker.signals import Stopper
from hpsearch.search.worker.stop_rules import should_end
from hpsearch.search.worker.trial import run_trial
from hpsearch.search.worker.workload import Workload
from hpsearch.store import Store, summaries
from hpsearch.store.queue import fence, queue, runs, taken_trials
from hpsearch.store.queue.fence import Claim, StudyRef
from hpsearch.store.queue.orphans import requeue_orphans
from hpsearch.store.queue.processes import this_worker
from hpsearch.store.server.open import HEARTBEAT_S
from hpsearch.store.server.retry import retry
from hpsearch.store.tables import optuna_private
from hpsearch.store.tables.optuna_tables import quiet_optuna
from hpsearch.store.trials.worker_storage import WorkerStorage
from hpsearch.study.trainers import import_trainer
from hpsearch.trainers.contract import Trainer

SAME_FAILURES = 5
"""So many failures of one kind before any success, and the run is stopped."""

IDLE_S = 0.3
LOOK_FOR_ORPHANS_S = 10.0
FROM_THE_FIRST = -1


class HopelessError(HpsearchError):
    """All of the first trials failed for one reason."""


def work(workload: Workload, name: str | None = None, sharing: GpuSharing | None = None) -> None:
    """Run the job's waiting trials, one after the other, until none is left or the time is over.

    A trial that another worker is running may yet come back to the queue, so the worker stays until
    those are finished too. KeyboardInterrupt passes after the running trial was put back. Raises
    StudyGoneError where the study was deleted.
    """
    job, store, stop = workload.job, workload.store, workload.stop
    guard = Guard(stop, job.limits, job.device)
    with quiet_optuna(), Heartbeat(store, HEARTBEAT_S) as heart, guard:
        try:
            storage = WorkerStorage(store.optuna)
            ref, study = store.retry(_load, job, store, storage)
            worker = this_worker(name or f"{os.getpid()}")
            trainer, prepared = workload.trainer, workload.prepared
            bench = Bench(job, store, storage, ref, study, trainer, prepared, worker, stop, guard)
            bench.sharing = sharing or bench.sharing
            bench.note("worker-started", f"on {worker.host}, {job.device}")
            try:
                estimate.measure_first(bench)
                _note_memory(bench)
                _loop(bench, heart)
            finally:
                with stop.shielded(), contextlib.suppress(*STORE_ERRORS):
                    bench.note("worker-ended", _ending())
        except STORE_ERRORS as error:
            raise store_lost(store, error) from error


def _load(job: Job, store: Store, storage: WorkerStorage) -> tuple[StudyRef, optuna.Study]:
    """The job's study. Raises StudyGoneError if it was deleted."""
    pruner = make_pruner(job.search.pruner)
    try:
        study = optuna.load_study(study_name=job.study, storage=storage, pruner=pruner)
    except KeyError:
        raise fence.gone(store.engine, StudyRef(0, job.study, job.uid)) from None
    ref = StudyRef(optuna_private.study_id(study), job.study, job.uid)
    fence.check_there(store.engine, ref)
    return ref, study


def _loop(bench: Bench, heart: Heartbeat) -> None:
    job, looked = bench.job, -LOOK_FOR_ORPHANS_S
    claimed = FROM_THE_FIRST  # ids below were not waiting when this worker last looked
    ends = job.ends_at(bench.store)
    while time.monotonic() < ends and not bench.sharing.leave:
        if bench.store.retry(should_end, job, bench.store, bench.ref, bench.study):
            return
        if time.monotonic() - looked >= LOOK_FOR_ORPHANS_S:
            looked, claimed = time.monotonic(), FROM_THE_FIRST
            with bench.stop.shielded():
                requeue_orphans(bench.store, bench.ref, bench.worker, job.run_id)
        claims: list[Claim] = []
        states: list[TrialState] = []
        try:
            with bench.stop.shielded():
                if (claim := _claim(bench, claimed)) is not None:
                    claimed = claim.trial_id
                    claims += [claim, *claim_beside(bench, claim)]
                heart.watch(claims)
            if len(claims) > 1:
                states = run_together(bench, claims)
            elif claims:
                states = [run_trial(bench, claims[0])]
        except (KeyboardInterrupt, DiskFullError, GpuFullError):
            for one in claims:
                _put_back(bench, one)
            raise
        finally:
            heart.watch(())
        if claims:
            _note_memory(bench)
            if TrialState.FAIL in states:
                _stop_if_hopeless(bench)
        elif _replaced(bench):
            claimed = FROM_THE_FIRST
        elif _others_are_running(bench):
            time.sleep(IDLE_S)
        else:
            return


def _replaced(bench: Bench) -> bool:
    """Queue a copy of each trial of this run that another program took; whether there were any."""
    job, store = bench.job, bench.store
    if job.run_id is None:
        return False
    plan = taken_trials.Plan(list(job.space), job.search.fix)
    with bench.stop.shielded():
        taken = store.retry(taken_trials.replace_taken, store.engine, bench.ref, job.run_id, plan)
        if taken:
            bench.note("taken-elsewhere", taken_trials.taken_sentence(taken, job.study))
    return bool(taken)


def _note_memory(bench: Bench) -> None:
    """Record how much GPU memory the trials took. `Growth` reads this to set their number."""
    sharing, device = bench.sharing, bench.job.device
    if not device.startswith("cuda") or not sharing.slowdowns:
        return
    if (found := gpu_memory(device)) is None:
        return
    peak, available = found
    if peak > 1.05 * sharing.peak:
        sharing.peak = peak
        bench.note(MEMORY, json.dumps(asdict(Memory(peak, available))))


def _ending() -> str:
    """How the worker's loop is being left, for its last event."""
    error = sys.exc_info()[1]
    if error is None:
        return "nothing left to do"
    return "interrupted" if isinstance(error, KeyboardInterrupt) else str(error)


def _claim(bench: Bench, after: int) -> Claim | None:
    """The next waiting trial; one that came back to the queue is found when none is left.

    Raises StudyGoneError.
    """
    store, run_id = bench.store, bench.job.run_id
    for first in (after, FROM_THE_FIRST):
        claim = store.retry(queue.claim, store.engine, bench.ref, bench.worker, run_id, first)
        if claim is not None:
            return claim
        if first == FROM_THE_FIRST:
            break
    store.retry(fence.check_there, store.engine, bench.ref)
    return None


def _put_back(bench: Bench, claim: Claim) -> None:
    """Put an interrupted trial back, unless it was told just before."""
    store = bench.store
    with bench.stop.shielded():
        if store.retry(queue.release, store.engine, claim):
            text = "interrupted; the next run goes on with it"
            bench.note("trial-put-back", text, claim.trial_id)


def _others_are_running(bench: Bench) -> bool:
    """Whether one of the run's trials may yet come back to the queue."""
    store, study_id, run_id = bench.store, bench.ref.study_id, bench.job.run_id
    if run_id is None or not store.retry(runs.is_open, store.engine, run_id):
        return False
    counts = store.retry(summaries.states, store.engine, study_id, run_id)
    return bool(counts.get(TrialState.RUNNING) or counts.get(TrialState.WAITING))


def _stop_if_hopeless(bench: Bench) -> None:
    """Raise HopelessError once the run's first trials have all failed for the same reason."""
    store, study_id, run_id = bench.store, bench.ref.study_id, bench.job.run_id
    counts = store.retry(summaries.states, store.engine, study_id, run_id)
    failed = counts.get(TrialState.FAIL, 0)
    succeeded = counts.get(TrialState.COMPLETE, 0) + counts.get(TrialState.PRUNED, 0)
    if succeeded or failed < SAME_FAILURES:
        return
    reasons = store.retry(summaries.failures, store.engine, study_id, run_id)
    # Without their numbers: the epoch or the loss in a reason differs from trial to trial.
    if len({re.sub(r"[-+]?\d[\d.e+-]*", "#", one) for one in reasons}) == 1:
        fence.check_there(store.engine, bench.ref)
        raise HopelessError(
            f"The first {failed} trials all failed alike, so the run was stopped: {reasons[0]}"
        )


def main() -> int:
    """Run a worker process, which reads its trainer's module, then its job, from standard input.

    The module comes first: the worker imports it while the parent still makes the job. The parent
    names the module, so nothing in a store decides what is imported. The job does not come as an
    argument: every user of the machine can see arguments, and the job's URL may hold a password.
    When standard input ends, the parent is gone, and the worker stops. The worker reports to the
    parent in one line of JSON on standard output. What a trainer prints goes to standard error.
    """
    answer = os.dup(1)
    os.dup2(2, 1)
    with Stopper() as stop:
        try:
            if line := sys.stdin.readline():
                told = json.loads(line)
                own_code.allow_all(told["own_code"])
                trainer = _import(told["trainer"])
                job = sys.stdin.readline()
                if job:  # else there is none after all
                    sharing = GpuSharing()
                    _follow_parent(stop, sharing)
                    _run_job(Job.from_json(job), trainer, stop, sharing)
        except KeyboardInterrupt:
            return 130
        except GpuFullError:
            return EXIT_GPU_FULL
        except HpsearchError as error:
            report = {"error": str(error), "status": error.exit_status}
            os.write(answer, json.dumps(report).encode())
            return 1
    return 0


def _follow_parent(stop: Stopper, sharing: GpuSharing) -> None:
    """Stop when the parent closes our standard input, or dies. Until then pass on to `sharing`
    what the parent says about the other workers on the GPU."""

    def wait() -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in sys.stdin:
                sharing.take(json.loads(line))
        stop.stop()

    threading.Thread(target=wait, name="hpsearch-lifeline", daemon=True).start()


def _import(name: str) -> Trainer:
    # The objects of torch, pandas and Alembic stay for good. If the garbage collector searched them
    # again and again during the import, it would take a quarter of the worker's start.
    gc.disable()
    trainer = import_trainer(name)
    _ = trainer.train  # some import torch only now
    return trainer


def _run_job(job: Job, trainer: Trainer, stop: Stopper, sharing: GpuSharing) -> None:
    # The run has opened it already: a server that is away now comes back.
    with retry(Store.open, job.storage, create=False) as store:
        gc.freeze()
        gc.enable()
        prepared = prepare_silently(job, trainer)
        work(Workload(job, store, trainer, prepared, stop), sharing=sharing)
