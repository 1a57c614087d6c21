"""`join`: work on a study that another process, here or on another machine, is running."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import optuna
from rich.console import Console
from rich.text import Text

from hpsearch.errors import InputError
from hpsearch.search import planning
from hpsearch.search.display import Display, duration, shown_of, tell_waits
from hpsearch.search.engines import Crew, choose_crew
from hpsearch.search.job import Job, Preset, Spec
from hpsearch.search.objective import LOST, lost
from hpsearch.search.planning import plain
from hpsearch.search.run import prepare
from hpsearch.search.stopping import Stopper
from hpsearch.search.worker import quiet_optuna
from hpsearch.search_options import Search
from hpsearch.store import Store, runs
from hpsearch.store.opening import NoStoreError, translated
from hpsearch.training.contract import Prepared, Trainer

LOOK_S = 0.5
MANY = 1_000_000


@dataclass(frozen=True)
class Found:
    """A run to join, its study, and the study's preset with the run's language model in it."""

    run: runs.Open
    study: optuna.Study
    preset: Preset


@dataclass(frozen=True)
class Ready:
    """What was prepared for trials of one preset."""

    preset: Preset
    prepared: Prepared


def join(
    spec: Spec,
    *,
    storage: str | None = None,
    preset: str = "auto",
    workers: int | None = None,
    devices: Sequence[str] | None = None,
    data_path: str | Path | None = None,
    wait: float = 120.0,
    console: Console | None = None,
) -> None:
    """Help the runs of a study until they have no trials left.

    Where there is none to join yet, the data is prepared meanwhile, and then a run is waited for
    `wait` seconds. A run that is ended (by Ctrl-C, or because its time is over) is left after the
    running trial. Raises InputError if there is no run to join, or the study differs from what
    `spec` declares; otherwise as `run` does.
    """
    console = console or Console()
    crew = choose_crew(workers, devices, MANY)
    path = None if data_path is None else Path(data_path)
    with quiet_optuna(), Stopper() as stop, _open(storage, wait, console) as store:
        tell_waits(store, console)
        trainer = spec.trainer_module()
        ready: Ready | None = None
        found = store.patiently(lambda: _find(store, spec, preset))
        if found is None:
            ready = _prepare(trainer, spec, spec.resolve(preset), path, crew, console)
            found = _wait_for_run(store, spec, preset, wait, console)
        while found is not None:
            if ready is None or plain(ready.preset.settings) != plain(found.preset.settings):
                ready = _prepare(trainer, spec, found.preset, path, crew, console)
            with translated(store.url):
                planning.check_same_data(store, spec, found.preset, ready.prepared)
            _help(store, spec, found, trainer, ready.prepared, path, crew, stop, console)
            found = store.patiently(lambda: _find(store, spec, preset))


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
                _say(console, f"{error} Waiting {duration(wait)} for it.")
                told = True
        time.sleep(LOOK_S)
    with store:
        yield store


def _find(store: Store, spec: Spec, preset: str) -> Found | None:
    """The first run that can be joined, of whatever preset if that is "auto".

    Raises InputError if its study is not what `spec` declares.
    """
    with translated(store.url):
        for study in store.studies():
            attrs = study.attrs
            if attrs.get("hps_study") != spec.name:
                continue
            if preset not in ("auto", attrs["hps_preset"]):
                continue
            run = store.patiently(lambda one=study: runs.oldest_open(store.engine, one.study_id))  # type: ignore[misc]
            if run is None:
                continue
            resolved = spec.resolve(attrs["hps_preset"])
            resolved = planning.choose_language_model(store, spec, resolved, None)
            planning.check_unchanged(store, spec, resolved, Search(**run.job["search"]))
            loaded = optuna.load_study(study_name=study.name, storage=store.optuna)
            return Found(run, loaded, resolved)
    return None


def _wait_for_run(store: Store, spec: Spec, preset: str, wait: float, console: Console) -> Found:
    deadline, told = time.monotonic() + wait, False
    while True:
        found = store.patiently(lambda: _find(store, spec, preset))
        if found is not None:
            return found
        if time.monotonic() > deadline:
            raise InputError(
                f"The store {store.shown_url} has no run of {spec.name} with trials left: "
                f"start one with `hpsearch run {spec.name}`."
            )
        if not told:
            _say(console, f"No run of {spec.name} to join yet; waiting {duration(wait)} for one.")
            told = True
        time.sleep(LOOK_S)


def _prepare(
    trainer: Trainer, spec: Spec, preset: Preset, path: Path | None, crew: Crew, console: Console
) -> Ready:
    return Ready(preset, prepare(trainer, spec, preset, path, crew.devices[0], console))


def _help(
    store: Store,
    spec: Spec,
    found: Found,
    trainer: Trainer,
    prepared: Prepared,
    path: Path | None,
    crew: Crew,
    stop: Stopper,
    console: Console,
) -> None:
    """Work on the run until nothing of it is left to do."""
    run, study = found.run, found.study
    job = Job.from_dict(
        {
            **run.job,
            "storage": store.secret_url,
            "run_id": run.run_id,
            "data": plain(spec.data),
            "data_path": None if path is None else str(path.absolute()),
            "device": crew.devices[0],
        }
    )
    _say(console, f"{job.study}: joined run {run.run_id} of {run.trials} trials")
    try:
        shown = shown_of(study, run.run_id, job.metric, run.trials)
        with Display(store, shown, console, from_now=True):
            crew.work(job, store, study._study_id, trainer, prepared, stop)
    except LOST as error:
        raise lost(store, error) from error
    _say(console, f"{job.study}: nothing left to do in run {run.run_id}")


def _say(console: Console, text: str) -> None:
    console.print(Text(text), soft_wrap=True, highlight=False)
