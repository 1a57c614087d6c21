"""Connections that cannot write: the database itself refuses whatever would change it."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import URL

from hpsearch.core.database_urls import sqlite_path

SETTINGS: dict[str, dict[str, Any]] = {
    "postgresql": {"options": "-c default_transaction_read_only=on"},
    "mysql": {"init_command": "SET SESSION TRANSACTION READ ONLY"},
}

SHM_BYTES = 1 << 15
"""What SQLite wants for the file beside a write-ahead log (-shm)."""
READING_PRAGMAS = frozenset({"data_version", "encoding", "table_info", "table_xinfo"})
"""Pragmas that SQLite's own full-text tables ask for."""


def connect_args(url: URL) -> dict[str, Any]:
    """What the driver of a server needs so that the server refuses to write; {} for SQLite.

    The URL's own `options` (a search_path) go on holding.
    """
    settings = dict(SETTINGS.get(url.get_backend_name(), {}))
    given = url.query.get("options")
    if given and "options" in settings:
        own = given if isinstance(given, str) else " ".join(given)
        settings["options"] = f"{own} {settings['options']}"
    return settings


def is_writable(url: URL) -> bool:
    """Whether a store of ours can be written; of a server that is tried, not asked."""
    path = sqlite_path(url)
    if path is None:
        return True
    folder = path.absolute().parent
    return os.access(path, os.W_OK) and os.access(folder, os.W_OK) and _has_room(folder)


def _has_room(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free >= 2 * SHM_BYTES
    except OSError:
        return True


def reading_url(url: URL) -> URL:
    """The URL by which SQLite opens the file for reading only; another URL as it is."""
    path = sqlite_path(url)
    if path is None:
        return url
    how = {"mode": "ro", "uri": "true"}
    # With a write-ahead log, SQLite makes a file beside the database even to read it. If it cannot
    # make that file, nobody writes to the database either, so the file can be read as it stands.
    if not is_writable(url) and not _size(f"{path}-wal") and _size(f"{path}-shm") < SHM_BYTES:
        how["immutable"] = "1"
    if "timeout" in url.query:
        how["timeout"] = str(url.query["timeout"])
    return url.set(database=f"file:{quote(str(path.absolute()))}", query=how)


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


def refuse_writes(engine: sa.Engine) -> None:
    """Have SQLite refuse to write, also in tables of its memory, and to open other files."""
    if engine.dialect.name != "sqlite":
        return

    @sa.event.listens_for(engine, "connect")
    def _guard(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own
        connection.execute("PRAGMA query_only = ON")
        connection.set_authorizer(_authorize)


def _authorize(action: int, first: str | None, *_: str | None) -> int:
    refused = action in (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH) or (
        action == sqlite3.SQLITE_PRAGMA and first not in READING_PRAGMAS
    )
    return sqlite3.SQLITE_DENY if refused else sqlite3.SQLITE_OK
