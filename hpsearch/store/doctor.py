"""`doctor`: what is wrong with a store, and the mending of what can be mended without a loss."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from hpsearch.core.database_urls import parse_url, sqlite_path
from hpsearch.core.files import unfinished_files
from hpsearch.core.home import CHECKPOINTS, SET_ASIDE, home, is_uid, remove, study_folder
from hpsearch.store import Store
from hpsearch.store.archive import OWNED
from hpsearch.store.damaged_rows import find_damage, set_aside
from hpsearch.store.queue import orphans
from hpsearch.store.queue.orphans import orphaned_checkpoints, requeue_orphans
from hpsearch.store.queue.processes import this_worker
from hpsearch.store.queue.runs import find_dead, note_died
from hpsearch.store.queue.taken_trials import taken_numbers, taken_sentence
from hpsearch.store.server.connections import begin
from hpsearch.store.server.open import GRACE_S, revision
from hpsearch.store.sources import open_ours
from hpsearch.store.tables import attributes, migrate, schema
from hpsearch.store.trials import read, write
from hpsearch.store.trials.write.deleted import drop_orphans

MIN_FREE_BYTES = 2**30
"""Bytes that should be free where the store and the checkpoints lie."""
MAX_CLOCK_SKEW = timedelta(seconds=30)
SHOWN = 3

"""The folder in HPSEARCH_HOME where values end that nobody can read."""


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


def examine_at(storage: str | None, *, mend: bool = False) -> list[Finding]:
    """As `examine`, of the store at `storage`; first, whether opening it has changed its schema."""
    before = revision(parse_url(storage))
    with open_ours(storage) as store:
        migrated = "" if before == migrate.HEAD else f", brought there from {before or 'none'}"
        text = f"{migrate.HEAD}, the newest{migrated}"
        return [Finding("schema", text, mended=bool(migrated)), *examine(store, mend=mend)]


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
        there = next(one for one in (place, *place.parents) if os.path.exists(one))  # noqa: PTH110
        free = shutil.disk_usage(there).free
        text = f"{free / 2**30:.1f} GiB free at {there}"
        if free < MIN_FREE_BYTES:
            text += ": make room, or set HPSEARCH_HOME to another disk"
        yield Finding(what, text, fine=free >= MIN_FREE_BYTES)


def _clock(store: Store, mend: bool) -> Iterator[Finding]:
    """The server's clock beside ours, and trials that two clocks stamped."""
    if sqlite_path(store.url) is None:
        utc = {"postgresql": "SELECT now() AT TIME ZONE 'UTC'", "mysql": "SELECT UTC_TIMESTAMP(6)"}
        with store.engine.connect() as connection:
            there = connection.exec_driver_sql(utc[connection.dialect.name]).scalar_one()
        skew = abs(there - datetime.now(UTC).replace(tzinfo=None))
        wrong = [f"{skew.total_seconds():.0f} s from the server's"] if skew > MAX_CLOCK_SKEW else []
        yield _state("clock", wrong, "as the server's", "set this machine's clock", None)
    with store.engine.connect() as connection:
        found = _named(read.rows.ended_before_start(connection))
    way = "the clocks of the machines that ran them differ; durations are wrong, nothing else"
    yield _state("times", found, "every trial ends after its start", way, None)


def _dead_workers(store: Store, mend: bool) -> Iterator[Finding]:
    """Running trials whose worker is gone, and runs whose process is."""
    found = []
    for study in store.studies():
        left = orphans.find_orphaned(store.engine, study.ref, GRACE_S)
        found += [f"trial {one.number} of {study.name}" for one in left]
        if mend:
            requeue_orphans(store, study.ref, this_worker("doctor"), None)
    way = "their workers are gone; the next run takes them up, or --mend puts them back now"
    mended = "put back into the queue" if mend else None
    yield _state("zombies", found, "every running trial has a living worker", way, mended)
    dead = find_dead(store.engine)
    if mend:
        note_died(store.engine, dead)
    way = "their processes are gone without a word; --mend notes their end"
    names = [f"run {run_id}" for run_id in dead]
    yield _state("runs", names, "none without a process", way, "noted as died" if mend else None)


def _taken_trials(store: Store, mend: bool) -> Iterator[Finding]:
    """Trials of ours that another program took from the queue."""
    found = []
    for study in store.studies():
        if study.ref.uid is not None and (n := taken_numbers(store.engine, study.ref)):
            found.append(taken_sentence(n, study.name))
    yield Finding("other programs", "; ".join(found) or "took no trial from a queue")


