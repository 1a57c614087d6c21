"""Explaining the studies of some sources, and keeping the rules where they may be kept."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from hpsearch.analysis import Explanation, explain
from hpsearch.errors import HpsearchError, InputError
from hpsearch.output import keep_rules
from hpsearch.sources import Source
from hpsearch.store import StudySummary


def explain_all(
    studies: Sequence[tuple[Source, StudySummary]],
    console: Console,
    *,
    level: float,
    metric: str | None,
    seed: int,
    push: bool | None = None,
    good_region: float | None = None,
) -> tuple[list[Explanation], list[HpsearchError]]:
    """The explanation of each study, or why there is none.

    `push` puts plots and rules into the studies for the Optuna dashboard; None: into those that
    hpsearch ran. Rules of a `good_region` are not kept, those of the study being of all trials.
    Raises the first reason if there is no explanation at all.
    """
    explanations: list[Explanation] = []
    refused: list[HpsearchError] = []
    for source, summary in studies:
        try:
            with console.status(Text(f"Explaining {summary.name} ...")):
                study = source.load(summary)
                explanation = explain(
                    study, level=level, metric=metric, seed=seed, good_region=good_region
                )
            store = source.store if good_region is None else None
            if store is not None:
                keep_rules(store, summary.study_id, explanation)
            explanations.append(explanation)
            if (store is not None and "hps_study" in summary.attrs) if push is None else push:
                if not source.writable:
                    raise InputError(f"{source.shown} can only be read: leave --push away.")
                explanation.push(study)
        except HpsearchError as error:
            refused.append(error)
    if not explanations:
        raise refused[0]
    return explanations, refused
