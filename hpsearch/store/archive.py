"""A study as one file: every row of Optuna's tables and ours, to be taken into another store.

A zip archive with `manifest.json` (format, versions, for each table its number of rows and the
SHA-256 of its file) and a file of JSON lines for each table. Numbers stand there as Python's repr
writes them, so they come back to the bit; nothing is pickled, and nothing is ever unpacked to disk.
MySQL alone keeps Optuna's own start and end times to the second.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from optuna.trial import TrialState

from hpsearch.core.files import atomic_file, check_writable
from hpsearch.core.home import new_uid
from hpsearch.errors import InputError
from hpsearch.store.check_rows import BadRowError, Checker
from hpsearch.store.ownership import HOLDERS, own, with_new_uid
from hpsearch.store.server.connections import begin, snapshot
from hpsearch.store.tables import attributes, migrate, schema
from hpsearch.store.tables.optuna_tables import (
    ATTRS,
    BEATS,
    DIRECTIONS,
    PARAMS,
    REPORTS,
    STUDIES,
    STUDY_ATTRS,
    STUDY_SYSTEM_ATTRS,
    SYSTEM_ATTRS,
    TRIALS,
    VALUES,
)
from hpsearch.store.trials import read, write
from hpsearch.store.trials.write.deleted import drop_reused

FORMAT = "hpsearch.study/1"
MANIFEST = "manifest.json"
TEXTS = ("study", "optuna_schema", "hpsearch_schema")
"""What in the manifest must be texts."""
ROWS_AT_ONCE = 1000
MAX_ROW_BYTES = 1 << 24
"""Bytes of a row at most: a longer one is none, and may be made to fill the memory."""
SMALL_BYTES, MAX_GROWTH = 1 << 26, 50
"""An archive may grow to 64 MB whatever its size, and to more by a factor that JSON of honest rows
does not reach: zeros are packed a thousandfold."""
CONTENT_ERRORS = (
    zipfile.BadZipFile, zlib.error, EOFError, LookupError, ValueError, TypeError, AttributeError,
    ArithmeticError, RuntimeError, sa.exc.StatementError,
)  # fmt: skip
"""What reading a file raises that is not what an export wrote: zipfile's, JSON's, a database's."""

OF_STUDY = (DIRECTIONS, STUDY_ATTRS, STUDY_SYSTEM_ATTRS)
OF_TRIALS = (PARAMS, VALUES, REPORTS, ATTRS, SYSTEM_ATTRS, BEATS, schema.epoch)
"""Tables without a study_id of their own."""
NAMED = (schema.run, schema.rule)
"""Tables whose rows others refer to."""
OWNED = (*OF_TRIALS, schema.trial, *OF_STUDY, TRIALS)
"""Tables whose rows go with their trial or their study."""
OURS = (schema.trial, schema.event, schema.verification, schema.artifact)
TABLES = (STUDIES, *OF_STUDY, TRIALS, *OF_TRIALS, *NAMED, *OURS)
Ids = dict[sa.Table, dict[int, int]]
"""Of each table the ids that rows had, and what they have become."""
REFERENCES = {"study_id": STUDIES, "trial_id": TRIALS, "run_id": schema.run, "rule_id": schema.rule}


@dataclass(frozen=True)
class Moved:
    """A study that was written or read: its name and how many trials it has."""

    name: str
    trials: int


def write_study(engine: sa.Engine, study_id: int, path: Path) -> Moved:
    """Write a study with all its rows to the file `path`, as they are at one moment.

    Raises InputError if it cannot be written.
    """
    check_writable(path)
    with snapshot(engine) as connection, atomic_file(path) as raw:
        name = connection.execute(
            sa.select(STUDIES.c.study_name).where(STUDIES.c.study_id == study_id)
        ).scalar_one()
        optuna_schema = connection.execute(sa.text("SELECT version_num FROM alembic_version"))
        tables = {}
        with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            for table in TABLES:
                tables[table.name] = _write_table(connection, table, study_id, archive)
            manifest = {
                "format": FORMAT,
                "study": name,
                "versions": {one: metadata.version(one) for one in ("hpsearch", "optuna")},
                "optuna_schema": optuna_schema.scalar_one(),
                "hpsearch_schema": migrate.HEAD,
                "tables": tables,
            }
            archive.writestr(MANIFEST, json.dumps(manifest, indent=1))
    return Moved(name, tables["trials"]["rows"])


