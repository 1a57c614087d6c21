"""One trial: its parameters drawn, its model trained, every epoch written, its end told."""

from __future__ import annotations

import contextlib
import math
import shutil
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import optuna
import sqlalchemy as sa
from optuna.trial import FrozenTrial, TrialState

from hpsearch.errors import HpsearchError
from hpsearch.search import attempts, circumstances, models
from hpsearch.search.cohorts import BASELINE, DESIGN, EXPLOIT, trial_seed
from hpsearch.search.job import Job
from hpsearch.search.limits import Guard
from hpsearch.search.sampling import make_sampler, suggest
from hpsearch.search.stopping import Stopper
from hpsearch.store import Store, orphans
from hpsearch.store.identity import Worker
from hpsearch.store.lean import LeanStorage
from hpsearch.store.opening import why
from hpsearch.store.patience import is_passing
from hpsearch.store.reading import INFEASIBLE
from hpsearch.training.contract import EpochRecord, Prepared, Report, Trainer, TrainResult

LOST = (sa.exc.DBAPIError, optuna.exceptions.StorageInternalError)
"""What a database that stays out of reach raises."""


class StoreLostError(HpsearchError):
    """The database stayed out of reach for longer than anybody waits."""


class NoMetricError(HpsearchError):
    """The trainer does not compute the metric that the study is to improve."""


ENDS_RUN = (StoreLostError, attempts.DiskFullError)


@dataclass
class Bench:
    """What one worker runs its trials with."""

    job: Job
    store: Store
    lean: LeanStorage
    study: optuna.Study
    trainer: Trainer
    prepared: Prepared
    worker: Worker
    stop: Stopper
    guard: Guard

    def note(self, kind: str, message: str, trial_id: int | None = None) -> None:
        """Write an event of this worker down."""
        self.store.record_event(
            kind,
            message,
            study_id=self.study._study_id,
            trial_id=trial_id,
            run_id=self.job.run_id,
            worker=self.worker.name,
        )


def run_trial(bench: Bench, trial_id: int) -> TrialState:
    """Train the claimed trial and tell how it ended; KeyboardInterrupt passes, untold.

    Raises NoMetricError, StoreLostError and DiskFullError, which end the run. Everything else that
    a trainer raises is the trial's own failure.
    """
    with bench.stop.shielded():
        (begun,) = begin(bench, [trial_id])
    return train_alone(bench, begun)


@dataclass(frozen=True)
class Begun:
    """A trial that has its parameters, and what its trainer is to report to."""

    trial: optuna.Trial
    report: Report


def begin(bench: Bench, trial_ids: Sequence[int]) -> list[Begun]:
    """Draw the parameters of claimed trials, none of which sees a result of the others."""
    begun = []
    for held in bench.store.patiently(lambda: bench.lean.hold(trial_ids)):
        trial = _start(bench, held.trial)
        begun.append(Begun(trial, _reporter(bench, trial, held.deaths)))
    return begun


def train_alone(bench: Bench, begun: Begun) -> TrialState:
    """Train the trial and tell how it ended: see `run_trial`."""
    try:
        result: TrainResult | Exception = attempts.train(bench, begun.trial, begun.report)
    except Exception as error:
        result = error
    return end(bench, begun, result)


def end(bench: Bench, begun: Begun, result: TrainResult | Exception) -> TrialState:
    """Tell how the trial ended; an exception that ends the run is raised."""
    if isinstance(result, ENDS_RUN):
        raise result
    with bench.stop.shielded():
        if isinstance(result, TrainResult):
            return _finish(bench, begun.trial, result)
        if isinstance(result, optuna.TrialPruned):
            return _tell(bench, begun.trial, TrialState.PRUNED)
        return _fail(bench, begun.trial, result)


def _start(bench: Bench, frozen: FrozenTrial) -> optuna.Trial:
    """The Optuna trial with all parameters set, its circumstances recorded."""
    store, study, job = bench.store, bench.study, bench.job
    trial_id = frozen._trial_id
    seed = frozen.user_attrs.get("hps_seed", trial_seed(job.seed, frozen.number))
    planned = frozen.user_attrs.get("hps_cohort") in (BASELINE, DESIGN)
    sampler = "random" if planned else job.search.sampler
    study.sampler = make_sampler(sampler, seed=seed, study_seed=job.seed, fixed=frozen.params)
    trial = store.patiently(lambda: optuna.Trial(study, trial_id))
    for name, distribution in job.distributions.items():
        store.patiently(lambda n=name, d=distribution: suggest(trial, n, d))  # type: ignore[misc]
    context = {
        "data_source": bench.prepared.source,
        "data_fingerprint": bench.prepared.fingerprint,
        "preset": job.preset,
        "device": job.device,
        "precision": bench.prepared.precision,
        "threads": circumstances.threads(),
        "versions": circumstances.versions(),
        "git_commit": circumstances.git_commit(),
    }
    store.patiently(lambda: bench.lean.start(trial_id, context))
    return trial


