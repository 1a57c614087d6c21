"""The best trial's parameters and the recommended ones as lines to copy, and what tuning gains."""

from __future__ import annotations

from typing import NamedTuple

from hpsearch.analysis.results import Results
from hpsearch.analysis.views.tunability import Tunability
from hpsearch.core.words import assignments, digits, format_value

TUNING_HEADER = ("parameter", "gain of tuning it alone", "gain of it in the recommendation")


class Configuration(NamedTuple):
    """`line` holds the parameters as name=value; `words` say what they are."""

    title: str
    words: str
    line: str


def configurations(e: Results) -> list[Configuration]:
    """The best trial, and the recommendation; one of both where they are the same."""
    best = f"{e.metric} {digits(e.best_value, 4)} in trial {e.best_trial}."
    advised = e.recommendation
    if advised is None:
        return [Configuration("Best so far", best, assignments(e.best_params))]
    if advised.trial == e.best_trial:
        return [Configuration("Use the best so far", f"{best} {advised.statement}", advised.line)]
    return [
        Configuration("Best so far", best, assignments(e.best_params)),
        Configuration("Use", advised.statement, advised.line),
    ]


def tuning_rows(found: Tunability) -> list[tuple[str, ...]]:
    """One row a parameter, in the metric's unit, the largest gain first."""
    return [(one.param, digits(one.alone), digits(one.at_best)) for one in found.params]


def path_line(found: Tunability) -> str:
    """From the defaults to the recommendation, the step that gains most first."""
    steps = [f"{s.param}={format_value(s.value)} {digits(s.predicted, 4)}" for s in found.path]
    return f"From the defaults, predicted {digits(found.default, 4)}, by: {'; '.join(steps)}."
