"""One trial: its parameters drawn, its model trained, every epoch written, its end told."""

from __future__ import annotations

import contextlib
import math
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import optuna
from optuna.trial import FrozenTrial, TrialState

from hpsearch.core import environment
from hpsearch.core.home import remove
from hpsearch.errors import HpsearchError
from hpsearch.search import kept_models
from hpsearch.search.job import Job
from hpsearch.search.plan.cohorts import BASELINE, DESIGN, EXPLOIT, trial_seed
from hpsearch.search.samplers.by_name import make_sampler, suggest
from hpsearch.search.speed.gpu_sharing import GpuFullError
from hpsearch.search.worker import attempts
from hpsearch.search.worker.bench import STORE_ERRORS, Bench, StoreLostError, store_lost
from hpsearch.search.worker.limits import free_memory
from hpsearch.search.worker.live_log import LiveLogs
from hpsearch.store.queue import orphans
from hpsearch.store.queue.fence import Claim, StudyGoneError, TakenError
from hpsearch.store.tables import attributes
from hpsearch.store.trials.worker_storage import Held
from hpsearch.study.conditions import is_active
from hpsearch.trainers.contract import EpochRecord, Report, TrainResult


class NoMetricError(HpsearchError):
    """The trainer does not compute the metric that the study is to improve."""


ENDS_RUN = (StoreLostError, StudyGoneError, attempts.DiskFullError, GpuFullError)
"""What is not the trial's own end, and leaves it to be put back."""


def run_trial(bench: Bench, claim: Claim) -> TrialState:
    """Train the claimed trial and tell how it ended; KeyboardInterrupt passes, untold.

    Raises NoMetricError, StoreLostError, StudyGoneError and DiskFullError, which end the run.
    Everything else that a trainer raises is the trial's own failure.
    """
    with bench.stop.shielded():
        begun = begin(bench, [claim])
    return train_alone(bench, begun[0]) if begun else TrialState.RUNNING


@dataclass(frozen=True)
class Begun:
    """A trial that has its parameters, and what its trainer is to report to."""

    trial: optuna.Trial
    report: Report
    logs: LiveLogs


def begin(bench: Bench, claims: Sequence[Claim]) -> list[Begun]:
    """Draw the parameters of claimed trials, none of which sees a result of the others.

    Those that another worker has taken over by now are left out.
    """
    begun = []
    for held in bench.store.retry(bench.storage.hold, claims):
        with contextlib.suppress(TakenError):
            trial = _start(bench, held.trial)
            programs, study = bench.job.search.log, bench.study.study_name
            logs = LiveLogs(programs, study, trial.number, trial.params)
            begun.append(Begun(trial, _reporter(bench, trial, held, logs), logs))
    return begun


def train_alone(bench: Bench, begun: Begun) -> TrialState:
    """Train the trial and tell how it ended: see `run_trial`."""
    try:
        result: TrainResult | Exception = attempts.train(bench, begun.trial, begun.report)
    except Exception as error:
        result = error
    state = end(bench, begun, result)
    if isinstance(result, Exception):  # the next trial needs what this one has in memory
        attempts.release(result)
        if attempts.is_out_of_memory(result):
            free_memory(bench.job.device)
    return state


def end(bench: Bench, begun: Begun, result: TrainResult | Exception) -> TrialState:
    """Tell how the trial ended; an exception that ends the run is raised."""
    if isinstance(result, ENDS_RUN):
        raise result
    try:
        state = _end(bench, begun, result)
    except TakenError:
        return _leave(bench, begun.trial)
    metrics = result.metrics if isinstance(result, TrainResult) else {}
    begun.logs.end(state.name.lower(), metrics)
    return state


def _end(bench: Bench, begun: Begun, result: TrainResult | Exception) -> TrialState:
    with bench.stop.shielded():
        if isinstance(result, TakenError):
            raise result
        if isinstance(result, TrainResult):
            return _finish(bench, begun.trial, bench.sharing.as_if_alone(result))
        if isinstance(result, optuna.TrialPruned):
            return _tell(bench, begun.trial, TrialState.PRUNED)
        return _fail(bench, begun.trial, result)


def _leave(bench: Bench, trial: optuna.Trial) -> TrialState:
    """Leave the trial, with its checkpoint, to the worker that has taken it over."""
    message = f"trial {trial.number} was taken over by another worker while this one was silent"
    bench.note("trial-taken-over", message, trial._trial_id)
    return TrialState.RUNNING


def _start(bench: Bench, frozen: FrozenTrial) -> optuna.Trial:
    """The Optuna trial with all parameters set, its circumstances recorded."""
    store, study, job = bench.store, bench.study, bench.job
    trial_id = frozen._trial_id
    seed = frozen.user_attrs.get(attributes.SEED, trial_seed(job.seed, frozen.number))
    planned = frozen.user_attrs.get(attributes.COHORT) in (BASELINE, DESIGN)
    sampler = "random" if planned else job.search.sampler
    study.sampler = make_sampler(sampler, seed=seed, study_seed=job.seed, fixed=frozen.params)
    trial = store.retry(optuna.Trial, study, trial_id)
    for name, distribution in job.distributions.items():
        if is_active(name, trial.params, job.when):
            store.retry(suggest, trial, name, distribution)
    context = {
        "data_source": bench.prepared.source,
        "data_fingerprint": bench.prepared.fingerprint,
        "preset": job.preset,
        "device": job.device,
        "precision": bench.prepared.precision,
        "threads": environment.threads(),
        "versions": environment.versions(),
        "git_commit": environment.git_commit(),
    }
    store.retry(bench.storage.start, trial_id, context)
    return trial


