"""Trials of ours that another program ran, such as Optuna's `optimize` on the same study.

Optuna's `ask` takes any waiting trial, ours too, and the program then tells the values of its own
function. We recognize such a trial because no worker of ours has claimed it. The trial stays in the
study as a trial of the other program. We plan a copy of it, so that our run still gets all its
trials.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from hpsearch.store.queue.fence import StudyRef, lock_study
from hpsearch.store.server.connections import begin
from hpsearch.store.tables import attributes, schema
from hpsearch.store.trials import read, write

ELSEWHERE = "elsewhere"
"""The cohort of trials that another program ran."""
EXPLOIT, ENQUEUED = "exploit", "enqueued"
"""Of ours: drawn by the sampler; what somebody asked for."""
FIXED_PARAMS = "fixed_params"
"""The system attribute in which Optuna keeps the parameters of a trial that was enqueued."""
KEPT = (attributes.SEED, attributes.COHORT, attributes.REPLICATE_OF, attributes.IN_PLACE_OF)


@dataclass(frozen=True)
class Plan:
    """What trials are drawn from: the names of the parameters, and the values that hold in all."""

    space: Sequence[str]
    fix: Mapping[str, Any]


def replace_taken(engine: sa.Engine, study: StudyRef, run_id: int | None, plan: Plan) -> list[int]:
    """Copy each trial that another program took; the copies wait in the queue for the same run.

    Returns the numbers of the taken trials and marks them as the other program's. A copy keeps the
    planned parameters; the sampler draws its parameters again.
    """
    with engine.connect() as connection:  # the usual case, which locks nothing
        if not read.states.taken(connection, study, run_id):
            return []
    with begin(engine) as connection:
        first = lock_study(connection, study)
        return copy_taken(connection, study, run_id, plan, first)


def copy_taken(
    connection: sa.Connection, study: StudyRef, run_id: int | None, plan: Plan, first: int
) -> list[int]:
    """As `replace_taken`, in a transaction that locks the study; the first copy gets the number
    `first`."""
    rows = read.states.taken(connection, study, run_id)
    for number, row in enumerate(rows, first):
        _copy(connection, study, row, number, plan)
    return [row["number"] for row in rows]


def _copy(
    connection: sa.Connection, study: StudyRef, row: Mapping[Any, Any], number: int, plan: Plan
) -> None:
    """Plan a copy of the trial in `row`, and mark that trial as the other program's."""
    old, ours = row["trial_id"], schema.trial
    names = list(plan.fix) if row["cohort"] == EXPLOIT else list(plan.space)
    kept = write.states.Kept(names, KEPT, [FIXED_PARAMS])
    new = write.states.insert_copy(connection, old, study.study_id, number, kept)
    names = ["study_id", "run_id", "cohort", "seed", "replicate_of", "created_at"]
    content = {name: row[name] for name in names}
    connection.execute(sa.insert(ours).values(trial_id=new, **content))
    # A copy of a copy is in the first one's place.
    if not read.states.has_attr(connection, new, attributes.IN_PLACE_OF):
        write.states.set_attrs(connection, new, {attributes.IN_PLACE_OF: row["number"]})
    connection.execute(sa.delete(ours).where(ours.c.trial_id == old))
    write.states.delete_attrs(connection, old, KEPT)
    write.states.set_attrs(connection, old, {attributes.COHORT: ELSEWHERE})
    _point_replicates(connection, study, row["number"], number)


def _point_replicates(connection: sa.Connection, study: StudyRef, old: int, new: int) -> None:
    """Let the trials that repeat the configuration of trial `old` repeat that of `new`."""
    ours = schema.trial.c
    own = sa.select(ours.trial_id).where(ours.study_id == study.study_id, ours.replicate_of == old)
    repeats = connection.execute(own).scalars().all()
    write.states.replace_attr(connection, repeats, attributes.REPLICATE_OF, new)
    rows = sa.update(schema.trial).where(ours.trial_id.in_(repeats))
    connection.execute(rows.values(replicate_of=new))


def register(connection: sa.Connection, study: StudyRef, seed_of: Callable[[int], int]) -> None:
    """Let the runs also take the waiting trials that somebody enqueued with Optuna's own means.

    `seed_of` gives the seed of the trial of a number. The transaction locks the study.
    """
    for trial_id, number in read.states.unregistered(connection, study.study_id):
        seed = seed_of(number)
        attrs = {attributes.COHORT: ENQUEUED, attributes.SEED: seed}
        write.states.set_attrs(connection, trial_id, attrs)
        row = {"trial_id": trial_id, "study_id": study.study_id, "cohort": ENQUEUED, "seed": seed}
        connection.execute(sa.insert(schema.trial).values(**row, created_at=schema.utc_now()))


def taken_numbers(engine: sa.Engine, study: StudyRef) -> list[int]:
    """The trials of the study that another program took: those noted as such, and others."""
    with engine.connect() as connection:
        noted = read.states.numbers_with_attr(
            connection, study.study_id, attributes.COHORT, ELSEWHERE
        )
        new = read.states.taken(connection, study, None)
    return sorted({*noted, *(row["number"] for row in new)})


def taken_sentence(numbers: Sequence[int], name: str) -> str:
    """The sentence about them for people."""
    which = f"trial {numbers[0]}" if len(numbers) == 1 else f"{len(numbers)} trials"
    copies = "a copy of it is" if len(numbers) == 1 else "copies of them are"
    return (
        f"another program, such as Optuna's optimize, took {which} of {name} from the queue; "
        f"{copies} run instead, and what that program told stays in the study beside them"
    )