def _write_table(
    connection: sa.Connection, table: sa.Table, study_id: int, archive: zipfile.ZipFile
) -> dict[str, Any]:
    digest, rows = hashlib.sha256(), 0
    with archive.open(f"{table.name}.jsonl", "w", force_zip64=True) as file:
        found = read.rows.of_study(connection, table, study_id)
        for row in own(connection, table, study_id, found) if table in HOLDERS else found:
            content = {key: _plain(value) for key, value in row.items()}
            line = json.dumps(content).encode() + b"\n"
            digest.update(line)
            file.write(line)
            rows += 1
    return {"rows": rows, "sha256": digest.hexdigest()}


def _plain(value: Any) -> Any:  # noqa: ANN401
    """A column's value as JSON knows it: moments in ISO format, members of an enum by name."""
    if isinstance(value, datetime):
        return value.isoformat()
    return getattr(value, "name", value)


def read_study(
    engine: sa.Engine, path: Path, name: str | None = None, *, allow_large: bool = False
) -> Moved:
    """Take the study in the file `path` into the store, under `name` if given: all or nothing.

    Trials that were running when the file was written wait again, and their runs have ended. Raises
    InputError if the file is damaged, is of another kind or version, or holds a row that no export
    writes; if the store already has a study of that name; and, unless `allow_large`, if the file is
    packed more tightly than an export is.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if not allow_large:
                _check_size(archive, path)
            manifest = _manifest(archive, path)
            with begin(engine) as connection:
                _check_versions(connection, manifest, path)
                _take_in(connection, archive, manifest, name or manifest["study"], path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except CONTENT_ERRORS as error:
        if isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError):
            raise
        what = (str(error).splitlines() or [""])[0].rstrip(".") or type(error).__name__
        raise InputError(
            f"{path} is no study that `hpsearch export` wrote, or is damaged: {what[:200]}."
        ) from error
    return Moved(name or manifest["study"], manifest["tables"]["trials"]["rows"])


def _check_size(archive: zipfile.ZipFile, path: Path) -> None:
    """Raises InputError for an archive that would grow suspiciously."""
    grown, packed = sum(one.file_size for one in archive.infolist()), path.stat().st_size
    if grown > max(SMALL_BYTES, MAX_GROWTH * packed):
        raise InputError(
            f"{path} has {packed / 1e6:.1f} MB and would grow to {grown / 1e6:,.0f} MB, as no "
            "study does that `hpsearch export` wrote: pass --allow-large if you trust it."
        )


def _manifest(archive: zipfile.ZipFile, path: Path) -> dict[str, Any]:
    try:
        with archive.open(MANIFEST) as file:
            manifest = json.loads(file.read(MAX_ROW_BYTES))
        named = bool(manifest["study"]) and all(isinstance(manifest[one], str) for one in TEXTS)
        known = manifest["format"] == FORMAT and named and "trials" in manifest["tables"]
    except (KeyError, ValueError, TypeError):
        known = False
    if not known:
        raise InputError(
            f"{path} is no study that this hpsearch can read: export it again, with --output "
            "STUDY.zip, or upgrade hpsearch."
        )
    return dict(manifest)


def _check_versions(connection: sa.Connection, manifest: Mapping[str, Any], path: Path) -> None:
    present = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one()
    if manifest["optuna_schema"] != present:
        raise InputError(
            f"{path} was written with Optuna {manifest['versions']['optuna']}, whose tables differ "
            f"from those of Optuna {metadata.version('optuna')} here: bring both to one version."
        )
    if manifest["hpsearch_schema"] > migrate.HEAD:
        raise InputError(f"{path} was written by a newer hpsearch: pip install -U hpsearch.")


def _take_in(
    connection: sa.Connection,
    archive: zipfile.ZipFile,
    manifest: Mapping[str, Any],
    name: str,
    path: Path,
) -> None:
    if connection.execute(
        sa.select(STUDIES.c.study_id).where(STUDIES.c.study_name == name)
    ).first():
        raise InputError(
            f"The store has a study {name!r} already: give the new one another name with --study."
        )
    drop_reused(connection)
    ids: Ids = {table: {} for table in (STUDIES, TRIALS, *NAMED)}
    checker, uid = Checker(), new_uid()
    for table in TABLES:
        expected = manifest["tables"].get(table.name, {"rows": 0, "sha256": None})
        rows = _rows(archive, table, expected, path, checker, ids)
        if table is STUDY_ATTRS:
            rows = _with_own_uid(rows, uid)
        elif table in HOLDERS:
            rows = with_new_uid(rows, table, uid)
        if table in (STUDIES, TRIALS, *NAMED):
            _insert_named(connection, table, rows, ids, name)
            continue
        while batch := list(islice(rows, ROWS_AT_ONCE)):
            write.rows.insert(connection, table, [_renumbered(table, row, ids) for row in batch])


def _with_own_uid(rows: Iterator[dict[str, Any]], uid: str) -> Iterator[dict[str, Any]]:
    """The study's attributes with a new id: the old id belongs to the exported study's folders."""
    for row in rows:
        yield {**row, "value_json": json.dumps(uid)} if row["key"] == attributes.UID else row


def _rows(
    archive: zipfile.ZipFile,
    table: sa.Table,
    expected: Mapping[str, Any],
    path: Path,
    checker: Checker,
    ids: Ids,
) -> Iterator[dict[str, Any]]:
    """Read the rows of a table from the archive and check each.

    Raises InputError at a row that no export writes. Raises it after the last row if the rows are
    not those that the export wrote.
    """
    if expected["sha256"] is None:  # a table that came later than the file
        return
    damaged = InputError(f"{path} is damaged: its table {table.name} is not what was written.")
    digest, count = hashlib.sha256(), 0
    try:
        with archive.open(f"{table.name}.jsonl") as file:
            while line := file.readline(MAX_ROW_BYTES):
                digest.update(line)
                count += 1
                try:
                    row = {key: _typed(table.c[key], one) for key, one in json.loads(line).items()}
                    checker.check(table, row)
                    _check_references(table, row, ids)
                except CONTENT_ERRORS as error:
                    raise _refused(path, table, f"row {count}", error) from error
                yield row
        try:
            checker.finish(table)
        except BadRowError as error:
            raise _refused(path, table, "what it holds", error) from error
    except (KeyError, ValueError, AttributeError, zipfile.BadZipFile) as error:
        raise damaged from error
    if digest.hexdigest() != expected["sha256"] or count != expected["rows"]:
        raise damaged


def _refused(path: Path, table: sa.Table, where: str, error: Exception) -> InputError:
    why = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
    return InputError(
        f"{path} is damaged or forged, so nothing of it was taken in: in its table {table.name} "
        f"{where} cannot be: {why}."
    )


def _check_references(table: sa.Table, row: Mapping[str, Any], ids: Ids) -> None:
    """Raises BadRowError for a row of another study or of a trial that is not there."""
    for name in ("study_id", "trial_id"):
        owner = REFERENCES[name]
        value = row.get(name)
        if table is not owner and value is not None and value not in ids[owner]:
            raise BadRowError(f"there is no {name} {value}")


def _typed(column: sa.Column[Any], value: Any) -> Any:  # noqa: ANN401
    """The inverse of `_plain`."""
    if value is None:
        return None
    if isinstance(column.type, sa.Enum) and column.type.enum_class is not None:
        return column.type.enum_class[value]
    if isinstance(column.type, sa.DateTime):
        return datetime.fromisoformat(value)
    return value


def _insert_named(
    connection: sa.Connection,
    table: sa.Table,
    rows: Iterator[dict[str, Any]],
    ids: Ids,
    name: str,
) -> None:
    """Insert rows that others refer to, and note which id each has become."""
    (key,) = table.primary_key
    while batch := list(islice(rows, ROWS_AT_ONCE)):
        content = [_renumbered(table, row, ids) for row in batch]
        for row in content:
            if table is STUDIES:
                row["study_name"] = name
            elif table is TRIALS and row["state"] == TrialState.RUNNING:
                row["state"] = TrialState.WAITING
            elif table is schema.run and (row.get("ended_at") is None or not row.get("outcome")):
                row |= {"ended_at": schema.utc_now(), "outcome": "moved"}
        new = write.rows.insert_for_ids(connection, table, content)
        ids[table].update(zip((row[key.name] for row in batch), new, strict=True))


def _renumbered(
    table: sa.Table, row: Mapping[str, Any], ids: Mapping[sa.Table, Mapping[int, int]]
) -> dict[str, Any]:
    """The row with the ids of this store, without its own where the database gives one."""
    own = {key.name for key in table.primary_key} if table is not schema.trial else set()
    return {
        name: ids[REFERENCES[name]].get(value) if name in REFERENCES else value
        for name, value in row.items()
        if name not in own
    }
