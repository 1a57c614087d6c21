"""`join`: work on a study that another process, here or on another machine, is running."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import optuna
from rich.console import Console

from hpsearch.core.console import say
from hpsearch.core.home import CHECKPOINTS, study_folder
from hpsearch.core.terminal import new_console
from hpsearch.core.words import duration, how_many
from hpsearch.errors import InputError
from hpsearch.search.display import Display, say_waits, shown_run
from hpsearch.search.engines import WorkerPool, Workers, choose_pool
from hpsearch.search.job import Job
from hpsearch.search.plan.plan_run import unfinished
from hpsearch.search.plan.stored_function import as_stored, is_open
from hpsearch.search.plan.study_record import StudyChoice, StudyRecord, check_complete
from hpsearch.search.run import decide, prepare
from hpsearch.search.worker.bench import STORE_ERRORS, store_lost
from hpsearch.search.worker.signals import Stopper
from hpsearch.search.worker.workload import Workload
from hpsearch.store import Store, summaries
from hpsearch.store.queue import fence, runs
from hpsearch.store.queue.fence import StudyRef
from hpsearch.store.server.open import NoStoreError, translated
from hpsearch.store.tables import attributes
from hpsearch.store.tables.damage import readable
from hpsearch.store.tables.optuna_tables import quiet_optuna
from hpsearch.study.search_options import Search
from hpsearch.study.spec import StudySpec
from hpsearch.study.trainers import stored_name
from hpsearch.trainers.contract import Prepared

LOOK_S = 0.5
ANY_NUMBER = 1_000_000
"""More trials than a run has: whoever joins does not know how many are left."""
ALL_DEVICES = Workers(None)


@dataclass(frozen=True)
class OpenRun:
    """A run to join, its study, and the study's record with the run's language model in it."""

    run: runs.Open
    ref: StudyRef
    study: optuna.Study
    record: StudyRecord


@dataclass(frozen=True)
class ReadyData:
    """What was prepared for trials with these settings."""

    settings: dict[str, Any]
    prepared: Prepared
    pool: WorkerPool


def join(
    choice: StudyChoice,
    workers: Workers = ALL_DEVICES,
    *,
    wait: float = 120.0,
    console: Console | None = None,
) -> int:
    """Help the runs of a study until they have no trials left; returns how many the last run has
    left, which are some where it was stopped.

    If there is no run yet, this prepares the data and then waits `wait` seconds for one. When a run
    ends (by Ctrl-C, or because its time is over), this stops after the trial that it is training.
    The choice's language model says where that of the run lies, if nothing but the store says so.
    Raises InputError if there is no run to join, or the study differs from its declaration;
    otherwise what `run` raises.
    """
    console = console or new_console()
    pool = choose_pool(workers, ANY_NUMBER)
    spec = choice.spec
    with quiet_optuna(), Stopper() as stop, _open(choice.storage, wait, console) as store:
        say_waits(store, console)
        ready: ReadyData | None = None

        def find() -> OpenRun | None:
            return store.retry(_find, store, choice, console)

        found = find()
        if found is None:
            if not is_open(spec):  # else the run is going to say what is searched
                resolved = spec.resolve(choice.preset)
                record = StudyRecord.read(store, choice, resolved, spec.search, console)
                ready = _prepare(record, pool, console)
            found = _wait_for_run(store, spec, find, wait, console)
        while found is not None:
            if ready is None or ready.settings != found.record.preset.settings:
                ready = _prepare(found.record, pool, console)
            found.record.check_same_data(ready.prepared)
            left = _work_on(found, ready, stop, console)
            found = find()
    return left


@contextmanager
def _open(storage: str | None, wait: float, console: Console) -> Iterator[Store]:
    """The store, waited for: the run to be joined may be about to make it."""
    deadline, told = time.monotonic() + wait, False
    while True:
        try:
            store = Store.open(storage, create=False)
            break
        except NoStoreError as error:
            if time.monotonic() > deadline:
                raise
            if not told:
                say(console, f"No store at {error.place} yet; waiting {duration(wait)} for one.")
                told = True
        time.sleep(LOOK_S)
    with store:
        yield store


def _find(store: Store, choice: StudyChoice, console: Console) -> OpenRun | None:
    """The first run that can be joined, of whatever preset if that is "auto".

    Raises InputError if its study is not what the choice declares.
    """
    spec = choice.spec
    with translated(store.url):
        for study in store.studies():
            attrs = study.attrs
            if attrs.get(attributes.STUDY) != spec.name:
                continue
            if choice.preset not in ("auto", attrs.get(attributes.PRESET)):
                continue
            study.check()
            check_complete(study.name, attrs)
            run = store.retry(runs.oldest_open, store.engine, study.study_id)
            if run is None:
                continue
            spec = as_stored(spec, study)
            resolved = spec.resolve(attrs[attributes.PRESET])
            with readable(f"The job of run {run.run_id}"):
                search = Search(**run.job["search"])
            record = StudyRecord.open(store, replace(choice, spec=spec), resolved, search, console)
            loaded = optuna.load_study(study_name=study.name, storage=store.optuna)
            return OpenRun(run, study.ref, loaded, record)
    return None


def _wait_for_run(
    store: Store, spec: StudySpec, find: Callable[[], OpenRun | None], wait: float, console: Console
) -> OpenRun:
    deadline, told = time.monotonic() + wait, False
    named = spec.name if spec.given is None else spec.trainer
    while True:
        found = find()
        if found is not None:
            return found
        if time.monotonic() > deadline:
            raise InputError(
                f"The store {store.shown_url} has no run of {spec.name} with trials left: "
                f"start one with `hpsearch run {named}`."
            )
        if not told:
            say(console, f"No run of {spec.name} to join yet; waiting {duration(wait)} for one.")
            told = True
        time.sleep(LOOK_S)


def _prepare(record: StudyRecord, pool: WorkerPool, console: Console) -> ReadyData:
    prepared = prepare(record, pool.devices[0], console)
    pool, prepared = decide(pool, record, prepared, console)
    return ReadyData(record.preset.settings, prepared, pool)


def _work_on(found: OpenRun, ready: ReadyData, stop: Stopper, console: Console) -> int:
    """Work on the run until nothing of it is left to do, or it is stopped; returns how many trials
    it has left."""
    run, study, store = found.run, found.study, found.record.store
    job = _job(found, ready.pool.devices[0])
    say(console, f"{job.study}: joined run {run.run_id} of {run.trials} trials")
    workload = Workload(job, store, found.record.trainer, ready.prepared, stop)
    try:
        shown = shown_run(study, found.ref, run.run_id, job.metric, run.trials)
        with Display(store, shown, console, from_now=True):
            ready.pool.work(workload, found.ref)
        fence.check_there(store.engine, found.ref)
        counts = store.retry(summaries.states, store.engine, found.ref.study_id, run.run_id)
    except STORE_ERRORS as error:
        raise store_lost(store, error) from error
    left = unfinished(counts)
    stopped = f"run {run.run_id} was stopped with {how_many(left, 'trial')} to run"
    say(console, f"{job.study}: {stopped if left else f'nothing left to do in run {run.run_id}'}")
    return left


def _job(found: OpenRun, device: str) -> Job:
    """The run's job: how its trials are drawn and limited is the store's to say, everything else
    the study file's. Raises InputError where the store has the run trained by another trainer."""
    run, record = found.run, found.record
    if (trainer := stored_name(run.job.get("trainer"))) != record.spec.trainer:
        raise InputError(
            f"Run {run.run_id} in the store {record.store.shown_url} is trained by {trainer!r}, "
            f"but study {record.spec.name} by {record.spec.trainer!r}: join with the study file "
            "that the run was started with, or upgrade hpsearch."
        )
    study_folder(CHECKPOINTS, found.ref.name, found.ref.uid or "")  # raises where the id is none
    own = record.job_fields(found.ref, run.run_id, device)
    with readable(f"The job of run {run.run_id}"):
        return Job.from_dict({**run.job, **own})
