"""Explaining the studies of some sources, and keeping the rules where they may be kept."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace

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
    named: bool = False,
) -> tuple[list[Explanation], list[HpsearchError]]:
    """The explanation of each study, or why there is none.

    `push` puts plots and rules into the studies for the Optuna dashboard; None: into those that
    hpsearch ran. Rules of a `good_region` are not kept, those of the study being of all trials.
    `named`: the stores were named, so commands to paste must name them, too. Raises the first
    reason if there is no explanation at all.
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
            if named:
                explanation = _with_storage(explanation, source.shown)
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


def _with_storage(explanation: Explanation, shown: str) -> Explanation:
    """With the store in the commands of what to do next, in front of their comments."""
    option = f" --storage {shlex.quote(shown)}"
    steps = tuple(
        step.replace("  #", f"{option}  #", 1) if step.startswith("hpsearch ") else step
        for step in explanation.next_steps
    )
    return replace(explanation, next_steps=steps)
