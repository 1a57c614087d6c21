"""Rows of any table, Optuna's or ours, whole: for the archive and the doctor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from hpsearch.store.tables.optuna_tables import STUDIES, Row
from hpsearch.store.trials.read.rows import is_orphan


def insert(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    if rows:
        connection.execute(sa.insert(table), rows)


def insert_for_ids(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> list[int]:
    """Add rows and return their ids, in their order."""
    (key,) = table.primary_key
    if connection.dialect.insert_returning and table is not STUDIES:
        statement = sa.insert(table).returning(key, sort_by_parameter_order=True)
        return list(connection.execute(statement, rows).scalars())
    return [
        connection.execute(sa.insert(table).values(**row)).inserted_primary_key[0]  # type: ignore[index]
        for row in rows
    ]


def delete_orphans(connection: sa.Connection, table: sa.Table) -> None:
    connection.execute(sa.delete(table).where(is_orphan(table)))


def replace_cells(
    connection: sa.Connection, table: sa.Table, row_id: int, cells: Mapping[str, Any]
) -> None:
    (key,) = table.primary_key
    connection.execute(sa.update(table).where(key == row_id).values(**cells))


def delete(connection: sa.Connection, table: sa.Table, row_id: int) -> None:
    (key,) = table.primary_key
    connection.execute(sa.delete(table).where(key == row_id))


def insert_where(
    table: sa.Table, row: Mapping[str, Any], condition: sa.ColumnElement[bool]
) -> sa.Insert:
    """Insert the row if the condition holds; the result's `rowcount` tells."""
    cells = [sa.literal(value, table.c[name].type) for name, value in row.items()]
    insert = sa.insert(table).from_select(list(row), sa.select(*cells).where(condition))
    return insert.execution_options(preserve_rowcount=True)