def _reporter(bench: Bench, trial: optuna.Trial, held: Held, logs: LiveLogs) -> Report:
    """What the trainer calls after each epoch: stores it and ends a hopeless exploit trial."""
    store = bench.store
    search = bench.job.search
    may_prune = trial.user_attrs.get(attributes.COHORT) == EXPLOIT and search.prunes
    reached = max(trial._cached_frozen_trial.intermediate_values, default=0)
    died = held.deaths > 0

    def write(record: EpochRecord) -> bool:
        nonlocal died
        value = record.metrics.get(bench.job.metric)  # None: the stage has another goal
        # Optuna takes no reports of several objectives.
        reported = None if search.also or value is None else float(value)
        store.record_epoch(held.claim, record, reported)
        if died and record.epoch > reached:
            store.retry(orphans.reset_deaths, store.engine, held.claim)
            died = False
        if reported is None:
            return False
        trial._cached_frozen_trial.intermediate_values[record.epoch] = reported
        return may_prune and store.retry(trial.should_prune)

    def report(record: EpochRecord) -> None:
        with bench.stop.shielded():
            try:
                prune = write(record)
            except STORE_ERRORS as error:
                raise store_lost(store, error) from error
        logs.epoch(record)
        if prune:
            raise optuna.TrialPruned

    return report


def _finish(bench: Bench, trial: optuna.Trial, result: TrainResult) -> TrialState:
    job, store = bench.job, bench.store
    try:
        values = [_measured(job, result, name) for name in job.objectives]
        limits = job.search.constraints.items()
        over = {name: _measured(job, result, name) - limit for name, limit in limits}
    except NoMetricError as error:
        _fail(bench, trial, error)
        raise
    facts = {"metrics": result.metrics, "facts": result.facts, "seconds": result.seconds}
    metrics = {name: float(one) for name, one in result.metrics.items() if math.isfinite(one)}
    bench.storage.write_with_end(trial._trial_id, {attributes.METRICS: metrics}, facts)
    for name, value in zip((*job.objectives, *over), (*values, *over.values()), strict=True):
        if not math.isfinite(value):
            return _fail(bench, trial, HpsearchError(f"{name} is {value}, not a finite number"))
    _constrain(bench, trial, over)
    _tell(bench, trial, TrialState.COMPLETE, values)
    kept_models.keep_if_best(store, bench.ref, bench.study, trial, job.model(trial.number))
    return TrialState.COMPLETE


def _measured(job: Job, result: TrainResult, name: str) -> float:
    """A metric of the trial, a numeric fact, its `seconds` or `seconds_per_epoch`.

    Raises NoMetricError if the trainer measured no such thing.
    """
    per_epoch = result.seconds / max(result.epochs, 1)
    facts = {key: one for key, one in result.facts.items() if isinstance(one, int | float)}
    known = {**facts, "seconds": result.seconds, "seconds_per_epoch": per_epoch, **result.metrics}
    if name in known:
        return float(known[name])
    others = sorted(set(known) - set(result.metrics))
    raise NoMetricError(
        f"The trainer {job.trainer} gives no metric {name!r} but "
        f"{', '.join([*sorted(result.metrics), *others])}: name one of those."
    )


def _constrain(bench: Bench, trial: optuna.Trial, over: Mapping[str, float]) -> None:
    """Tell by how much the trial is over each limit (Optuna's constraints), and if it is."""
    for name, value in over.items():
        trial.set_constraint(name, value)
    if broken := [name for name, value in over.items() if value > 0]:
        bench.storage.write_with_end(trial._trial_id, {attributes.INFEASIBLE: broken})


def _fail(bench: Bench, trial: optuna.Trial, error: BaseException) -> TrialState:
    """Record the trial as failed, with its reason where people look and its traceback."""
    reason = bench.store.redact(reason_of(error))
    bench.store.record_event(
        "trial-failed",
        reason,
        traceback="".join(traceback.format_exception(error)),
        study=bench.ref,
        trial_id=trial._trial_id,
        run_id=bench.job.run_id,
        worker=bench.worker.name,
    )
    bench.storage.write_with_end(trial._trial_id, {attributes.FAILURE: reason})
    return _tell(bench, trial, TrialState.FAIL)


def reason_of(error: BaseException) -> str:
    """Why a trial failed, in one line."""
    text = (str(error).strip().splitlines() or [""])[0]
    if attempts.is_out_of_memory(error):
        text = "out of memory" + (f": {text}" if text else "")
    elif not isinstance(error, HpsearchError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return (text or "the trainer gave no reason")[:500]


def _tell(
    bench: Bench, trial: optuna.Trial, state: TrialState, values: list[float] | None = None
) -> TrialState:
    """Tell the trial's end, once: whoever tells a trial second changes nothing."""
    # Another worker, which thought this one dead, may have finished the trial.
    with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
        bench.store.retry(bench.study.tell, trial, values, state=state, skip_if_finished=True)
    remove(bench.job.checkpoint(trial.number))
    return state
