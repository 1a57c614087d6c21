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
from optuna.storages._rdb import models
from optuna.trial import TrialState

from hpsearch.errors import InputError
from hpsearch.files import check_writable, whole_file
from hpsearch.store import migrate, schema
from hpsearch.store.optuna_tables import STUDIES, TRIALS
from hpsearch.store.queue import begin, snapshot

FORMAT = "hpsearch.study/1"
MANIFEST = "manifest.json"
TEXTS = ("study", "optuna_schema", "hpsearch_schema")
"""What in the manifest must be texts."""
AT_ONCE = 1000
LONGEST = 1 << 26
"""Bytes of a row at most: a longer one is none, and may be made to fill the memory."""
SENSELESS = (
    zipfile.BadZipFile, zlib.error, EOFError, LookupError, ValueError, TypeError, AttributeError,
    ArithmeticError, RuntimeError, sa.exc.StatementError,
)  # fmt: skip
"""What reading a file raises that is not what an export wrote: zipfile's, JSON's, a database's."""

OF_STUDY: tuple[sa.Table, ...] = (
    models.StudyDirectionModel.__table__,
    models.StudyUserAttributeModel.__table__,
    models.StudySystemAttributeModel.__table__,
)
OF_TRIALS: tuple[sa.Table, ...] = (
    models.TrialParamModel.__table__,
    models.TrialValueModel.__table__,
    models.TrialIntermediateValueModel.__table__,
    models.TrialUserAttributeModel.__table__,
    models.TrialSystemAttributeModel.__table__,
    models.TrialHeartbeatModel.__table__,
    schema.epoch,
)
"""Tables without a study_id of their own."""
NAMED = (schema.run, schema.rule)
"""Tables whose rows others refer to."""
OURS = (schema.trial, schema.event, schema.verification, schema.artifact)
TABLES = (STUDIES, *OF_STUDY, TRIALS, *OF_TRIALS, *NAMED, *OURS)
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
    with snapshot(engine) as connection, whole_file(path) as raw:
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
    query = sa.select(table).where(_belongs(table, study_id)).order_by(*table.primary_key)
    with archive.open(f"{table.name}.jsonl", "w", force_zip64=True) as file:
        for row in connection.execution_options(yield_per=AT_ONCE).execute(query).mappings():
            content = {key: _plain(value) for key, value in row.items()}
            line = json.dumps(content).encode() + b"\n"
            digest.update(line)
            file.write(line)
            rows += 1
    return {"rows": rows, "sha256": digest.hexdigest()}


def _belongs(table: sa.Table, study_id: int) -> sa.ColumnElement[bool]:
    """Which of the table's rows are the study's, directly or through one of its trials."""
    trials = sa.select(TRIALS.c.trial_id).where(TRIALS.c.study_id == study_id)
    if "study_id" not in table.c:
        return table.c.trial_id.in_(trials)
    own = table.c.study_id == study_id
    if table in (schema.event, schema.artifact):
        return sa.or_(own, table.c.trial_id.in_(trials))
    return own


def _plain(value: Any) -> Any:  # noqa: ANN401
    """A column's value as JSON knows it: moments in ISO format, members of an enum by name."""
    if isinstance(value, datetime):
        return value.isoformat()
    return getattr(value, "name", value)


def read_study(engine: sa.Engine, path: Path, name: str | None = None) -> Moved:
    """Take the study in the file `path` into the store, under `name` if given: all or nothing.

    Trials that were being run when it was written wait again, and their runs have ended. Raises
    InputError for a file that is damaged or of another kind or version, and for a name that the
    store has already.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = _manifest(archive, path)
            with begin(engine) as connection:
                _check_versions(connection, manifest, path)
                _take_in(connection, archive, manifest, name or manifest["study"], path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except SENSELESS as error:
        if isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError):
            raise
        what = (str(error).splitlines() or [""])[0].rstrip(".") or type(error).__name__
        raise InputError(
            f"{path} is no study that `hpsearch export` wrote, or is damaged: {what[:200]}."
        ) from error
    return Moved(name or manifest["study"], manifest["tables"]["trials"]["rows"])


def _manifest(archive: zipfile.ZipFile, path: Path) -> dict[str, Any]:
    try:
        with archive.open(MANIFEST) as file:
            manifest = json.loads(file.read(LONGEST))
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
    ids: dict[sa.Table, dict[int, int]] = {table: {} for table in (STUDIES, TRIALS, *NAMED)}
    for table in TABLES:
        expected = manifest["tables"].get(table.name, {"rows": 0, "sha256": None})
        rows = _rows(archive, table, expected, path)
        if table in (STUDIES, TRIALS, *NAMED):
            _insert_named(connection, table, rows, ids, name)
            continue
        while batch := list(islice(rows, AT_ONCE)):
            connection.execute(sa.insert(table), [_renumbered(table, row, ids) for row in batch])


def _rows(
    archive: zipfile.ZipFile, table: sa.Table, expected: Mapping[str, Any], path: Path
) -> Iterator[dict[str, Any]]:
    """The rows of a table; an InputError after the last if they are not those that were written."""
    if expected["sha256"] is None:  # a table that came later than the file
        return
    damaged = InputError(f"{path} is damaged: its table {table.name} is not what was written.")
    digest, count = hashlib.sha256(), 0
    try:
        with archive.open(f"{table.name}.jsonl") as file:
            while line := file.readline(LONGEST):
                digest.update(line)
                count += 1
                yield {key: _typed(table.c[key], one) for key, one in json.loads(line).items()}
    except (KeyError, ValueError, AttributeError, zipfile.BadZipFile) as error:
        raise damaged from error
    if digest.hexdigest() != expected["sha256"] or count != expected["rows"]:
        raise damaged


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
    ids: dict[sa.Table, dict[int, int]],
    name: str,
) -> None:
    """Insert rows that others refer to, and note which id each has become."""
    (key,) = table.primary_key
    while batch := list(islice(rows, AT_ONCE)):
        content = [_renumbered(table, row, ids) for row in batch]
        for row in content:
            if table is STUDIES:
                row["study_name"] = name
            elif table is TRIALS and row["state"] == TrialState.RUNNING:
                row["state"] = TrialState.WAITING
            elif table is schema.run and row["ended_at"] is None:
                row |= {"ended_at": schema.utc_now(), "outcome": "moved"}
        statement = sa.insert(table).returning(key, sort_by_parameter_order=True)
        if connection.dialect.insert_returning and table is not STUDIES:
            new = connection.execute(statement, content).scalars().all()
        else:
            new = [
                connection.execute(sa.insert(table).values(**row)).inserted_primary_key[0]  # type: ignore[index]
                for row in content
            ]
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
