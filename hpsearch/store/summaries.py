"""Queries that only read: summaries of studies, rows of our tables, counts for the display."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from optuna.study import StudyDirection
from optuna.trial import TrialState

from hpsearch.store.ownership import own_rows
from hpsearch.store.queue.fence import StudyRef
from hpsearch.store.server.connections import reader
from hpsearch.store.tables import attributes, schema
from hpsearch.store.tables.damage import (
    MAX_CHARACTERS,
    UnreadableError,
    parse_attr,
    readable,
    unreadable,
)
from hpsearch.store.tables.optuna_tables import (
    DIRECTIONS,
    STUDIES,
    STUDY_ATTRS,
)
from hpsearch.store.trials import read

Row = dict[str, Any]


@dataclass(frozen=True)
class StudySummary:
    """A study at a glance. `best` holds, for each objective, value and number of the best complete
    trial by it; None before there is one."""

    study_id: int
    name: str
    directions: tuple[str, ...]
    counts: dict[str, int]
    """Trials by state: complete, pruned, fail, running, waiting."""
    best: tuple[tuple[float, int] | None, ...]
    attrs: dict[str, Any] = field(default_factory=dict)
    damage: tuple[str, ...] = ()
    """What of it cannot be read: `attrs` is without that."""

    def check(self) -> None:
        """Raises UnreadableError for a study of which something cannot be read."""
        if self.damage:
            raise unreadable(f"The study {self.name}", "; ".join(self.damage))

    @property
    def ref(self) -> StudyRef:
        return StudyRef(self.study_id, self.name, self.attrs.get(attributes.UID))

    @property
    def trials(self) -> int:
        return sum(self.counts.values())

    @property
    def finished(self) -> int:
        return sum(self.counts.get(state, 0) for state in ("complete", "pruned", "fail"))


def study_id(engine: sa.Engine, name: str) -> int | None:
    query = sa.select(STUDIES.c.study_id).where(STUDIES.c.study_name == name)
    with reader(engine) as connection:
        return connection.execute(query).scalar()


def studies(engine: sa.Engine) -> list[StudySummary]:
    """All studies, oldest first. One query a table, whatever the number of studies.

    What cannot be read of one is its `damage` and costs the others nothing.
    """
    with reader(engine) as connection:
        return _summaries(connection)


def study(engine: sa.Engine, name: str) -> StudySummary | None:
    """The study of this name; None if there is none."""
    with reader(engine) as connection:
        found = _summaries(connection, name)
    # MariaDB and MySQL also find names that differ in upper and lower case, or in accents, only.
    return next((one for one in found if one.name == name), None)


def _summaries(connection: sa.Connection, name: str | None = None) -> list[StudySummary]:
    query = sa.select(STUDIES.c.study_id, STUDIES.c.study_name).order_by(STUDIES.c.study_id)
    if name is not None:
        query = query.where(STUDIES.c.study_name == name)
    names = connection.execute(query).all()
    damage: dict[int, list[str]] = {}
    wanted = None if name is None else [study_id for study_id, _ in names]
    directions = _directions(connection, wanted, damage)
    counts = _counts(connection, wanted, damage)  # before the attributes, which are written first
    attrs = _attrs(connection, wanted, damage)
    summaries = []
    for one, called in names:
        directed = directions.get(one, [])
        summaries.append(
            StudySummary(
                study_id=one,
                name=called,
                directions=tuple(direction.name.lower() for direction in directed),
                counts=counts.get(one, {}),
                best=tuple(_best(connection, one, way, i) for i, way in enumerate(directed)),
                attrs=attrs.get(one, {}),
                damage=tuple(damage.get(one, ())),
            )
        )
    return summaries


Damages = dict[int, list[str]]
Wanted = list[int] | None


def _of(query: sa.Select[Any], column: sa.Column[Any], wanted: Wanted) -> sa.Select[Any]:
    """The query for the studies `wanted` alone; None: for all."""
    return query if wanted is None else query.where(column.in_(wanted))


def _directions(
    connection: sa.Connection, wanted: Wanted, damage: Damages
) -> dict[int, list[StudyDirection]]:
    found: dict[int, list[StudyDirection]] = {}
    query = sa.select(DIRECTIONS.c.study_id, sa.type_coerce(DIRECTIONS.c.direction, sa.String))
    query = _of(query, DIRECTIONS.c.study_id, wanted).order_by(DIRECTIONS.c.objective)
    for study, word in connection.execute(query):
        if word in StudyDirection.__members__:
            found.setdefault(study, []).append(StudyDirection[word])
        else:
            damage.setdefault(study, []).append("a direction is none")
    return found


def _attrs(connection: sa.Connection, wanted: Wanted, damage: Damages) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    text: sa.ColumnElement[Any] = STUDY_ATTRS.c.value_json
    if connection.dialect.name == "sqlite":  # whose driver gives no text that is not UTF-8
        text = sa.cast(text, sa.BLOB)
    short = sa.case((sa.func.length(STUDY_ATTRS.c.value_json) <= MAX_CHARACTERS, text))
    columns: sa.Select[Any] = sa.select(STUDY_ATTRS.c.study_id, STUDY_ATTRS.c.key, short)
    for study, key, cell in connection.execute(_of(columns, STUDY_ATTRS.c.study_id, wanted)):
        try:
            if cell is None:
                raise UnreadableError("it is too long")
            found.setdefault(study, {})[key] = parse_attr(key, cell)
        except UnreadableError as error:
            damage.setdefault(study, []).append(f"its attribute {key}: {error}")
    return found


def _counts(
    connection: sa.Connection, wanted: Wanted, damage: Damages
) -> dict[int, dict[str, int]]:
    found: dict[int, dict[str, int]] = {}
    for study, word, count in read.states.count_states(connection, wanted):
        if word in TrialState.__members__:
            found.setdefault(study, {})[word.lower()] = count
        else:
            damage.setdefault(study, []).append(f"{count} of its trials have no state")
    return found


def _best(
    connection: sa.Connection, study: int, direction: StudyDirection, objective: int
) -> tuple[float, int] | None:
    """Value and number of the best complete trial by one objective, within its limits."""
    row = read.states.best(connection, study, direction, objective)
    if row is None or not isinstance(row.value, int | float):  # SQLite keeps texts there, too
        return None
    return row.value, row.number


def best(
    engine: sa.Engine, study: int, direction: StudyDirection, objective: int = 0
) -> tuple[float, int] | None:
    with reader(engine) as connection:
        return _best(connection, study, direction, objective)


def rows(
    engine: sa.Engine,
    table: sa.Table,
    order: sa.Column[Any],
    where: sa.ColumnElement[bool] | None = None,
) -> list[Row]:
    query = sa.select(table).order_by(order)
    query = query if where is None else query.where(where)
    with reader(engine) as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def trials(engine: sa.Engine, study: int) -> list[Row]:
    return _numbered(engine, schema.trial, study)


def epochs(engine: sa.Engine, study: int) -> list[Row]:
    return _numbered(engine, schema.epoch, study)


def _numbered(engine: sa.Engine, table: sa.Table, study: int) -> list[Row]:
    with reader(engine) as connection:
        return [dict(row) for row in read.states.numbered(connection, table, study)]


def newest_rules(engine: sa.Engine, study: int) -> list[Row]:
    found = own_rows(engine, schema.rule, study)
    newest = max((row["explained_at"] for row in found), default=None)
    return [row for row in found if row["explained_at"] == newest]


def table_counts(engine: sa.Engine) -> dict[str, int]:
    with reader(engine) as connection:
        names = sorted(sa.inspect(connection).get_table_names())
        count = sa.select(sa.func.count())
        return {
            name: connection.execute(count.select_from(sa.table(name))).scalar_one()
            for name in names
        }


def elsewhere(engine: sa.Engine, study: int) -> list[int]:
    """The numbers of the study's finished trials that other programs ran."""
    with reader(engine) as connection:
        return read.states.elsewhere(connection, study)


def failures(engine: sa.Engine, study: int, run_id: int | None = None) -> list[str]:
    """Why the failed trials of the study (or of one run of it) failed."""
    with reader(engine) as connection, readable("Why a trial failed"):
        found = read.states.failure_reasons(connection, study, run_id)
        return [str(json.loads(one)) for one in found]


def states(engine: sa.Engine, study: int, run_id: int | None = None) -> dict[TrialState, int]:
    """How many trials of the study (or of one run of it) are in each state."""
    with reader(engine) as connection:
        found = read.states.count_states(connection, [study], run_id)
    return {TrialState[word]: count for _, word, count in found}
