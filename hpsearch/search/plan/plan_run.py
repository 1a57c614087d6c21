"""The plan of a run: makes the study if it is new, and puts the run's trials into its queue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import TrialState

from hpsearch.errors import InputError
from hpsearch.search.plan.cohorts import ENQUEUED, WARM_START, History, Request, plan, trial_seed
from hpsearch.search.plan.prior import Prior
from hpsearch.search.plan.study_record import StudyRecord
from hpsearch.search.plan.warm_start import warm_start
from hpsearch.store import Store, StudySummary
from hpsearch.store.make_study import own_ref
from hpsearch.store.queue import queue, runs, taken_trials
from hpsearch.store.queue.fence import StudyRef
from hpsearch.store.queue.orphans import requeue_orphans
from hpsearch.store.queue.processes import this_worker
from hpsearch.store.tables import attributes
from hpsearch.store.tables.space_json import space_from_json
from hpsearch.store.trials.frozen import all_trials
from hpsearch.store.trials.write.deleted import drop_orphans
from hpsearch.study.conditions import check_complete
from hpsearch.study.space import check_config
from hpsearch.trainers.contract import Prepared

if TYPE_CHECKING:
    from hpsearch.search.engines import WorkerPool


def enqueue_trial(store: Store, study: StudySummary, config: Mapping[str, Any]) -> int:
    """Put a trial with the values of `config` into the study's queue; its number.

    The sampler draws what is left open. Raises InputError for a value that the study's space does
    not hold, and for a study that hpsearch did not make.
    """
    study.check()
    if not {attributes.SPACE, attributes.SEED} <= study.attrs.keys():
        raise InputError(
            f"The study {study.name} was not made by `hpsearch run`, which is what takes "
            "trials from the queue: use Optuna's enqueue_trial for it."
        )
    space = space_from_json(study.attrs[attributes.SPACE])
    params = check_config("enqueue", config, space)
    check_complete("enqueue", params, study.attrs.get(attributes.WHEN) or {})
    seed = study.attrs[attributes.SEED]
    (number,) = queue.enqueue(
        store.engine, study.ref, None, space,
        lambda first: [queue.Planned(ENQUEUED, trial_seed(seed, first), params)],
    )  # fmt: skip
    return number


@dataclass(frozen=True)
class Planned:
    """A run whose trials are in the queue: its study, its id, and how many trials it has.

    `left_over` of them are from earlier runs. `note` is a sentence for the user, if there is one.
    """

    study: optuna.Study
    run_id: int
    trials: int
    left_over: int
    seed: int
    ref: StudyRef
    note: str = ""


def plan_run(
    record: StudyRecord,
    prepared: Prepared,
    pool: WorkerPool,
    *,
    trials: int,
    seed: int,
    prior: Prior | None = None,
) -> Planned:
    """Make the study if it is new and put this run's trials into its queue.

    Waiting trials of runs that ended early count towards `trials`. Only one process at a
    time plans in a store. If two processes start a new study together, they make one study, and
    each adds its own trials. If the database does not answer, this waits for it, as the run does.
    """
    store = record.store
    drawn_from = taken_trials.Plan(list(record.preset.distributions), record.search.fix)

    def attempt() -> Planned:
        with store.exclusive("plan"):
            study, corrected = record.make(prepared, seed)
            study_seed = study.user_attrs[attributes.SEED]
            with started(store, study, pool, trials) as (ref, run_id):
                taken, left_over = runs.take_over(
                    store.engine, ref, run_id, trials, drawn_from,
                    lambda number: trial_seed(study_seed, number),
                )  # fmt: skip
                note = taken_trials.taken_sentence(taken, ref.name) if taken else corrected
                planned = Planned(study, run_id, trials, left_over, study_seed, ref, note)
                _enqueue(record, planned, prior)
        return planned

    return store.retry(attempt)


@contextmanager
def started(
    store: Store, study: optuna.Study, pool: WorkerPool, trials: int
) -> Iterator[tuple[StudyRef, int]]:
    """Start a run of so many trials: the study and the run's id. If what follows fails, the run
    ends, and the next run takes over what is in the queue already.

    The caller holds the lock under which studies are planned.
    """
    drop_orphans(store.engine)
    ref, me = own_ref(study), this_worker()
    requeue_orphans(store, ref, me, None)
    run_id = store.start_run(
        ref, trials=trials, workers=pool.workers, engine=pool.engine,
        machine=me.machine, host=me.host, pid=me.pid,
    )  # fmt: skip
    try:
        yield ref, run_id
    except BaseException:
        store.end_run(ref, run_id, "failed")
        raise


def _enqueue(record: StudyRecord, run: Planned, prior: Prior | None) -> None:
    """Put the run's new trials into the queue, going on where the study's earlier plans stopped."""
    store, preset, search = record.store, record.preset, record.search
    known, space = all_trials(run.study), preset.distributions
    history = History.of(known)
    tries = [(ENQUEUED, config) for config in search.tries]
    tries += [(WARM_START, one) for one in warm_start(store, known, space, search)]
    request = Request(
        run.trials - run.left_over, search.design_share, search.fix, tries, prior, preset.when
    )

    def planned(first: int) -> list[queue.Planned]:
        return plan(space, preset.defaults, request, first=first, seed=run.seed, history=history)

    queue.enqueue(store.engine, run.ref, run.run_id, space, planned)


def unfinished(counts: Mapping[TrialState, int]) -> int:
    return counts.get(TrialState.WAITING, 0) + counts.get(TrialState.RUNNING, 0)
