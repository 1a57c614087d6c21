"""The baseline of a trainer's data: what a simple model makes of the same rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hpsearch.core.words import describe_params, number
from hpsearch.search.plan.plan_run import Planned
from hpsearch.store import Store, summaries
from hpsearch.store.tables import attributes
from hpsearch.store.tables.optuna_private import study_id
from hpsearch.trainers.contract import Prepared, Trainer
from hpsearch.trainers.shared.assessment import Baseline, assessor

TEST = "test_"
"""What the names of metrics on test data begin with."""


def make_baseline(
    trainer: Trainer,
    settings: Mapping[str, Any],
    data: Prepared,
    say: Callable[[str], None],
    *,
    cheap_only: bool = False,
) -> Baseline | None:
    """The baseline on the rows of `data`, from the cache if it was made before.

    None if the trainer has none, or if it takes long and is to be cheap. One that fails costs
    nothing but a sentence: the model beside it is what was asked for.
    """
    judge = assessor(trainer)
    if judge is None or (cheap_only and not judge.is_cheap(data)):
        return None
    try:
        return judge.baseline(settings, data)
    except Exception as error:
        say(f"There is no simple model for comparison: {type(error).__name__}: {error}.")
        return None


def describe_baseline(
    found: Baseline, metric: str, direction: str, metrics: Mapping[str, float], what: str
) -> str:
    """One sentence: the baseline's metrics, and whether `what` ("the model") is better by the
    study's `metric` (which the test data has if both were measured there)."""
    tested = f"{TEST}{metric}" in metrics and f"{TEST}{metric}" in found.metrics
    name = f"{TEST}{metric}" if tested else metric
    shown = {key: v for key, v in found.metrics.items() if key.startswith(TEST) == tested}
    text = f"for comparison, {found.name} on the same data: {describe_params(shown)}"
    if name not in metrics or name not in found.metrics:
        return text
    ours, theirs = metrics[name], found.metrics[name]
    better = ours > theirs if direction == "maximize" else ours < theirs
    verdict = "is better" if better else "is no better"
    return f"{text}; {what} {verdict}: {name} {number(float(ours))}"


def note_baseline(
    store: Store, planned: Planned, make: Callable[[], Baseline | None], metric: str
) -> str | None:
    """See to it that the study knows its baseline; a sentence that compares its best trial."""
    study = planned.study
    found = read_baseline(store.retry(getattr, study, "user_attrs"))
    if found is None:
        found = make()
        if found is None:
            return None
        content = {"name": found.name, "metrics": dict(found.metrics)}
        store.retry(study.set_user_attr, attributes.BASELINE, content)
    direction = study.directions[0]
    best = summaries.best(store.engine, study_id(study), direction)
    metrics = {} if best is None else {metric: best[0]}
    return describe_baseline(found, metric, direction.name.lower(), metrics, "the best trial")


def read_baseline(attrs: Mapping[str, Any]) -> Baseline | None:
    """The baseline that a study's attributes hold, None if there is none that can be read."""
    content = attrs.get(attributes.BASELINE)
    if not isinstance(content, Mapping):
        return None
    name, metrics = content.get("name"), content.get("metrics")
    if not isinstance(name, str) or not isinstance(metrics, Mapping):
        return None
    known = {str(key): value for key, value in metrics.items() if isinstance(value, int | float)}
    return Baseline(name, known)
