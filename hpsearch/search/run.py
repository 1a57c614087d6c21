"""`run`: prepare the data, plan the trials, let the workers run them, say what came of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import optuna
from optuna.trial import TrialState
from rich.console import Console

from hpsearch.core.console import say, shown_progress
from hpsearch.core.terminal import new_console
from hpsearch.core.words import describe_params, duration, how_many, number
from hpsearch.errors import HpsearchError, InputError
from hpsearch.search.baseline import make_baseline, note_baseline
from hpsearch.search.display import Display, say_waits, shown_run
from hpsearch.search.engines import WorkerPool, Workers, able_to_run, choose_pool
from hpsearch.search.job import Job, Limits
from hpsearch.search.plan.check_first import check_first
from hpsearch.search.plan.plan_run import Planned, plan_run, unfinished
from hpsearch.search.plan.prior import Prior, read_prior
from hpsearch.search.plan.study_record import StudyChoice, StudyRecord
from hpsearch.search.processes import Process
from hpsearch.search.speed.device_choice import choose_for_run
from hpsearch.search.worker import live_log, side_by_side
from hpsearch.search.worker.bench import STORE_ERRORS, store_lost
from hpsearch.search.worker.signals import Stopper
from hpsearch.search.worker.workload import Workload
from hpsearch.store import Store, summaries
from hpsearch.store.queue import fence, runs
from hpsearch.store.queue.orphans import remove_orphaned_checkpoints
from hpsearch.store.server import clock
from hpsearch.store.server.open import translated
from hpsearch.store.tables.optuna_tables import quiet_optuna
from hpsearch.store.unmade import UnmadeStore, open_or_await
from hpsearch.study.conditions import check_complete
from hpsearch.study.search_options import Search, merge
from hpsearch.study.space import check_config, described
from hpsearch.study.spec import ResolvedPreset, StudySpec
from hpsearch.study.trainers import check_installed, is_own
from hpsearch.trainers.contract import Prepared, PrepareSetup
from hpsearch.trainers.shared.assessment import Baseline
from hpsearch.trainers.shared.speed import is_measurable

MOST_TRIALS = 1_000_000


@dataclass(frozen=True)
class Budget:
    """How much a run does: `trials` more trials (None: as many as the preset says), or as many as
    the study lacks of a `total`, none of which starts after `seconds`."""

    trials: int | None = None
    seconds: float | None = None
    total: int | None = None

    def check(self, preset: ResolvedPreset) -> int:
        """The most trials that it can be. Raises InputError for what is not possible."""
        if self.total is not None and self.trials is not None:
            raise InputError("--trials and --total do not go together: give one of them.")
        name, trials = (
            ("--total", self.total) if self.total is not None else ("--trials", self.trials)
        )
        trials = preset.trials if trials is None else trials
        if not 1 <= trials <= MOST_TRIALS:
            raise InputError(
                f"{name} {trials} is not possible: give a whole number from 1 to {MOST_TRIALS}."
            )
        if self.seconds is not None and not self.seconds > 0:
            raise InputError(f"--timeout {self.seconds:g} is not possible: give a time above zero.")
        return trials


ONE_WORKER = Workers()
NO_LIMITS = Limits()
PRESETS_BUDGET = Budget()


def run(
    choice: StudyChoice,
    workers: Workers = ONE_WORKER,
    *,
    budget: Budget = PRESETS_BUDGET,
    limits: Limits = NO_LIMITS,
    search: Mapping[str, Any] | None = None,
    seed: int = 0,
    console: Console | None = None,
) -> optuna.Study:
    """Run the trials that the `budget` allows, each within its `limits`, and return the study.

    `search` says how trials are chosen where not as the study declares: the keys of [search] in a
    study.toml (hpsearch.study.search_options.Search). The `seed` is that of a new study; a study
    that is continued keeps its own. Raises InputError for what was asked wrongly, HpsearchError if
    the run failed as a whole, and KeyboardInterrupt after Ctrl-C or SIGTERM, when every running
    trial has been put back.
    """
    console = console or new_console()
    preset = choice.spec.resolve(choice.preset)
    trials = budget.check(preset)
    check_installed(choice.spec.trainer)
    if seed < 0:
        raise InputError(f"--seed {seed} is not possible: give a whole number from 0 on.")
    limits.check()
    pool = choose_pool(able_to_run(workers, choice.spec.trainer), trials)
    declared = checked_search(choice.spec, preset, search or {}, trials)
    with quiet_optuna(), Stopper() as stop, ExitStack() as opened:
        store = opened.enter_context(open_or_await(choice.storage))
        with translated(store.url):
            record = StudyRecord.read(store, choice, preset, declared, console)
            record.check_for_run()
            if (known := record.reached()) is not None:
                say(console, f"{known.study_name} has reached its target already.")
                return known
            if budget.total is not None and (trials := record.lacks(budget.total)) < 1:
                say(console, f"{record.name} has its {how_many(budget.total, 'trial')} already.")
                return record.load()
            prior = prior_of(record, console)
        with pool.prestarted() as processes:
            for process in processes:
                process.send_trainer(record.trainer.__name__)
            prepared = prepare(record, pool.prepares_on, console)
            check_first(record.spec, record.preset, prepared)
            pool, prepared = decide(pool, record, prepared, console)
            if isinstance(store, UnmadeStore):
                store = opened.enter_context(Store.open(choice.storage))
                record = replace(record, store=store)
            say_waits(store, console)
            with ended_if_interrupted(store) as begun, stop.shielded(), translated(store.url):
                planned = plan_run(record, prepared, pool, trials=trials, seed=seed, prior=prior)
                begun.append(planned)
                job = make_job(record, planned, pool, budget, limits)
                store.retry(runs.keep_job, store.engine, planned.ref, planned.run_id, job.shared())
            _announce(console, planned, seed)
            workload = Workload(job, store, record.trainer, prepared, stop)
            carry_out(workload, planned, pool, console, processes)
            with translated(store.url):
                _say_baseline(record, prepared, planned, console)
        return planned.study


@contextlib.contextmanager
def ended_if_interrupted(store: Store) -> Iterator[list[Planned]]:
    """Note the end of the run that was planned in the block, if Ctrl-C or SIGTERM ends the block:
    else other machines took it for a run that goes on, until it was silent for long."""
    begun: list[Planned] = []
    try:
        yield begun
    except KeyboardInterrupt:
        for planned in begun:
            store.end_run(planned.ref, planned.run_id, "interrupted")
        raise


def prepare(record: StudyRecord, device: str, console: Console) -> Prepared:
    """What all trials share, built once with all cores, with its progress shown."""
    with shown_progress(console) as report:
        prepared = record.trainer.prepare(
            record.spec.data,
            record.preset.settings,
            PrepareSetup(record.data_path, device, report, lambda sentence: say(console, sentence)),
        )
    for line in (f"data: {prepared.source}", prepared.summary):
        say(console, line)
    if is_own(record.spec.trainer):  # where nobody need have said so
        better = "higher" if record.spec.direction == "maximize" else "lower"
        aims = [f"{better} {record.spec.metric} is better"]
        for name in record.search.also:
            aims.append(f"{'higher' if name[0] == '+' else 'lower'} {name.lstrip('+')} is better")
        say(console, ", ".join(aims))
        say(console, f"searched: {described(record.preset.distributions)}")
    return prepared


def prior_of(record: StudyRecord, console: Console) -> Prior | None:
    """What the studies that the search names as its prior say, if it names any."""
    if not (named := record.search.prior):
        return None
    with console.status("Reading the rules of earlier studies ..."):
        prior = read_prior(
            record.store, named, record.preset.distributions, record.name, record.spec.trainer
        )
    say(console, prior.sentence)
    return prior


def decide(
    pool: WorkerPool, record: StudyRecord, prepared: Prepared, console: Console
) -> tuple[WorkerPool, Prepared]:
    """Choose the faster of GPU and processor: (the pool on it, the data prepared on it).

    If there is no choice, or the trainer cannot be measured, the pool and the data stay the same.
    """
    on_cpu = pool.on_cpu
    if on_cpu is None or not is_measurable(record.trainer):
        return replace(pool, on_cpu=None), prepared
    chosen, key = choose_for_run(record, prepared, pool.devices, on_cpu.workers, console)
    if chosen.device != "cpu":
        return replace(pool, on_cpu=None, choice=key), prepared
    return on_cpu, prepare(record, "cpu", console)


def checked_search(
    spec: StudySpec, preset: ResolvedPreset, given: Mapping[str, Any], trials: int
) -> Search:
    """How the study declares its search, with what was given instead; InputError if impossible."""
    search = merge(spec.search, given)
    space, when = preset.distributions, preset.when
    fix = check_config("--fix", search.fix, space)
    check_complete("--fix", fix, when)
    tries = [check_config("--try", config, space) for config in search.tries]
    for config in tries:
        check_complete("--try", {**fix, **config}, when)
    live_log.check_installed(search.log)
    if len(tries) > trials:
        raise InputError(f"--try was given {len(tries)} times for {trials} trials: raise --trials.")
    return merge(search, {"fix": fix, "tries": tries})


def make_job(
    record: StudyRecord, planned: Planned, pool: WorkerPool, budget: Budget, limits: Limits
) -> Job:
    """What the workers of a planned run need to know."""
    deadline = None
    if budget.seconds is not None:
        deadline = clock.seconds(record.store.engine) + budget.seconds
    return Job(
        **record.job_fields(planned.ref, planned.run_id, pool.devices[0]),
        seed=planned.seed,
        search=record.search,
        deadline=deadline,
        trial_seconds=limits.seconds,
        trial_memory=limits.memory,
        halve_batch=limits.halve_batch,
        together=side_by_side.most(planned.trials, pool.workers),
    )


def _announce(console: Console, planned: Planned, seed: int) -> None:
    if planned.note:
        say(console, planned.note)
    notes = []
    if planned.left_over:
        notes.append(f"{planned.left_over} of them left over from an earlier run")
    if planned.seed != seed:
        notes.append(f"with the study's own seed {planned.seed}")
    more = f" ({', '.join(notes)})" if notes else ""
    trials = "1 trial" if planned.trials == 1 else f"{planned.trials} trials"
    say(console, f"{planned.study.study_name}: {trials} to run{more}")


def carry_out(
    workload: Workload,
    planned: Planned,
    pool: WorkerPool,
    console: Console,
    prestarted: list[Process] | None = None,
) -> None:
    """Let the workers of the pool run, the processes that are `prestarted` first. Then write down
    and say how the run ended, however it ended."""
    job, store, ref = workload.job, workload.store, planned.ref
    started, ends = time.monotonic(), job.ends_at(store)
    outcome = "failed"
    shown = shown_run(planned.study, ref, planned.run_id, job.metric, planned.trials)
    try:
        with Display(store, shown, console):
            pool.work(workload, ref, prestarted)
        store.retry(fence.check_there, store.engine, ref)
        late = time.monotonic() >= ends
        early = store.retry(runs.ending, store.engine, planned.run_id)
        outcome = early or ("out of time" if late else "finished")
    except KeyboardInterrupt:
        outcome = "interrupted"
        raise
    except STORE_ERRORS as error:
        raise store_lost(store, error) from error
    finally:
        # Where the store is lost, the reason why the run ends matters more than this.
        with workload.stop.shielded(), contextlib.suppress(*STORE_ERRORS):
            store.end_run(ref, planned.run_id, outcome)
            remove_orphaned_checkpoints(store, ref.study_id, job.checkpoint(0).parent)
            _summarise(workload, planned, time.monotonic() - started, outcome, console)
    with translated(store.url):
        _check_success(store, planned)


def _summarise(
    workload: Workload, planned: Planned, seconds: float, outcome: str, console: Console
) -> None:
    job, store = workload.job, workload.store
    study_id = planned.ref.study_id
    counts = summaries.states(store.engine, study_id, planned.run_id)
    lines = _lines_on_study(store, planned, job.objectives)
    # A deleted study's number may go to another study. If this study is still there, the values
    # above are its own.
    if not fence.is_there(store.engine, planned.ref):
        return
    words = (
        (TrialState.COMPLETE, "complete"),
        (TrialState.PRUNED, "pruned"),
        (TrialState.FAIL, "failed"),
    )
    ends = ", ".join(f"{counts.get(state, 0)} {word}" for state, word in words)
    text = f"{job.study}: {outcome} after {duration(seconds)}: {ends}"
    if left := unfinished(counts):
        text += f", {left} still to run (the same command takes them first)"
    say(console, text)
    for line in lines:
        say(console, line)


def _lines_on_study(store: Store, planned: Planned, objectives: Sequence[str]) -> list[str]:
    """How many trials other programs ran, if any, and the study's best trial by each objective; of
    several objectives also how many trials none beats in all."""
    study, study_id = planned.study, planned.ref.study_id
    lines = []
    if others := summaries.elsewhere(store.engine, study_id):
        which = how_many(len(others), "trial")
        lines.append(f"{study.study_name} also holds {which} that other programs ran")
    for place, (name, way) in enumerate(zip(objectives, study.directions, strict=True)):
        best = summaries.best(store.engine, study_id, way, place)
        if best is not None:
            value, its = best
            params = next((one.params for one in study.trials if one.number == its), {})
            whose = ", which another program ran" if its in others else ""
            lines.append(
                f"best {name} {number(value)}, trial {its}{whose}: {describe_params(params)}"
            )
    if len(objectives) < 2:
        return lines
    from hpsearch.analysis.views.front import front_of  # scikit-learn takes a second

    front = front_of(study, tuple(objectives))
    return lines if front is None else [*lines, front.sentence]


def _say_baseline(
    record: StudyRecord, prepared: Prepared, planned: Planned, console: Console
) -> None:
    """Set a simple model beside the study's best trial, if that takes seconds at most."""

    def make() -> Baseline | None:
        return make_baseline(
            record.trainer, record.preset.settings, prepared, lambda text: say(console, text),
            cheap_only=True,
        )  # fmt: skip

    sentence = note_baseline(record.store, planned, make, record.spec.metric)
    if sentence is not None:
        say(console, sentence)


def _check_success(store: Store, planned: Planned) -> None:
    """Raise HpsearchError if every trial of the run failed."""
    study_id = planned.ref.study_id
    counts = summaries.states(store.engine, study_id, planned.run_id)
    failed = counts.get(TrialState.FAIL, 0)
    if failed and not (counts.get(TrialState.COMPLETE) or counts.get(TrialState.PRUNED)):
        reason = summaries.failures(store.engine, study_id, planned.run_id)[-1]
        fence.check_there(store.engine, planned.ref)
        which = "The only trial" if failed == 1 else f"All {failed} trials"
        raise HpsearchError(f"{which} of this run failed, the last one thus: {reason}")
