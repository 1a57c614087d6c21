"""Which study a rule or a verification belongs to. The study's number alone does not tell.

SQLite gives the number of a deleted study to the next study. If another program makes that next
study, our rows about the deleted study are still there. So each rule and each verification holds a
mark of its study: the study's uid. A study without a uid is marked by a trial: the first trial, by
number, that had ended when the row was written, and the time at which this trial ended.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hpsearch.core.plain_json import to_json
from hpsearch.store.queue.fence import StudyRef
from hpsearch.store.server.connections import reader
from hpsearch.store.tables import attributes, schema
from hpsearch.store.tables.optuna_tables import STUDY_ATTRS
from hpsearch.store.trials import read

Row = dict[str, Any]
OF = "of"
"""The key of the mark in a row's JSON."""
HOLDERS = {schema.rule: "provenance", schema.verification: "payload"}
"""The tables whose rows are marked, and the column with the mark."""
ABOUT = (schema.run, schema.event, schema.rule, schema.verification, schema.artifact)
"""Our tables whose rows have a study's number."""
MYSQL_S = 1.5
"""MySQL keeps Optuna's times to the second."""


def mark(connection: sa.Connection, study: StudyRef) -> dict[str, Any]:
    """The mark that distinguishes the study from a later study with the same number."""
    if study.uid is not None:
        return {"uid": study.uid}
    first = read.states.first_end(connection, study.study_id)
    trial = None if first is None else [first.number, first.datetime_complete.isoformat()]
    return {"uid": None, "trial": trial}


def with_new_uid(rows: Iterator[Row], table: sa.Table, uid: str) -> Iterator[Row]:
    """The rows with `uid` in place of the uid in their marks; marks without a uid stay."""
    column = HOLDERS[table]
    for row in rows:
        of = _mark_in(row[column])
        if of is None or of.get("uid") is None:
            yield row
        else:
            yield {**row, column: {**row[column], OF: {**of, "uid": uid}}}


def _mark_in(content: Any) -> dict[str, Any] | None:  # noqa: ANN401 (JSON of anybody's)
    of = content.get(OF) if isinstance(content, dict) else None
    return of if isinstance(of, dict) else None


class Owner:
    """The study that has `study_id` now. `owns` says whether a row of HOLDERS is about it."""

    def __init__(self, connection: sa.Connection, study_id: int) -> None:
        query = sa.select(STUDY_ATTRS.c.value_json).where(
            STUDY_ATTRS.c.study_id == study_id, STUDY_ATTRS.c.key == attributes.UID
        )
        self._uid = connection.execute(query).scalar()
        self._connection, self._study = connection, study_id
        self._known: dict[str, bool] = {}

    def owns(self, table: sa.Table, row: Any) -> bool:  # noqa: ANN401
        """Whether the row is about this study. True for a row without a mark (earlier hpsearch)."""
        found = _mark_in(row[HOLDERS[table]])
        if found is None:
            return True
        key = to_json(found)
        if key not in self._known:
            self._known[key] = self._is(found)
        return self._known[key]

    def _is(self, found: dict[str, Any]) -> bool:
        uid = found.get("uid")
        if uid is not None:
            return self._uid == json.dumps(uid)  # as Optuna writes it
        try:
            number, ended = found["trial"]
            then = datetime.fromisoformat(ended)
            now = read.states.end_time(self._connection, self._study, int(number))
            if now is None or now.microsecond:
                return bool(now == then)
            return bool(abs((now - then).total_seconds()) < MYSQL_S)
        except (TypeError, ValueError, LookupError):  # damaged, or there was no trial
            return True


def own(
    connection: sa.Connection, table: sa.Table, study_id: int, found: sa.MappingResult
) -> list[Row]:
    """The rows of `found` that are about the study that has `study_id` now."""
    rows = found.all()
    owner = Owner(connection, study_id)
    return [dict(row) for row in rows if owner.owns(table, row)]


def own_rows(engine: sa.Engine, table: sa.Table, study_id: int) -> list[Row]:
    """The rows of a table of HOLDERS that are about the study, in their order."""
    (key,) = table.primary_key
    query = sa.select(table).where(table.c.study_id == study_id).order_by(key)
    with reader(engine) as connection:
        return own(connection, table, study_id, connection.execute(query).mappings())


def drop_earlier(connection: sa.Connection, study_id: int) -> None:
    """Remove all rows with the number of a new study: they are about an earlier, deleted study."""
    for table in ABOUT:
        connection.execute(sa.delete(table).where(table.c.study_id == study_id))
