"""When a run may end early: its target is reached, or its rules no longer change."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import optuna

from hpsearch.core.plain_json import to_json
from hpsearch.errors import HpsearchError
from hpsearch.search.job import Job
from hpsearch.search.plan.study_record import is_reached
from hpsearch.store import Store, summaries
from hpsearch.store.queue import runs
from hpsearch.store.queue.fence import StudyRef
from hpsearch.store.tables.optuna_private import study_id

CHECK_EVERY = 10
"""Finished trials from one look at the rules to the next."""
STABLE_CHECKS = 3
"""So many looks in a row must find the same rules."""
RULES_CHECKED = "rules-looked-at"
"""The kind of event that a look leaves, so that whoever looks next can compare."""

Rules = dict[str, tuple[Any, Any, Any]]


def should_end(job: Job, store: Store, ref: StudyRef, study: optuna.Study) -> bool:
    """Whether the workers of the run should take no more trials; the run's row then says why."""
    if job.run_id is None or (job.search.target is None and not job.search.until_stable):
        return False
    reason = runs.ending(store.engine, job.run_id)
    if reason is None and is_reached(store, study, job.search.target):
        reason = "target reached"
    if reason is None and job.search.until_stable and _is_stable(store, ref, study, job.metric):
        reason = "rules stable"
    if reason is None:
        return False
    runs.end_early(store.engine, ref, job.run_id, reason)
    return True


def _is_stable(store: Store, ref: StudyRef, study: optuna.Study, metric: str) -> bool:
    """Look at the rules if it is time to, and compare with the looks before."""
    counts = summaries.states(store.engine, study_id(study))
    finished = sum(n for state, n in counts.items() if state.is_finished())
    events = store.events(study_id(study))
    looks = [json.loads(one["message"]) for one in events if one["kind"] == RULES_CHECKED]
    if not finished or (looks and finished // CHECK_EVERY <= looks[-1]["finished"] // CHECK_EVERY):
        return False
    rules = _rules(study, metric)
    look = {"finished": finished, "rules": rules}
    store.record_event(RULES_CHECKED, to_json(look), study=ref)
    latest = [*(one["rules"] for one in looks), rules][-STABLE_CHECKS:]
    return len(latest) == STABLE_CHECKS and agree(latest)


def _rules(study: optuna.Study, metric: str) -> Rules:
    """The rules that hold now, by parameter and kind; none where the trials support none."""
    from hpsearch.analysis import explain

    try:
        found = explain(study, metric=metric).rules
    except HpsearchError:
        return {}
    return {
        f"{rule.param} {rule.kind}": (rule.value, rule.best_low, rule.best_high) for rule in found
    }


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
