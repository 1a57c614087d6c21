"""Verifications: a row is written with the plan, before any run, and gets its verdict at last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from hpsearch.store import schema
from hpsearch.store.reading import Row, rows

PLANNED = "planned"
"""The verdict of a verification that is not at its end."""


def write_plan(
    engine: sa.Engine,
    study_id: int,
    *,
    param: str,
    value: object,
    against: object,
    pairs: int,
    rule_id: int | None,
    plan: Mapping[str, Any],
) -> int:
    """Write the plan down; the id of the verification."""
    row = {
        "study_id": study_id,
        "rule_id": rule_id,
        "param": param,
        "value": value,
        "against": against,
        "pairs": pairs,
        "verdict": PLANNED,
        "payload": {"plan": plan},
        "verified_at": schema.utc_now(),
    }
    with engine.begin() as connection:
        key = connection.execute(sa.insert(schema.verification).values(**row)).inserted_primary_key
        assert key is not None
        return int(key[0])


def write_verdict(
    engine: sa.Engine,
    verification_id: int,
    *,
    effect: float,
    low: float,
    high: float,
    verdict: str,
    payload: Mapping[str, Any],
) -> None:
    """Add the outcome to a planned verification; one that has a verdict keeps it."""
    table = schema.verification
    update = sa.update(table).where(
        table.c.verification_id == verification_id, table.c.verdict == PLANNED
    )
    values = {"effect": effect, "low": low, "high": high, "verdict": verdict, "payload": payload}
    with engine.begin() as connection:
        connection.execute(update.values(**values, verified_at=schema.utc_now()))


def unfinished(
    engine: sa.Engine, study_id: int, param: str, value: object, against: object
) -> Row | None:
    """The latest verification of this contrast that has no verdict yet."""
    table = schema.verification
    where = sa.and_(
        table.c.study_id == study_id, table.c.param == param, table.c.verdict == PLANNED
    )
    # value and against are JSON texts: what they say is compared, not how it is written.
    found = [
        row
        for row in rows(engine, table, table.c.verification_id, where)
        if row["value"] == value and row["against"] == against
    ]
    return found[-1] if found else None
