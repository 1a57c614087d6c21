"""`doctor`: what is wrong with a store, and the mending of what can be mended without a loss."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from optuna.distributions import json_to_distribution
from optuna.trial import TrialState

from hpsearch.data import home
from hpsearch.search.job import CHECKPOINTS
from hpsearch.search.leftovers import leftover_checkpoints
from hpsearch.search.worker import requeue_orphans
from hpsearch.store import Store, orphans, queue, schema
from hpsearch.store.identity import this_worker
from hpsearch.store.moving import OF_STUDY, OF_TRIALS
from hpsearch.store.opening import GRACE_S
from hpsearch.store.optuna_tables import PARAMS, STUDIES, TRIALS, VALUES
from hpsearch.store.runs import abandoned
from hpsearch.urls import sqlite_path

LEAST_FREE = 2**30
"""Bytes that should be free where the store and the checkpoints lie."""
MOST_SKEW = timedelta(seconds=30)
SHOWN = 3


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what it is, how it is, and whether that is well by now."""

    what: str
    text: str
    fine: bool = True
    mended: bool = False


Check = Callable[[Store, bool], Iterator[Finding]]


def examine(store: Store, *, mend: bool = False) -> list[Finding]:
    """Look at everything in the order in which it matters; with `mend` put right what can be."""
    return [finding for check in CHECKS for finding in check(store, mend)]


def _state(what: str, found: list[str], good: str, way: str, mended: str | None) -> Finding:
    """A finding about `found`, of which a few are named."""
    if not found:
        return Finding(what, good)
    some = ", ".join(found[:SHOWN]) + (f" and {len(found) - SHOWN} more" if found[SHOWN:] else "")
    if mended is None:
        return Finding(what, f"{some}: {way}", fine=False)
    return Finding(what, f"{some}: {mended}", mended=True)


def _sqlite(store: Store, mend: bool) -> Iterator[Finding]:
    """The file itself: its pages, and the journal that lets readers and writers not wait."""
    if sqlite_path(store.url) is None:
        return
    with store.engine.connect() as connection:
        problems = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA quick_check(5)")]
        mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
    bad = [] if problems == ["ok"] else problems
    yield _state("file", bad, "every page can be read", "put a copy of it back", None)
    wrong = [] if mode == "wal" else [f"journal mode {mode}"]
    way = "the disk allows no write-ahead log; use a local disk for many workers"
    yield _state("journal", wrong, "write-ahead log", way, None)


def _space(store: Store, mend: bool) -> Iterator[Finding]:
    path = sqlite_path(store.url)
    places = {"disk of the store": path.absolute().parent} if path is not None else {}
    places["disk of checkpoints"] = home()
    for what, place in places.items():
        there = next(one for one in (place, *place.parents) if one.exists())
        free = shutil.disk_usage(there).free
        text = f"{free / 2**30:.1f} GiB free at {there}"
        if free < LEAST_FREE:
            text += ": make room, or set HPSEARCH_HOME to another disk"
        yield Finding(what, text, fine=free >= LEAST_FREE)


def _clock(store: Store, mend: bool) -> Iterator[Finding]:
    """The server's clock beside ours, and trials that two clocks stamped."""
    if sqlite_path(store.url) is None:
        utc = {"postgresql": "SELECT now() AT TIME ZONE 'UTC'", "mysql": "SELECT UTC_TIMESTAMP(6)"}
        with store.engine.connect() as connection:
            there = connection.exec_driver_sql(utc[connection.dialect.name]).scalar_one()
        skew = abs(there - datetime.now(UTC).replace(tzinfo=None))
        wrong = [f"{skew.total_seconds():.0f} s from the server's"] if skew > MOST_SKEW else []
        yield _state("clock", wrong, "as the server's", "set this machine's clock", None)
    ends_before = TRIALS.c.datetime_complete < TRIALS.c.datetime_start
    found = _named_trials(store, ends_before)
    way = "the clocks of the machines that ran them differ; durations are wrong, nothing else"
    yield _state("times", found, "every trial ends after its start", way, None)


def _zombies(store: Store, mend: bool) -> Iterator[Finding]:
    """Running trials whose worker is gone, and runs whose process is."""
    found = []
    for study in store.studies():
        left = orphans.find_orphaned(store.engine, study.study_id, GRACE_S)
        found += [f"trial {one.number} of {study.name}" for one in left]
        if mend:
            requeue_orphans(store, study.study_id, this_worker("doctor"), None)
    way = "their workers are gone; the next run takes them up, or --mend puts them back now"
    mended = "put back into the queue" if mend else None
    yield _state("zombies", found, "every running trial has a living worker", way, mended)
    dead = abandoned(store.engine, GRACE_S)
    if mend:
        for run_id in dead:
            store.end_run(run_id, "died")
    way = "their processes are gone without a word; --mend notes their end"
    names = [f"run {run_id}" for run_id in dead]
    yield _state("runs", names, "none without a process", way, "noted as died" if mend else None)


