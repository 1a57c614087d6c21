"""The rules that a store keeps, with what verifications said about them."""

from __future__ import annotations

from typing import Any

from rich.markup import escape
from rich.table import Table

from hpsearch.analysis.rules import show
from hpsearch.errors import InputError
from hpsearch.printing import new_table
from hpsearch.sources import Source
from hpsearch.store import StudySummary


def kept_rules(source: Source, summary: StudySummary) -> list[dict[str, Any]]:
    """The rules of a study's newest explanation, and its verified values without a rule.

    Raises InputError for a source that keeps none.
    """
    if source.store is None:
        raise InputError(
            f"{source.shown} keeps no rules, as it is no store of hpsearch: `hpsearch explain` "
            "prints them, and with --keep leaves them there."
        )
    verified = source.store.verifications(summary.study_id)
    found = [
        {
            "study": summary.name,
            "param": rule["param"],
            "kind": rule["kind"],
            "statement": rule["statement"],
            "explained_at": rule["explained_at"].isoformat(" ", "seconds"),
            "verifications": [_verdict(one) for one in verified if one["param"] == rule["param"]],
        }
        for rule in source.store.rules(summary.study_id)
    ]
    ruled = {rule["param"] for rule in found}
    alone = dict.fromkeys(one["param"] for one in verified if one["param"] not in ruled)
    for param in alone:
        verdicts = [_verdict(one) for one in verified if one["param"] == param]
        found.append({
            "study": summary.name, "param": param, "kind": None, "statement": None,
            "explained_at": None, "verifications": verdicts,
        })  # fmt: skip
    return found


def _verdict(row: dict[str, Any]) -> dict[str, Any]:
    keys = ("value", "against", "pairs", "effect", "low", "high", "verdict")
    return {key: row[key] for key in keys} | {"at": row["verified_at"].isoformat(" ", "seconds")}


def rules_table(kept: list[dict[str, Any]]) -> Table:
    """A row a rule: study, rule, verdicts."""
    table = new_table("Rules", "study", "rule", "verified", wrap=True)
    for rule in kept:
        statement = rule["statement"] or f"`{rule['param']}`: no rule in the newest explanation."
        verdicts = "\n".join(map(_words, rule["verifications"])) or "not yet"
        table.add_row(escape(rule["study"]), escape(statement), escape(verdicts))
    return table


def _words(one: dict[str, Any]) -> str:
    contrast = f"{show(one['value'])} against {show(one['against'])}"
    if one["effect"] is None:
        return f"{one['verdict']}: {contrast}, {one['pairs']} pairs"
    gain = f"{one['effect']:+.3g} ({one['low']:.2g} to {one['high']:.2g})"
    return f"{one['verdict']}: {contrast}, {gain}, {one['pairs']} pairs"
