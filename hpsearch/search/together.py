"""Several trials of a worker trained side by side, where the trainer can.

Each stays a trial of its own: with its row, epochs, checkpoint, pruning and failure. What the
trainer comes to for it is, to the bit, what it would have come to alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import optuna
from optuna.trial import TrialState

from hpsearch.search import attempts, circumstances
from hpsearch.search.cohorts import BASELINE, DESIGN
from hpsearch.search.job import Job
from hpsearch.search.objective import (
    ENDS_RUN,
    Begun,
    Bench,
    begin,
    end,
    objectives,
    reason_of,
    train_alone,
)
from hpsearch.store import queue
from hpsearch.training.contract import DivergedError, Member, Together, TrainResult

MOST = 6
"""More gain little: what calls cost is then small beside the arithmetic, and caches overflow."""
MOST_CHOSEN = 4
"""Of trials that a sampler chooses, which do not see each other's results. With two workers, 32
trials of TPE chosen 8 at a time end no worse than 2 at a time, 16 at a time a fifth worse."""
TURNS = 4
"""Every worker is to have so many turns, or the last of them would wait long for the others."""
PLANNED = (BASELINE, DESIGN)


def most(trials: int, workers: int) -> int:
    """How many of a run's trials a worker should train at a time.

    With one worker it is always the same: what a sampler sees then depends on nothing else.
    """
    return MOST if workers == 1 else max(1, min(MOST, trials // (workers * TURNS)))


def claim_beside(bench: Bench, trial_id: int) -> list[int]:
    """Claim the trials to train together with one that this worker has claimed."""
    job, store = bench.job, bench.store
    if job.together == 1 or not _possible(bench):
        return []

    def company(cohort: str) -> tuple[Sequence[str], int]:
        cohorts, size = (PLANNED, MOST) if cohort in PLANNED else ((cohort,), MOST_CHOSEN)
        return cohorts, min(size, job.together)

    return store.patiently(
        lambda: queue.claim_beside(store.engine, trial_id, bench.worker, company)
    )


def _possible(bench: Bench) -> bool:
    """Limits and measured times are those of one trial; two threads make a small model slower."""
    job = bench.job
    if not hasattr(bench.trainer, "train_together"):
        return False
    limited = job.trial_seconds is not None or job.trial_memory is not None or _timed(job)
    return not limited and (job.device != "cpu" or circumstances.threads() == 1)


def _timed(job: Job) -> bool:
    return any(name.startswith("seconds") for name in (*objectives(job), *job.search.constraints))


def run_together(bench: Bench, trial_ids: Sequence[int]) -> list[TrialState]:
    """Train the claimed trials and tell how they ended, as `run_trial` does for one.

    What ends a trial, or all of them, otherwise than by its result, by pruning or by diverging is
    met again when it is trained alone: see `attempts.train`.
    """
    with bench.stop.shielded():
        begun = begin(bench, trial_ids)
    left, states = dict(enumerate(begun)), []
    for place, outcome in _outcomes(bench, begun):
        if isinstance(outcome, (*ENDS_RUN, TrainResult, optuna.TrialPruned, DivergedError)):
            states.append(end(bench, left.pop(place), outcome))
    return states + [train_alone(bench, one) for one in left.values()]


def _outcomes(
    bench: Bench, begun: Sequence[Begun]
) -> Iterator[tuple[int, TrainResult | Exception]]:
    trainer = cast(Together, bench.trainer)
    members = [
        Member(
            params={**one.trial.params, **attempts.halved(one.trial.user_attrs)},
            seed=attempts.seed_of(bench.job, one.trial),
            report=one.report,
            checkpoint=attempts.checkpoint(bench, one.trial),
        )
        for one in begun
    ]
    ends = trainer.train_together(
        bench.job.settings, members, bench.prepared, device=bench.job.device
    )
    while True:
        try:
            found = next(ends)
        except StopIteration:
            return
        except Exception as error:
            bench.note("trained-alone", f"trials could not train together: {reason_of(error)}")
            return
        yield found
