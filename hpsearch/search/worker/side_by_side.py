"""Several trials of a worker trained side by side, where the trainer can.

Each stays a trial of its own: with its row, epochs, checkpoint, pruning and failure. What the
trainer comes to for it is, to the bit, what it would have come to alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import optuna
from optuna.trial import TrialState

from hpsearch.core import environment
from hpsearch.search.job import Job
from hpsearch.search.plan.cohorts import BASELINE, DESIGN
from hpsearch.search.worker import attempts
from hpsearch.search.worker.bench import Bench
from hpsearch.search.worker.limits import free_memory
from hpsearch.search.worker.trial import (
    ENDS_RUN,
    Begun,
    begin,
    end,
    reason_of,
    train_alone,
)
from hpsearch.store.queue import queue
from hpsearch.store.queue.fence import Claim, TakenError
from hpsearch.trainers.contract import DivergedError, Member, TrainResult, TrialSetup

MOST = 6
"""More gain little: what calls cost is then small beside the arithmetic, and caches overflow."""
MOST_CHOSEN = 4
"""Of trials that a sampler chooses, which do not see each other's results. With two workers, 32
trials of TPE chosen 8 at a time end no worse than 2 at a time, 16 at a time a fifth worse."""
TURNS = 4
"""Every worker is to have so many turns, or the last of them would wait long for the others."""
PLANNED = (BASELINE, DESIGN)
ENDS_TRIAL = (*ENDS_RUN, TrainResult, optuna.TrialPruned, DivergedError, TakenError)


def most(trials: int, workers: int) -> int:
    """How many of a run's trials a worker should train at a time.

    A single worker always trains MOST. So what its sampler sees does not depend on the run's size.
    """
    return MOST if workers == 1 else max(1, min(MOST, trials // (workers * TURNS)))


def claim_beside(bench: Bench, claim: Claim) -> list[Claim]:
    """Claim the trials to train together with one that this worker has claimed."""
    job, store = bench.job, bench.store
    if job.together == 1 or not _possible(bench):
        return []

    def beside(cohort: str) -> tuple[Sequence[str], int]:
        cohorts, size = (PLANNED, MOST) if cohort in PLANNED else ((cohort,), MOST_CHOSEN)
        return cohorts, min(size, job.together)

    return store.retry(queue.claim_beside, store.engine, claim, beside)


def _possible(bench: Bench) -> bool:
    """Whether this worker may train trials side by side.

    It may not if the job limits or measures the time or memory of one trial. On a processor it may
    not with two threads or more, because these make a small model slower.
    """
    job = bench.job
    if bench.trainer.train_side_by_side is None:
        return False
    limited = job.trial_seconds is not None or job.trial_memory is not None or _timed(job)
    return not limited and (job.device != "cpu" or environment.threads() == 1)


def _timed(job: Job) -> bool:
    return any(name.startswith("seconds") for name in (*job.objectives, *job.search.constraints))


def run_together(bench: Bench, claims: Sequence[Claim]) -> list[TrialState]:
    """Train the claimed trials and tell how they ended, as `run_trial` does for one.

    A trial here ends with its result, by pruning or by diverging. A trial that any other error
    interrupts is trained once more, alone: `attempts.train` deals with such errors.
    """
    with bench.stop.shielded():
        begun = begin(bench, claims)
    if not begun:
        return []
    left, states = dict(enumerate(begun)), []
    for place, outcome in _outcomes(bench, begun):
        if isinstance(outcome, ENDS_TRIAL):
            states.append(end(bench, left.pop(place), outcome))
    return states + [train_alone(bench, one) for one in left.values()]


def _outcomes(
    bench: Bench, begun: Sequence[Begun]
) -> Iterator[tuple[int, TrainResult | Exception]]:
    train = bench.trainer.train_side_by_side
    assert train is not None, "claim_beside claimed for a trainer that trains one at a time"
    members = [_member(bench, one) for one in begun]
    ends = train(bench.job.settings, members, bench.prepared)
    while True:
        try:
            found = next(ends)
        except StopIteration:
            return
        except Exception as error:
            bench.note("trained-alone", f"trials could not train together: {reason_of(error)}")
            attempts.release(error)
            break
        yield found
    free_memory(bench.job.device)


def _member(bench: Bench, begun: Begun) -> Member:
    trial = begun.trial
    setup = TrialSetup(
        seed=attempts.seed_of(bench.job, trial),
        device=bench.job.device,
        report=begun.report,
        checkpoint=attempts.checkpoint(bench, trial),
        number=trial.number,
        objectives=tuple(bench.job.objectives),
        note=attempts.noter(bench, trial),
    )
    return Member({**trial.params, **attempts.halved_batch(trial.user_attrs)}, setup)