def _orphans(store: Store, mend: bool) -> Iterator[Finding]:
    """Rows of trials and studies that are no more."""
    found = []
    with begin(store.engine) as connection:
        for table in OWNED:
            if number := read.rows.count_orphans(connection, table):
                found.append(f"{number} in {table.name}")
            if mend and number:
                write.rows.delete_orphans(connection, table)
    if mend:
        drop_orphans(store.engine)
    mended = "removed" if mend else None
    way = "rows of trials or studies that were deleted; --mend removes them"
    yield _state("orphans", found, "no row without its trial", way, mended)


def _numbers(store: Store, mend: bool) -> Iterator[Finding]:
    """Each study's trials are numbered 0, 1, 2 ..., and a complete one has all its values."""
    with store.engine.connect() as connection:
        rows = read.rows.number_ranges(connection)
        without = _named(read.rows.without_values(connection))
    names = {study.study_id: study.name for study in store.studies()}
    wrong = [names[study] for study, n, own, last in rows if not n == own == last + 1]
    way = "numbers are missing or there twice; export its trials to a table and import that"
    yield _state("numbers", wrong, "every trial counted once", way, None)
    yield _state("values", without, "every complete trial has one", "their values are lost", None)


def _unreadable(store: Store, mend: bool) -> Iterator[Finding]:
    """JSON that is none, ranges that Optuna cannot read, words and texts where none can be."""
    found, what = list(find_damage(store.engine)), "rows"
    names = [f"{one.where}: {one.why}" for one in found]
    way = "--mend sets them aside into a file and takes them out of the store"
    if not (mend and found):
        yield _state(what, names, "all can be read", way, None)
        return
    path, left = set_aside(store.engine, found, home() / SET_ASIDE)
    aside = [f"{one.where}: {one.why}" for one in found if one not in left]
    if aside:
        yield _state(what, aside, "", way, f"set aside in {path}")
    if left:
        names = [f"{one.where}: {one.why}" for one in left]
        yield _state("directions", names, "", "put MINIMIZE or MAXIMIZE there with SQL", None)


def _artifacts(store: Store, mend: bool) -> Iterator[Finding]:
    """Files that the store names. Those of trials of other machines are not looked for."""
    here = this_worker().host
    table, ours = schema.artifact, schema.trial
    query = sa.select(table.c.artifact_id, table.c.path).join(
        ours, ours.c.trial_id == table.c.trial_id
    )
    with begin(store.engine) as connection:
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
    orphaned, strange = [], []
    for study in store.studies():
        uid = study.attrs.get(attributes.UID)
        if isinstance(uid, str) and is_uid(uid):
            folder = study_folder(CHECKPOINTS, study.name, uid)
            orphaned += orphaned_checkpoints(store, study.study_id, folder)
        elif uid is not None:
            strange.append(f"{study.name} has {str(uid)[:100]!r}")
    way = "not made by hpsearch, so no folder is looked for; the next run gives a new one"
    yield _state("ids", strange, "every study has its own", way, None)
    if not mend:
        way = "of finished trials; --mend removes them"
        yield _state("checkpoints", list(map(str, orphaned)), "none left over", way, None)
        return
    for one in orphaned:  # each is named: what was deleted by mistake should be known
        remove(one)
        gone = not os.path.lexists(one)
        yield Finding("checkpoint", f"{one}: {'removed' if gone else 'cannot be'}", gone, gone)
    if not orphaned:
        yield Finding("checkpoints", "none left over")


def _named(trials: Sequence[tuple[int, str]]) -> list[str]:
    return [f"trial {number} of {name}" for number, name in trials]


def _unfinished(store: Store, mend: bool) -> Iterator[Finding]:
    """Files of HPSEARCH_HOME that a killed process was writing, and nobody writes again."""
    found = unfinished_files(home())
    if mend:
        for path in found:
            remove(path)
    names = [str(path.relative_to(home())) for path in found]
    way = "processes that were killed left them; --mend removes them"
    mended = "removed" if mend else None
    yield _state("unfinished files", names, "none in HPSEARCH_HOME", way, mended)


CHECKS: tuple[Check, ...] = (
    _sqlite, _space, _clock, _unreadable, _numbers, _orphans, _taken_trials, _dead_workers,
    _artifacts, _checkpoints, _unfinished,
)  # fmt: skip
