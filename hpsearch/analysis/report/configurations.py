"""The best trial's parameters and the recommended ones, as lines to copy."""

from __future__ import annotations

from typing import NamedTuple

from hpsearch.analysis.results import Results
from hpsearch.core.words import assignments


class Configuration(NamedTuple):
    """`line` holds the parameters as name=value; `words` say what they are."""

    title: str
    words: str
    line: str


def configurations(e: Results) -> list[Configuration]:
    """The best trial, and the recommendation; one of both where they are the same."""
    best = f"{e.metric} {e.best_value:.4g} in trial {e.best_trial}."
    advised = e.recommendation
    if advised is None:
        return [Configuration("Best so far", best, assignments(e.best_params))]
    if advised.trial == e.best_trial:
        return [Configuration("Use the best so far", f"{best} {advised.statement}", advised.line)]
    return [
        Configuration("Best so far", best, assignments(e.best_params)),
        Configuration("Use", advised.statement, advised.line),
    ]