def _reporter(bench: Bench, trial: optuna.Trial, deaths: int) -> Report:
    """What the trainer calls after each epoch: stores it and ends a hopeless exploit trial."""
    store = bench.store
    search = bench.job.search
    may_prune = trial.user_attrs.get("hps_cohort") == EXPLOIT and search.prunes
    trial_id = trial._trial_id
    reached = max(trial._cached_frozen_trial.intermediate_values, default=0)
    died = deaths > 0

    def write(record: EpochRecord) -> bool:
        nonlocal died
        value = record.metrics.get(bench.job.metric)  # None: the stage has another goal
        # Optuna takes no reports of several objectives.
        reported = None if search.also or value is None else float(value)
        store.record_epoch(trial_id, record, reported)
        if died and record.epoch > reached:
            store.patiently(lambda: orphans.forgive(store.engine, trial_id))
            died = False
        if reported is None:
            return False
        trial._cached_frozen_trial.intermediate_values[record.epoch] = reported
        return may_prune and store.patiently(trial.should_prune)

    def report(record: EpochRecord) -> None:
        with bench.stop.shielded():
            try:
                prune = write(record)
            except LOST as error:
                raise lost(store, error) from error
        if prune:
            raise optuna.TrialPruned

    return report


def lost(store: Store, error: BaseException) -> StoreLostError:
    """What to raise for an error of the database that did not pass while it was waited for."""
    waited = f", for {store.patience_s:.0f} s by now" if is_passing(error) else ""
    store.patience_s = 0.0  # what is still to be written on the way out need not wait again
    return StoreLostError(
        f"The store {store.shown_url} {why(error, store.url)}{waited}; no finished trial is lost: "
        "mend it, then run the same command again."
    )


def _finish(bench: Bench, trial: optuna.Trial, result: TrainResult) -> TrialState:
    job, store = bench.job, bench.store
    try:
        values = [_measured(job, result, name) for name in objectives(job)]
        limits = job.search.constraints.items()
        over = {name: _measured(job, result, name) - limit for name, limit in limits}
    except NoMetricError as error:
        _fail(bench, trial, error)
        raise
    facts = {"metrics": result.metrics, "facts": result.facts, "seconds": result.seconds}
    metrics = {name: float(one) for name, one in result.metrics.items() if math.isfinite(one)}
    bench.lean.finish_with(trial._trial_id, {"hps_metrics": metrics}, facts)
    for name, value in zip((*objectives(job), *over), (*values, *over.values()), strict=True):
        if not math.isfinite(value):
            return _fail(bench, trial, HpsearchError(f"{name} is {value}, not a finite number"))
    _constrain(bench, trial, over)
    _tell(bench, trial, TrialState.COMPLETE, values)
    models.keep_if_best(store, bench.study, trial, models.trial_folder(job, trial.number))
    return TrialState.COMPLETE


def objectives(job: Job) -> list[str]:
    """The study's metric and whatever else it is to improve."""
    return [job.metric, *(name.removeprefix("+") for name in job.search.also)]


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
        bench.lean.finish_with(trial._trial_id, {INFEASIBLE: broken})


def _fail(bench: Bench, trial: optuna.Trial, error: BaseException) -> TrialState:
    """Record the trial as failed, with its reason where people look and its traceback."""
    reason = bench.store.redact(reason_of(error))
    bench.store.record_event(
        "trial-failed",
        reason,
        traceback="".join(traceback.format_exception(error)),
        study_id=bench.study._study_id,
        trial_id=trial._trial_id,
        run_id=bench.job.run_id,
        worker=bench.worker.name,
    )
    bench.lean.finish_with(trial._trial_id, {"hps_failure": reason})
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
        bench.store.patiently(
            lambda: bench.study.tell(trial, values, state=state, skip_if_finished=True)
        )
    shutil.rmtree(bench.job.checkpoint(trial.number), ignore_errors=True)
    return state
