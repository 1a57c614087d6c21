"""Somebody else's studies, read where they lie: nothing there is written, made or migrated."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import quote

import optuna
import sqlalchemy as sa
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.engine import URL

from hpsearch.errors import InputError
from hpsearch.store import migrate
from hpsearch.store.opening import (
    CONNECT_S,
    check_path,
    no_store,
    other_optuna,
    small_engine,
    translated,
)
from hpsearch.urls import full_url, sqlite_path

READ_ONLY: dict[str, dict[str, Any]] = {
    "postgresql": {"options": "-c default_transaction_read_only=on"},
    "mysql": {"init_command": "SET SESSION TRANSACTION READ ONLY"},
}
"""What makes the server itself refuse whatever would change it."""

SQLITE_MAGIC = b"SQLite format 3\0"


def is_ours(url: URL) -> bool:
    """Whether hpsearch has made its tables there. Raises InputError where no store can be read."""
    with translated(url):
        if sqlite_path(url) is not None:
            check_path(url, create=False)
        engine = small_engine(_reading_url(url))
        try:
            with engine.connect() as connection:
                inspector = sa.inspect(connection)
                tables = set(inspector.get_table_names())
        finally:
            engine.dispose()
    if "studies" not in tables:
        raise InputError(no_store(url))
    if not {"alembic_version", "version_info"} <= tables:  # older than any that Optuna can read
        raise InputError(other_optuna(url))
    return migrate.VERSION_TABLE in tables


def is_writable(url: URL) -> bool:
    """Whether a store of ours can be written; of a server that is tried, not asked."""
    path = sqlite_path(url)
    return path is None or (os.access(path, os.W_OK) and os.access(path.absolute().parent, os.W_OK))


def open_foreign(url: URL, *, writable: bool = False) -> optuna.storages.RDBStorage:
    """Optuna's storage on a database that it cannot change, unless it is to be `writable`.

    Raises InputError in one sentence, without the password, if that cannot be done.
    """
    connect = {} if writable else READ_ONLY.get(url.get_backend_name(), {})
    if url.get_backend_name() in READ_ONLY:
        connect = {**connect, "connect_timeout": CONNECT_S}
    reading = url if writable else _reading_url(url)
    with translated(url), warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.storages.RDBStorage(
            full_url(reading).replace("{", "{{").replace("}", "}}"),
            engine_kwargs={"connect_args": connect},
            skip_table_creation=True,
        )


def _reading_url(url: URL) -> URL:
    """The URL by which SQLite opens the file for reading only."""
    path = sqlite_path(url)
    if path is None:
        return url
    how = {"mode": "ro", "uri": "true"}
    # A write-ahead log wants a file beside it even from readers. Where none can be made, nobody
    # writes either, and what is in the file may be read as it stands.
    if not is_writable(url) and not Path(f"{path}-wal").exists():
        how["immutable"] = "1"
    return url.set(database=f"file:{quote(str(path.absolute()))}").update_query_dict(how)


def open_file(path: Path) -> URL | optuna.storages.JournalStorage:
    """What a file holds: the URL of an SQLite database, or Optuna's journal, opened.

    Raises InputError for any other file.
    """
    try:
        with path.open("rb") as file:
            start = file.readline(1 << 20)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    if start.startswith(SQLITE_MAGIC):
        return sa.make_url(f"sqlite:///{path}")
    if not _is_log(start):
        raise InputError(
            f"{path} is neither an SQLite database nor a journal of Optuna: name another file, "
            "or give a database URL."
        )
    backend = JournalFileBackend(str(path))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.storages.JournalStorage(backend)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"The journal {path} is damaged: {error}.") from error


def _is_log(line: bytes) -> bool:
    try:
        entry = json.loads(line)
    except ValueError:
        return False
    return isinstance(entry, dict) and "op_code" in entry
