"""A worker: claims one waiting trial after the other until none is left."""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import re
import sys
import threading
import time
from collections.abc import Container, Iterator
from typing import cast

import optuna
from optuna.trial import TrialState

from hpsearch.errors import HpsearchError
from hpsearch.search.attempts import DiskFullError, prepare_silently
from hpsearch.search.ending import should_end
from hpsearch.search.heartbeat import Heartbeat
from hpsearch.search.job import Job
from hpsearch.search.limits import Guard
from hpsearch.search.objective import LOST, Bench, lost, run_trial
from hpsearch.search.sampling import make_pruner
from hpsearch.search.stopping import Stopper
from hpsearch.search.together import claim_beside, run_together
from hpsearch.store import Store, orphans, queue, reading, runs
from hpsearch.store.identity import Worker, this_worker
from hpsearch.store.lean import LeanStorage
from hpsearch.store.opening import GRACE_S, HEARTBEAT_S
from hpsearch.store.patience import patiently
from hpsearch.training.contract import Prepared, Trainer

ALIKE = 5
"""So many failures of one kind before any success, and the run is stopped."""

IDLE_S = 0.3
LOOK_FOR_ORPHANS_S = 10.0
FROM_THE_FIRST = -1


class HopelessError(HpsearchError):
    """All of the first trials failed for one reason."""


def work(
    job: Job,
    store: Store,
    trainer: Trainer,
    prepared: Prepared,
    stop: Stopper,
    name: str | None = None,
) -> None:
    """Run the job's waiting trials, one after the other, until none is left or the time is over.

    A trial that another worker is running may yet come back to the queue, so the worker stays until
    those are finished too. KeyboardInterrupt passes after the running trial was put back.
    """
    guard = Guard(stop, job.limits, job.device)
    with quiet_optuna(), Heartbeat(store, HEARTBEAT_S) as heart, guard:
        try:
            lean = LeanStorage(store.optuna)
            study = store.patiently(
                lambda: optuna.load_study(
                    study_name=job.study, storage=lean, pruner=make_pruner(job.search.pruner)
                )
            )
            worker = this_worker(name or f"{os.getpid()}")
            bench = Bench(job, store, lean, study, trainer, prepared, worker, stop, guard)
            bench.note("worker-started", f"on {worker.host}, {job.device}")
            try:
                _loop(bench, heart)
            finally:
                with stop.shielded(), contextlib.suppress(*LOST):
                    bench.note("worker-ended", _ending())
        except LOST as error:
            raise lost(store, error) from error


def _loop(bench: Bench, heart: Heartbeat) -> None:
    job, looked = bench.job, -LOOK_FOR_ORPHANS_S
    claimed = FROM_THE_FIRST  # ids below were not waiting when this worker last looked
    ends = job.ends_at()
    while time.monotonic() < ends:
        if bench.store.patiently(lambda: should_end(job, bench.store, bench.study)):
            return
        if time.monotonic() - looked >= LOOK_FOR_ORPHANS_S:
            looked, claimed = time.monotonic(), FROM_THE_FIRST
            with bench.stop.shielded():
                requeue_orphans(bench.store, bench.study._study_id, bench.worker, job.run_id)
        trial_ids: list[int] = []
        states: list[TrialState] = []
        try:
            with bench.stop.shielded():
                if (trial_id := _claim(bench, claimed)) is not None:
                    claimed = trial_id
                    trial_ids += [trial_id, *claim_beside(bench, trial_id)]
                heart.watch(trial_ids)
            if len(trial_ids) > 1:
                states = run_together(bench, trial_ids)
            elif trial_ids:
                states = [run_trial(bench, trial_ids[0])]
        except (KeyboardInterrupt, DiskFullError):
            for one in trial_ids:
                _put_back(bench, one)
            raise
        finally:
            heart.watch(())
        if trial_ids:
            if TrialState.FAIL in states:
                _stop_if_hopeless(bench)
        elif _others_are_running(bench):
            time.sleep(IDLE_S)
        else:
            return


def _ending() -> str:
    """How the worker's loop is being left, for its last event."""
    error = sys.exc_info()[1]
    if error is None:
        return "nothing left to do"
    return "interrupted" if isinstance(error, KeyboardInterrupt) else str(error)


def _claim(bench: Bench, after: int) -> int | None:
    """The next waiting trial's id; one that came back to the queue is found when none is left."""
    store, study_id, run_id = bench.store, bench.study._study_id, bench.job.run_id
    for first in (after, FROM_THE_FIRST):
        trial_id = store.patiently(
            lambda one=first: queue.claim(store.engine, study_id, bench.worker, run_id, one)  # type: ignore[misc]
        )
        if trial_id is not None or first == FROM_THE_FIRST:
            return trial_id
    return None


