"""Rows with a value that nobody can read: found, and set aside into a file."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from optuna.distributions import json_to_distribution
from optuna.trial import TrialState

from hpsearch.store.tables import schema
from hpsearch.store.tables.damage import MAX_CHARACTERS, UnreadableError, parse, parse_attr
from hpsearch.store.tables.optuna_tables import (
    ATTRS,
    DIRECTIONS,
    PARAMS,
    REPORTS,
    STUDY_ATTRS,
    STUDY_SYSTEM_ATTRS,
    SYSTEM_ATTRS,
    TRIALS,
    VALUES,
)
from hpsearch.store.trials import read, write

EMPTY_VALUES = {"metrics": "{}", "lrs": "[]"}
"""What stands in the columns of ours that may not be empty when nothing is known."""


@dataclass(frozen=True)
class Damage:
    """A value that cannot be read, in the row of `table` with the number `row_id`."""

    table: sa.Table
    column: str
    row_id: int
    why: str

    @property
    def where(self) -> str:
        (key,) = self.table.primary_key
        return f"{self.table.name}.{self.column} of {key.name} {self.row_id}"


def find_damage(engine: sa.Engine) -> Iterator[Damage]:
    """Every value of Optuna's tables and ours that cannot be read."""
    with engine.connect() as connection:
        for table, column, check in _checks():
            known: set[tuple[str, Any]] = set()
            for row_id, name, cell, size in read.rows.cells(connection, table, column):
                if size is not None and size > MAX_CHARACTERS:
                    yield Damage(table, column, row_id, f"it is {size:,} characters long")
                elif (name, cell) not in known:
                    try:
                        check(name, cell)
                    except (UnreadableError, ValueError, LookupError, TypeError) as error:
                        yield Damage(table, column, row_id, " ".join(str(error).split())[:200])
                    except RecursionError:
                        yield Damage(table, column, row_id, "it is nested too deeply")
                    else:  # a value that was read is not again
                        if len(known) >= 1000:
                            known.clear()
                        known.add((name, cell))


Check = Callable[[str, Any], object]


def _checks() -> Iterator[tuple[sa.Table, str, Check]]:
    yield STUDY_ATTRS, "value_json", parse_attr
    for table in (STUDY_SYSTEM_ATTRS, ATTRS, SYSTEM_ATTRS):
        yield table, "value_json", _json
    yield PARAMS, "distribution_json", _distribution
    yield DIRECTIONS, "direction", _word(("MINIMIZE", "MAXIMIZE", "NOT_SET"))
    yield TRIALS, "state", _word([state.name for state in TrialState])
    yield PARAMS, "param_value", _number
    yield VALUES, "value", _number
    yield REPORTS, "intermediate_value", _number
    for table in schema.metadata.sorted_tables:
        for column in table.c:
            if isinstance(column.type, schema.Json):
                yield table, column.name, _json


def _json(name: str, cell: Any) -> object:  # noqa: ANN401
    return None if cell is None else parse(cell)


def _distribution(name: str, cell: Any) -> object:  # noqa: ANN401
    parse(cell)
    return json_to_distribution(_text(cell))


def _text(cell: Any) -> str:  # noqa: ANN401
    return cell.decode("utf-8", "surrogateescape") if isinstance(cell, bytes) else str(cell)


def _word(words: Any) -> Check:  # noqa: ANN401
    def check(name: str, cell: Any) -> object:  # noqa: ANN401
        if _text(cell) not in words:
            raise UnreadableError(f"{_text(cell)[:40]!r} is none of {', '.join(words)}")
        return cell

    return check


def _number(name: str, cell: Any) -> object:  # noqa: ANN401
    if not (cell is None or isinstance(cell, int | float)):
        raise UnreadableError("it is no number")
    return cell


def set_aside(engine: sa.Engine, found: list[Damage], folder: Path) -> tuple[Path, list[Damage]]:
    """Write the damaged rows, whole, into a new file, then take the values out of the store.

    The file is in `folder` and holds JSON lines. Returns its path, and the damages that stay
    because only a person can mend them (a direction). A distribution becomes that of the
    parameter's other trials, if it is the same in all. Attributes, reports and values are deleted.
    A state becomes FAIL. A column of ours becomes empty.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}.jsonl"
    left = [one for one in found if one.table is DIRECTIONS]
    with engine.begin() as connection, path.open("x", encoding="utf-8") as file:
        for one in found:
            if one in left:
                continue
            file.write(json.dumps(_described(connection, one)) + "\n")
            _take_out(connection, one)
        file.flush()
    return path, left


def _described(connection: sa.Connection, one: Damage) -> dict[str, Any]:
    row = read.rows.raw_row(connection, one.table, one.row_id)
    return {
        "table": one.table.name,
        "column": one.column,
        "why": one.why,
        "row": {name: _kept(cell) for name, cell in row.items()},
    }


def _kept(cell: Any) -> Any:  # noqa: ANN401
    if isinstance(cell, bytes):
        try:
            return cell.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(cell).decode()}
    return cell if cell is None or isinstance(cell, str | int | float) else str(cell)


def _take_out(connection: sa.Connection, one: Damage) -> None:
    table, row_id = one.table, one.row_id
    cells: dict[str, Any]
    if table is TRIALS:
        cells = {"state": TrialState.FAIL, "datetime_complete": schema.utc_now()}
    elif table in schema.metadata.tables.values():
        text = EMPTY_VALUES.get(one.column) if not table.c[one.column].nullable else None
        cells = {one.column: sa.literal(text, sa.Text)}
    elif one.column == "distribution_json" and (same := _of_others(connection, row_id)):
        cells = {"distribution_json": same}
    else:
        write.rows.delete(connection, table, row_id)
        return
    write.rows.replace_cells(connection, table, row_id, cells)


def _of_others(connection: sa.Connection, param_id: int) -> str | None:
    """The one distribution that the parameter has in all other trials of the study."""
    good = set()
    for text in read.rows.ranges_of_others(connection, param_id):
        try:
            _distribution("", text)
        except (UnreadableError, ValueError, LookupError, TypeError, RecursionError):
            continue
        good.add(_text(text))
    return good.pop() if len(good) == 1 else None