def _orphans(store: Store, mend: bool) -> Iterator[Finding]:
    """Rows of trials and studies that are no more."""
    trials, studies = sa.select(TRIALS.c.trial_id), sa.select(STUDIES.c.study_id)
    tables = (*OF_TRIALS, schema.trial, *OF_STUDY, TRIALS)
    gone = {
        table: table.c.trial_id.not_in(trials)
        if "trial_id" in table.c and table is not TRIALS
        else table.c.study_id.not_in(studies)
        for table in tables
    }
    found = []
    with queue.begin(store.engine) as connection:
        for table, where in gone.items():
            count = sa.select(sa.func.count()).select_from(table).where(where)
            if number := connection.execute(count).scalar_one():
                found.append(f"{number} in {table.name}")
            if mend and number:
                connection.execute(sa.delete(table).where(where))
    if mend:
        queue.drop_orphans(store.engine)
    mended = "removed" if mend else None
    way = "rows of trials or studies that were deleted; --mend removes them"
    yield _state("orphans", found, "no row without its trial", way, mended)


def _numbers(store: Store, mend: bool) -> Iterator[Finding]:
    """Each study's trials are numbered 0, 1, 2 ..., and a complete one has all its values."""
    count, distinct = sa.func.count(), sa.func.count(sa.distinct(TRIALS.c.number))
    query = sa.select(TRIALS.c.study_id, count, distinct, sa.func.max(TRIALS.c.number))
    with store.engine.connect() as connection:
        rows = connection.execute(query.group_by(TRIALS.c.study_id)).all()
    names = {study.study_id: study.name for study in store.studies()}
    wrong = [names[study] for study, n, own, last in rows if not n == own == last + 1]
    way = "numbers are missing or there twice; export its trials to a table and import that"
    yield _state("numbers", wrong, "every trial counted once", way, None)
    valued = sa.select(VALUES.c.trial_id)
    without = sa.and_(TRIALS.c.state == TrialState.COMPLETE, TRIALS.c.trial_id.not_in(valued))
    found = _named_trials(store, without)
    yield _state("values", found, "every complete trial has one", "their values are lost", None)


def _unreadable(store: Store, mend: bool) -> Iterator[Finding]:
    """JSON that is none, and ranges that Optuna cannot read."""
    found = []
    with store.engine.connect() as connection:
        for table, column, read in _texts():
            (key,) = table.primary_key
            # As text, whatever the column's type makes of it. A value that was read is not again.
            query = sa.select(key, sa.type_coerce(table.c[column], sa.Text))
            known: set[str | None] = {None}
            for row_id, text in connection.execution_options(yield_per=1000).execute(query):
                if text in known:
                    continue
                try:
                    read(text)
                except (ValueError, KeyError, TypeError):
                    found.append(f"{table.name}.{column} of {key.name} {row_id}")
                else:
                    known = known | {text} if len(known) < 1000 else {None}
    yield _state("rows", found, "all can be read", "mend them with SQL or delete them", None)


def _texts() -> Iterator[tuple[sa.Table, str, Callable[[str], Any]]]:
    for table in (*OF_STUDY, *OF_TRIALS):
        if "value_json" in table.c:
            yield table, "value_json", json.loads
    yield PARAMS, "distribution_json", json_to_distribution
    for table in schema.metadata.sorted_tables:
        for column in table.c:
            if isinstance(column.type, schema.Json):
                yield table, column.name, json.loads


def _artifacts(store: Store, mend: bool) -> Iterator[Finding]:
    """Files that the store names. Those of trials of other machines are not looked for."""
    here = this_worker().host
    table, ours = schema.artifact, schema.trial
    query = sa.select(table.c.artifact_id, table.c.path).join(
        ours, ours.c.trial_id == table.c.trial_id
    )
    with queue.begin(store.engine) as connection:
        rows = connection.execute(query.where(ours.c.host == here)).all()
        gone = [row for row in rows if not Path(row.path).exists()]
        if mend and gone:
            ids = [row.artifact_id for row in gone]
            connection.execute(sa.delete(table).where(table.c.artifact_id.in_(ids)))
    way = "the files are gone; --mend removes their rows"
    mended = "rows removed" if mend else None
    yield _state("artifacts", [row.path for row in gone], "all are there", way, mended)


def _checkpoints(store: Store, mend: bool) -> Iterator[Finding]:
    """Left by finished trials, which need none."""
    leftover = []
    for study in store.studies():
        folder = home() / CHECKPOINTS / f"{study.name}-{study.attrs.get('hps_uid')}"
        leftover += leftover_checkpoints(store, study.study_id, folder)
    if mend:
        for one in leftover:
            shutil.rmtree(one, ignore_errors=True)
    way = "of finished trials; --mend removes them"
    mended = "removed" if mend else None
    yield _state("checkpoints", list(map(str, leftover)), "none left over", way, mended)


def _named_trials(store: Store, where: sa.ColumnElement[bool]) -> list[str]:
    query = (
        sa.select(TRIALS.c.number, STUDIES.c.study_name)
        .join(STUDIES, STUDIES.c.study_id == TRIALS.c.study_id)
        .where(where)
        .order_by(TRIALS.c.trial_id)
    )
    with store.engine.connect() as connection:
        return [f"trial {number} of {name}" for number, name in connection.execute(query)]


CHECKS: tuple[Check, ...] = (
    _sqlite, _space, _clock, _unreadable, _numbers, _orphans, _zombies, _artifacts, _checkpoints,
)  # fmt: skip
