"""When a run may end early: its target is reached, or its rules no longer change."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.study import StudyDirection

from hpsearch.errors import HpsearchError
from hpsearch.search.job import Job
from hpsearch.store import Store, reading, runs
from hpsearch.store.schema import to_json

LOOK_EVERY = 10
"""Finished trials from one look at the rules to the next."""
AGREEING = 3
"""So many looks in a row must find the same rules."""
LOOKED = "rules-looked-at"
"""The kind of event that a look leaves, so that whoever looks next can compare."""

Rules = dict[str, tuple[Any, Any, Any]]


def should_end(job: Job, store: Store, study: optuna.Study) -> bool:
    """Whether the workers of the run should take no more trials; the run's row then says why."""
    if job.run_id is None or (job.search.target is None and not job.search.until_stable):
        return False
    reason = runs.ending(store.engine, job.run_id)
    if reason is None and is_reached(store, study, job.search.target):
        reason = "target reached"
    if reason is None and job.search.until_stable and _is_stable(store, study, job.metric):
        reason = "rules stable"
    if reason is None:
        return False
    runs.end_early(store.engine, job.run_id, reason)
    return True


def is_reached(store: Store, study: optuna.Study, target: float | None) -> bool:
    """Whether the study has a trial at least as good as `target`."""
    if target is None:
        return False
    direction = study.directions[0]
    best = reading.best(store.engine, study._study_id, direction)
    if best is None:
        return False
    return best[0] >= target if direction == StudyDirection.MAXIMIZE else best[0] <= target


def _is_stable(store: Store, study: optuna.Study, metric: str) -> bool:
    """Look at the rules if it is time to, and compare with the looks before."""
    counts = reading.states(store.engine, study._study_id)
    finished = sum(n for state, n in counts.items() if state.is_finished())
    events = store.events(study._study_id)
    looks = [json.loads(one["message"]) for one in events if one["kind"] == LOOKED]
    if not finished or (looks and finished // LOOK_EVERY <= looks[-1]["finished"] // LOOK_EVERY):
        return False
    rules = _rules(study, metric)
    look = {"finished": finished, "rules": rules}
    store.record_event(LOOKED, to_json(look), study_id=study._study_id)
    latest = [*(one["rules"] for one in looks), rules][-AGREEING:]
    return len(latest) == AGREEING and agree(latest)


def _rules(study: optuna.Study, metric: str) -> Rules:
    """The rules that hold now, by parameter and kind; none where the trials support none."""
    from hpsearch.analysis import explain

    try:
        found = explain(study, metric=metric).rules
    except HpsearchError:
        return {}
    return {f"{rule.param} {rule.kind}": (rule.value, rule.low, rule.high) for rule in found}


def agree(looks: Sequence[Rules]) -> bool:
    """Whether all looks have the same rules, at least one, and every value of the last lies in the
    intervals of those before."""
    last = looks[-1]
    if not last or any(one.keys() != last.keys() for one in looks):
        return False
    return all(_lies_in(last[rule][0], *one[rule]) for one in looks[:-1] for rule in last)


def _lies_in(value: Any, other: Any, low: Any, high: Any) -> bool:  # noqa: ANN401
    numbers = all(
        isinstance(one, int | float) and not isinstance(one, bool) for one in (value, low, high)
    )
    return bool(low <= value <= high) if numbers else bool(value == other)