def _put_back(bench: Bench, trial_id: int) -> None:
    """Put an interrupted trial back, unless it was told just before."""
    store = bench.store
    with bench.stop.shielded():
        if store.patiently(lambda: queue.release(store.engine, trial_id, bench.worker)):
            bench.note("trial-put-back", "interrupted; the next run goes on with it", trial_id)


def _others_are_running(bench: Bench) -> bool:
    """Whether one of the run's trials may yet come back to the queue."""
    store, study_id, run_id = bench.store, bench.study._study_id, bench.job.run_id
    if run_id is None or not store.patiently(lambda: runs.is_open(store.engine, run_id)):
        return False
    counts = store.patiently(lambda: reading.states(store.engine, study_id, run_id))
    return bool(counts.get(TrialState.RUNNING) or counts.get(TrialState.WAITING))


def requeue_orphans(
    store: Store, study_id: int, worker: Worker, run_id: int | None, dead: Container[str] = ()
) -> None:
    """Put the trials of workers that died back into the queue, and say so in the events.

    `dead` holds names of workers that are known to be gone; of others it is found out.
    """
    found = store.patiently(lambda: orphans.find_orphaned(store.engine, study_id, GRACE_S, dead))
    for orphan in found:
        state = store.patiently(lambda one=orphan: orphans.requeue(store.engine, one))  # type: ignore[misc]
        if state is None:
            continue
        end = "its trial is back in the queue" if state == TrialState.WAITING else "its trial fails"
        store.record_event(
            "trial-requeued" if state == TrialState.WAITING else "trial-failed",
            f"worker {orphan.worker} on {orphan.host} died; {end}",
            study_id=study_id,
            trial_id=orphan.trial_id,
            run_id=run_id,
            worker=worker.name,
        )


def _stop_if_hopeless(bench: Bench) -> None:
    """Raise HopelessError once the run's first trials have all failed for the same reason."""
    store, study_id, run_id = bench.store, bench.study._study_id, bench.job.run_id
    counts = store.patiently(lambda: reading.states(store.engine, study_id, run_id))
    failed = counts.get(TrialState.FAIL, 0)
    succeeded = counts.get(TrialState.COMPLETE, 0) + counts.get(TrialState.PRUNED, 0)
    if succeeded or failed < ALIKE:
        return
    reasons = store.patiently(lambda: reading.failures(store.engine, study_id, run_id))
    # Without their numbers: the epoch or the loss in a reason differs from trial to trial.
    if len({re.sub(r"[-+]?\d[\d.e+-]*", "#", one) for one in reasons}) == 1:
        raise HopelessError(
            f"The first {failed} trials all failed alike, so the run was stopped: {reasons[0]}"
        )


@contextlib.contextmanager
def quiet_optuna() -> Iterator[None]:
    """Optuna's own log lines off: the display says what matters."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def main() -> int:
    """A worker process: reads its trainer's name, then its job from standard input, ends when that
    is closed.

    The name comes first, so that the trainer is imported while the job is still being made.
    Standard input because arguments are visible to every user of the machine and the job's URL may
    hold a password; and because its end tells that the parent is gone. What the parent should know
    is one line of JSON on standard output; whatever a trainer prints goes to standard error.
    """
    answer = os.dup(1)
    os.dup2(2, 1)
    with Stopper() as stop:
        try:
            if (name := sys.stdin.readline().strip()) and (trainer := _import(name)):
                job = sys.stdin.readline()
                if job:  # else there is none after all
                    _lifeline(stop)
                    _serve(Job.from_json(job), trainer, stop)
        except KeyboardInterrupt:
            return 130
        except HpsearchError as error:
            report = {"error": str(error), "status": error.exit_status}
            os.write(answer, json.dumps(report).encode())
            return 1
    return 0


def _lifeline(stop: Stopper) -> None:
    """Stop when the parent closes our standard input, or dies."""

    def wait() -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stdin.read()
        stop.stop()

    threading.Thread(target=wait, name="hpsearch-lifeline", daemon=True).start()


def _import(name: str) -> Trainer:
    # What torch, pandas and Alembic define stays for good: to look through it for garbage again and
    # again while it grows would take a quarter of the worker's start.
    gc.disable()
    trainer = cast(Trainer, importlib.import_module(name))
    _ = trainer.train  # some import torch only now
    return trainer


def _serve(job: Job, trainer: Trainer, stop: Stopper) -> None:
    # The run has opened it already: a server that is away now comes back.
    with patiently(lambda: Store.open(job.storage, create=False)) as store:
        gc.freeze()
        gc.enable()
        work(job, store, trainer, prepare_silently(job, trainer), stop)
