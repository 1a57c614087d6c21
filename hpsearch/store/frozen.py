"""Optuna's trials read whole in one statement more than their rows, where Optuna itself takes six.

On a server every statement is a journey, and Optuna's mapped objects take longer still.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from optuna.trial import FrozenTrial

from hpsearch.store.cells import WORDS, local_time, parsed_range, parts
from hpsearch.store.optuna_tables import ATTRS, PARAMS, REPORTS, SYSTEM_ATTRS, TRIALS, VALUES

ROWS = sa.select(
    TRIALS.c.trial_id,
    TRIALS.c.number,
    TRIALS.c.state,
    TRIALS.c.datetime_start,
    TRIALS.c.datetime_complete,
)
"""What `read` needs of each trial."""
PARAM, ATTR, SYSTEM, VALUE, REPORT = range(5)


def read(connection: sa.Connection, rows: Sequence[Any]) -> list[FrozenTrial]:
    """The trials of these `ROWS`, in their order."""
    found: dict[int, list[Any]] = defaultdict(list)
    for ids in parts([row.trial_id for row in rows]):
        for part in connection.execute(PARTS, {"ids": ids}):
            found[part.trial_id].append(part)
    return [_frozen(row, found[row.trial_id]) for row in rows]


def _parts() -> sa.CompoundSelect[Any]:
    """Everything that belongs to the trials `ids`: of what kind, its id there, name, number, text.

    What a kind lacks is a literal: a NULL would have no type on PostgreSQL, and a CAST another
    collation than the columns on MySQL.
    """
    none = {"name": "''", "number": "0.0", "text": "''", "index": "0", "special": "''"}

    def part(kind: int, table: sa.Table, **columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
        own = {name: columns.get(name, sa.literal_column(one)) for name, one in none.items()}
        (key,) = table.primary_key
        return sa.select(
            table.c.trial_id,
            sa.literal_column(str(kind)).label("kind"),
            key.label("id"),
            *(column.label(f"the_{name}") for name, column in own.items()),
        ).where(table.c.trial_id.in_(sa.bindparam("ids", expanding=True)))

    def word(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
        return sa.cast(column, sa.String(16))

    p, a, s, v, r = PARAMS.c, ATTRS.c, SYSTEM_ATTRS.c, VALUES.c, REPORTS.c
    return sa.union_all(
        part(PARAM, PARAMS, name=p.param_name, number=p.param_value, text=p.distribution_json),
        part(ATTR, ATTRS, name=a.key, text=a.value_json),
        part(SYSTEM, SYSTEM_ATTRS, name=s.key, text=s.value_json),
        part(VALUE, VALUES, index=v.objective, number=v.value, special=word(v.value_type)),
        part(
            REPORT,
            REPORTS,
            index=r.step,
            number=r.intermediate_value,
            special=word(r.intermediate_value_type),
        ),
    )


PARTS = _parts()


def _frozen(row: Any, own: Iterable[Any]) -> FrozenTrial:  # noqa: ANN401
    kinds: tuple[list[Any], ...] = ([], [], [], [], [])
    for part in sorted(own, key=lambda one: one.id):  # parameters in the order of their drawing
        kinds[part.kind].append(part)
    distributions = {one.the_name: parsed_range(one.the_text) for one in kinds[PARAM]}
    values = {one.the_index: _number(one) for one in kinds[VALUE]}
    return FrozenTrial(
        number=row.number,
        state=row.state,
        value=None,
        values=[values[one] for one in sorted(values)] or None,
        datetime_start=local_time(row.datetime_start),
        datetime_complete=local_time(row.datetime_complete),
        params={
            one.the_name: distributions[one.the_name].to_external_repr(one.the_number)
            for one in kinds[PARAM]
        },
        distributions=distributions,
        user_attrs={one.the_name: json.loads(one.the_text) for one in kinds[ATTR]},
        system_attrs={one.the_name: json.loads(one.the_text) for one in kinds[SYSTEM]},
        intermediate_values={one.the_index: _number(one) for one in kinds[REPORT]},
        trial_id=row.trial_id,
    )


def _number(part: Any) -> float:  # noqa: ANN401
    return float(WORDS.get(part.the_special, part.the_number))
