"""Explaining the studies of some sources, and keeping the rules where they may be kept."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import optuna
from rich.console import Console

from hpsearch.analysis import Explanation
from hpsearch.core.terminal import as_line
from hpsearch.errors import HpsearchError, InputError
from hpsearch.extras import is_installed, require
from hpsearch.store import Store, StudySummary
from hpsearch.store.queue.fence import StudyRef
from hpsearch.store.sources import Source, open_source
from hpsearch.store.tables import attributes

Analyse = Callable[[optuna.Study], Explanation]
"""`explain` with all of its keywords."""


def explain_one(
    study: optuna.Study | str,
    storage: str | None,
    analyse: Analyse,
    *,
    push: bool | None,
    keep: bool,
    of_all_trials: bool,
) -> Explanation:
    """The explanation of an Optuna study, or of one in the store by its name: see `explain_all`.

    Of an Optuna study nothing is kept. Raises InputError if `keep` asks for that, or if `push` asks
    to write into a store that can only be read.
    """
    if push:
        require("optuna_dashboard")  # better known now than after the work
    if isinstance(study, str):
        quiet = Console(quiet=True)
        with open_source(storage, keep=keep, push=bool(push)) as source:
            found = [(source, source.find_one(study))]
            (explanation,), refused = explain_all(
                found, quiet, analyse, push=push, of_all_trials=of_all_trials,
                named=storage is not None,
            )  # fmt: skip
        if refused:  # it is explained, but could not be pushed
            raise refused[0]
        return explanation
    if keep:
        raise InputError("Rules are kept of a study's name: give that and its storage.")
    explanation = analyse(study)
    if push:
        explanation.push(study)
    return explanation


def explain_all(
    studies: Sequence[tuple[Source, StudySummary]],
    console: Console,
    analyse: Analyse,
    *,
    push: bool | None = None,
    of_all_trials: bool = True,
    named: bool = False,
) -> tuple[list[Explanation], list[HpsearchError]]:
    """The explanation of each study by `analyse`, or why there is none.

    `push` puts plots and rules into the studies for the Optuna dashboard; None: into those that
    hpsearch ran, where the dashboard is installed. Only rules `of_all_trials` are kept, as the
    study's.
    `named`: the stores were named, so commands to paste must name them, too. Raises the first
    reason if there is no explanation at all.
    """
    if push:  # better known now than after the work
        require("optuna_dashboard")
    explanations: list[Explanation] = []
    refused: list[HpsearchError] = []
    for source, summary in studies:
        try:
            with console.status(as_line(f"Explaining {summary.name} ...")):
                study = source.load(summary)
                explanation = analyse(study)
            if named:
                explanation = _with_storage(explanation, source.shown)
            store = source.store if of_all_trials else None
            if store is not None:
                keep_rules(store, summary.ref, explanation)
            explanations.append(explanation)
            shown = store is not None and attributes.STUDY in summary.attrs
            if (shown and is_installed("optuna_dashboard")) if push is None else push:
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
    others = tuple(_with_storage(other, shown) for other in explanation.others)
    return replace(explanation, next_steps=steps, others=others)


def keep_rules(store: Store, study: StudyRef, explanation: Explanation) -> None:
    """Rules of all objectives are rows in the store, with where they come from."""
    every = explanation.objectives.values()
    store.save_rules(study, [row for one in every for row in _rule_rows(one)])


def _rule_rows(explanation: Explanation) -> list[dict[str, Any]]:
    from hpsearch.analysis.report.json import facts

    document = facts(explanation)
    origin = ("study", "metric", "trials", "surrogate", "seed", "level", "versions")
    provenance = {key: document[key] for key in origin}
    return [
        {
            "param": rule["param"],
            "kind": rule["kind"],
            "statement": rule["statement"],
            "value": rule["value"],
            "low": rule["low"],
            "high": rule["high"],
            "level": rule["level"],
            "share": rule["share"]["value"],
            "provenance": provenance,
            "payload": rule,
        }
        for rule in document["rules"]
    ]
