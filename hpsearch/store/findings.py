"""Verifications: a row is written with the plan, before any run, and gets its verdict at last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from hpsearch.errors import InputError
from hpsearch.store import StudySummary
from hpsearch.store.ownership import OF, mark, own_rows
from hpsearch.store.queue.fence import StudyRef, lock_study
from hpsearch.store.server.connections import begin
from hpsearch.store.sources import Source
from hpsearch.store.summaries import Row
from hpsearch.store.tables import schema

PLANNED = "planned"
"""The verdict of a verification that is not at its end."""


def write_plan(
    engine: sa.Engine, study: StudyRef, plan: Mapping[str, Any], *, rule_id: int | None
) -> int:
    """Write the plan (hpsearch.verification.plan.Plan as a dictionary) down; the id of the
    verification. Raises StudyGoneError."""
    row = {
        **{name: plan[name] for name in ("param", "value", "against", "pairs")},
        "study_id": study.study_id,
        "rule_id": rule_id,
        "verdict": PLANNED,
        "verified_at": schema.utc_now(),
    }
    with begin(engine) as connection:
        lock_study(connection, study)
        row["payload"] = {"plan": plan, OF: mark(connection, study)}
        key = connection.execute(sa.insert(schema.verification).values(**row)).inserted_primary_key
        assert key is not None
        return int(key[0])


def write_verdict(
    engine: sa.Engine,
    study: StudyRef,
    verification_id: int,
    *,
    payload: Mapping[str, Any],
    **columns: object,
) -> None:
    """Add the outcome to a planned verification: columns of hps_verification as keywords.

    A verification that has a verdict keeps it. Raises StudyGoneError where the study
    was deleted, whatever has its number by now.
    """
    table = schema.verification
    update = sa.update(table).where(
        table.c.verification_id == verification_id,
        table.c.study_id == study.study_id,
        table.c.verdict == PLANNED,
    )
    with begin(engine) as connection:
        lock_study(connection, study)
        content = {**payload, OF: mark(connection, study)}
        connection.execute(update.values(**columns, payload=content, verified_at=schema.utc_now()))


def unfinished(
    engine: sa.Engine, study_id: int, param: str, value: object, against: object
) -> Row | None:
    """The latest verification of this contrast that has no verdict yet."""
    # value and against are JSON texts: what they say is compared, not how it is written.
    contrast = (param, PLANNED, value, against)
    found = [
        row
        for row in own_rows(engine, schema.verification, study_id)
        if (row["param"], row["verdict"], row["value"], row["against"]) == contrast
    ]
    return found[-1] if found else None


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
    kept = source.store.rules(summary.study_id)
    # Pairs are compared by the first objective, whose rules come first.
    compared = metric_of(kept[0]) if kept else None
    found = [
        {
            "study": summary.name,
            "metric": metric_of(rule),
            "param": rule["param"],
            "kind": rule["kind"],
            "statement": rule["statement"],
            "explained_at": rule["explained_at"].isoformat(" ", "seconds"),
            "verifications": [
                _verdict(one)
                for one in verified
                if one["param"] == rule["param"] and metric_of(rule) == compared
            ],
        }
        for rule in kept
    ]
    ruled = {rule["param"] for rule in found if rule["metric"] == compared}
    alone = dict.fromkeys(one["param"] for one in verified if one["param"] not in ruled)
    for param in alone:
        verdicts = [_verdict(one) for one in verified if one["param"] == param]
        found.append({
            "study": summary.name, "metric": compared, "param": param, "kind": None,
            "statement": None,
            "explained_at": None, "verifications": verdicts,
        })  # fmt: skip
    return found


def metric_of(rule: Row) -> str | None:
    """The objective that a kept rule is about; None where it was kept before there were several."""
    metric = (rule["provenance"] or {}).get("metric")
    return metric if isinstance(metric, str) else None


def _verdict(row: dict[str, Any]) -> dict[str, Any]:
    keys = ("value", "against", "pairs", "effect", "low", "high", "verdict")
    return {key: row[key] for key in keys} | {"at": row["verified_at"].isoformat(" ", "seconds")}
