"""`run`: prepare the data, plan the trials, let the workers run them, say what came of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState
from rich.console import Console
from rich.text import Text

from hpsearch.errors import HpsearchError, InputError
from hpsearch.search import planning, together
from hpsearch.search.display import (
    Display,
    describe_params,
    duration,
    number,
    shown_of,
    tell_waits,
)
from hpsearch.search.engines import Cluster, Crew, choose_crew
from hpsearch.search.engines.local import Process
from hpsearch.search.job import Job, Preset, Spec
from hpsearch.search.leftovers import remove_leftovers
from hpsearch.search.limits import Limits
from hpsearch.search.objective import LOST, lost
from hpsearch.search.planning import Planned, plain
from hpsearch.search.progress import shown_progress
from hpsearch.search.space import check_config, space_to_json
from hpsearch.search.stopping import Stopper
from hpsearch.search.worker import quiet_optuna
from hpsearch.search_options import Search, merge
from hpsearch.store import Store, reading, runs
from hpsearch.store.opening import translated
from hpsearch.training.contract import Prepared, Trainer

MOST_TRIALS = 1_000_000
NO_LIMITS = Limits()


def run(
    spec: Spec,
    *,
    trials: int | None = None,
    timeout: float | None = None,
    storage: str | None = None,
    preset: str = "auto",
    workers: int | None = 1,
    devices: Sequence[str] | None = None,
    engine: str = "local",
    cluster: Cluster | None = None,
    limits: Limits = NO_LIMITS,
    seed: int = 0,
    data_path: str | Path | None = None,
    language_model: str | None = None,
    search: Mapping[str, Any] | None = None,
    console: Console | None = None,
) -> optuna.Study:
    """Finish `trials` more trials of a study (default: the preset's budget) and return the study.

    After `timeout` seconds no new trial is started. `workers` None means one for each of the
    `devices` (default: all GPUs), or for each core. `seed` counts for a new study only: one that is
    continued keeps its own. `language_model` puts a finished one in the place of what a classifier
    study's settings say: "best" (of the language-model study in the store), a name or a folder; the
    study remembers it. `search` says how trials are chosen where not as the study declares: the
    keys of [search] in a study.toml (see hpsearch.search_options.Search). Raises InputError for
    what was asked wrongly, HpsearchError if the run failed as a whole, and KeyboardInterrupt after
    Ctrl-C or SIGTERM, when every running trial has been put back.
    """
    console = console or Console()
    resolved = spec.resolve(preset)
    wanted = resolved.trials if trials is None else trials
    _check_arguments(wanted, timeout, seed)
    limits.check()
    crew = choose_crew(workers, devices, wanted, engine, cluster)
    chosen = checked_search(spec, resolved, search or {}, wanted)
    path = None if data_path is None else Path(data_path)
    with quiet_optuna(), Stopper() as stop, Store.open(storage) as store:
        with translated(store.url):
            resolved = planning.choose_language_model(store, spec, resolved, language_model)
            chosen = planning.with_objectives(store, spec, resolved, chosen)
            planning.check_unchanged(store, spec, resolved, chosen)
            if (known := planning.reached(store, spec, resolved, chosen)) is not None:
                console.print(Text(f"{known.study_name} has reached its target already."))
                return known
        with crew.hired() as waiting:
            trainer = spec.trainer_module()
            for process in waiting:
                process.tell(module_name(trainer))
            prepared = prepare(trainer, spec, resolved, path, crew.prepares_on, console)
            tell_waits(store, console)
            with stop.shielded(), translated(store.url):
                planned = planning.plan_run(
                    store, spec, resolved, prepared,
                    trials=wanted, seed=seed, search=chosen, workers=crew.workers, engine=engine,
                )  # fmt: skip
                job = make_job(
                    store, spec, resolved, planned, trainer, path, crew.devices[0], chosen,
                    timeout, limits, together.most(wanted, crew.workers),
                )  # fmt: skip
                store.patiently(lambda: runs.keep_job(store.engine, planned.run_id, job.shared()))
            _announce(console, planned, seed)
            carry_out(job, store, planned, trainer, prepared, crew, stop, console, waiting)
        return planned.study


def prepare(
    trainer: Trainer,
    spec: Spec,
    preset: Preset,
    data_path: Path | None,
    device: str,
    console: Console,
) -> Prepared:
    """What all trials share, built once with all cores, with its progress shown."""
    with shown_progress(console) as report:
        prepared = trainer.prepare(
            plain(spec.data),
            plain(preset.settings),
            data_path=data_path,
            device=device,
            progress=report,
            say=lambda sentence: console.print(Text(sentence), soft_wrap=True),
        )
    for line in (f"data: {prepared.source}", prepared.summary):
        console.print(Text(line), soft_wrap=True)
    return prepared


def _check_arguments(
    trials: int,
    timeout: float | None,
    seed: int,
) -> None:
    if not 1 <= trials <= MOST_TRIALS:
        raise InputError(
            f"--trials {trials} is not possible: give a whole number from 1 to {MOST_TRIALS}."
        )
    if timeout is not None and not timeout > 0:
        raise InputError(f"--timeout {timeout:g} is not possible: give a time above zero.")
    if seed < 0:
        raise InputError(f"--seed {seed} is not possible: give a whole number from 0 on.")


def checked_search(spec: Spec, preset: Preset, given: Mapping[str, Any], trials: int) -> Search:
    """How the study declares its search, with what was given instead; InputError if impossible."""
    search = merge(spec.search, given)
    space = preset.distributions
    fix = check_config("--fix", search.fix, space)
    tries = [check_config("--try", config, space) for config in search.tries]
    if len(tries) > trials:
        raise InputError(f"--try was given {len(tries)} times for {trials} trials: raise --trials.")
    return merge(search, {"fix": fix, "tries": tries})


def module_name(trainer: Trainer) -> str:
    """What a worker imports."""
    return str(getattr(trainer, "__name__", type(trainer).__name__))


def make_job(
    store: Store,
    spec: Spec,
    preset: Preset,
    planned: Planned,
    trainer: Trainer,
    data_path: Path | None,
    device: str,
    search: Search,
    timeout: float | None = None,
    limits: Limits = Limits(),  # noqa: B008 (it is frozen)
    at_once: int = 1,
) -> Job:
    """What the workers of a planned run need to know. `timeout` is in seconds from now."""
    return Job(
        storage=store.secret_url,
        study=planned.study.study_name,
        uid=planned.uid,
        run_id=planned.run_id,
        trainer=module_name(trainer),
        metric=spec.metric,
        space=space_to_json(preset.distributions),
        settings=plain(preset.settings),
        data=plain(spec.data),
        data_path=None if data_path is None else str(data_path.absolute()),
        preset=preset.name,
        device=device,
        seed=planned.seed,
        search=search,
        deadline=None if timeout is None else time.time() + timeout,
        trial_seconds=limits.seconds,
        trial_memory=limits.memory,
        halve_batch=limits.halve_batch,
        together=at_once,
    )


def _announce(console: Console, planned: Planned, seed: int) -> None:
    notes = []
    if planned.left_over:
        notes.append(f"{planned.left_over} of them left over from an earlier run")
    if planned.seed != seed:
        notes.append(f"with the study's own seed {planned.seed}")
    more = f" ({', '.join(notes)})" if notes else ""
    trials = "1 trial" if planned.trials == 1 else f"{planned.trials} trials"
    console.print(Text(f"{planned.study.study_name}: {trials} to run{more}"), soft_wrap=True)


def carry_out(
    job: Job,
    store: Store,
    planned: Planned,
    trainer: Trainer,
    prepared: Prepared,
    crew: Crew,
    stop: Stopper,
    console: Console,
    waiting: list[Process] | None = None,
) -> None:
    """Let the workers run, those `waiting` first, and write down and say how the run ended, however
    it did."""
    started, ends = time.monotonic(), job.ends_at()
    outcome = "failed"
    study_id = planned.study._study_id
    shown = shown_of(planned.study, planned.run_id, job.metric, planned.trials)
    try:
        with Display(store, shown, console):
            crew.work(job, store, study_id, trainer, prepared, stop, waiting)
        late = time.monotonic() >= ends
        early = runs.ending(store.engine, planned.run_id)
        outcome = early or ("out of time" if late else "finished")
    except KeyboardInterrupt:
        outcome = "interrupted"
        raise
    except LOST as error:
        raise lost(store, error) from error
    finally:
        # Where the store is lost, the reason why the run ends matters more than this.
        with stop.shielded(), contextlib.suppress(*LOST):
            store.end_run(planned.run_id, outcome)
            remove_leftovers(store, study_id, job.checkpoint(0).parent)
            _summarise(store, job, planned, time.monotonic() - started, outcome, console)
    with translated(store.url):
        _check_success(store, planned)


def _summarise(
    store: Store, job: Job, planned: Planned, seconds: float, outcome: str, console: Console
) -> None:
    study_id = planned.study._study_id
    counts = reading.states(store.engine, study_id, planned.run_id)
    words = (
        (TrialState.COMPLETE, "complete"),
        (TrialState.PRUNED, "pruned"),
        (TrialState.FAIL, "failed"),
    )
    ends = ", ".join(f"{counts.get(state, 0)} {word}" for state, word in words)
    text = f"{job.study}: {outcome} after {duration(seconds)}: {ends}"
    if left := planning.unfinished(counts):
        text += f", {left} still to run (the same command goes on with them)"
    console.print(Text(text), soft_wrap=True, highlight=False)
    best = reading.best(store.engine, study_id, planned.study.directions[0])
    if best is not None:
        value, best_number = best
        params = next(one.params for one in planned.study.trials if one.number == best_number)
        line = f"best {job.metric} {number(value)}, trial {best_number}: {describe_params(params)}"
        console.print(Text(line), soft_wrap=True, highlight=False)


def _check_success(store: Store, planned: Planned) -> None:
    """Raise HpsearchError if every trial of the run failed."""
    study_id = planned.study._study_id
    counts = reading.states(store.engine, study_id, planned.run_id)
    failed = counts.get(TrialState.FAIL, 0)
    if failed and not (counts.get(TrialState.COMPLETE) or counts.get(TrialState.PRUNED)):
        reason = reading.failures(store.engine, study_id, planned.run_id)[-1]
        which = "The only trial" if failed == 1 else f"All {failed} trials"
        raise HpsearchError(f"{which} of this run failed, the last one thus: {reason}")
