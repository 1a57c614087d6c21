"""Opening a store: Optuna's storage and our tables, or one sentence why it cannot be opened."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import optuna
import sqlalchemy as sa
from sqlalchemy.engine import URL

from hpsearch.core.database_urls import (
    database_problem,
    full_url,
    missing_driver,
    shown_url,
    sqlite_path,
)
from hpsearch.errors import HpsearchError, InputError
from hpsearch.store.server.connections import ask_after_idling, stay_with
from hpsearch.store.server.locks import exclusive
from hpsearch.store.server.retry import OutOfReachError, is_transient
from hpsearch.store.tables import migrate


class NoStoreError(InputError):
    """There is no store at that `place`, and none was to be made."""

    def __init__(self, url: URL) -> None:
        super().__init__(no_store(url))
        self.place = shown_url(url)


HEARTBEAT_S = 30
GRACE_S = 90
BUSY_S = 60
CONNECT_S = 10
SILENT_S = 60
"""How long a server may leave a statement unanswered before the connection is taken for lost."""


def open_storage(url: URL, *, create: bool) -> optuna.storages.RDBStorage:
    """Optuna's storage at `url`, its tables and ours made or migrated.

    Raises InputError in one sentence, without the password, if that cannot be done.
    """
    path = sqlite_path(url)
    if path is not None:
        check_path(url, create=create)
    with translated(url):
        if path is not None:
            _use_wal(url)
        if not create and path is None:
            _check_studies(url)
        if _is_new(url):
            # Optuna's own table creation is as racy as ours, so both happen under the lock.
            with exclusive(url, "schema"):
                storage = _build(url)
        else:
            storage = _build(url)
        try:
            if migrate.current(storage.engine) != migrate.HEAD:
                with exclusive(url, "schema"):
                    migrate.upgrade(storage.engine)
        except BaseException:
            storage.engine.dispose()
            raise
    return storage


def _build(url: URL) -> optuna.storages.RDBStorage:
    kwargs: dict[str, Any] = {"connect_args": _connect_args(url)}
    pools: list[sa.Pool] = []
    if sqlite_path(url) is None:
        kwargs["poolclass"] = _noted_in(pools)
        kwargs["pool_pre_ping"] = False  # see ask_after_idling
        # A worker keeps one connection, of the hundred that PostgreSQL has for all: what a second
        # thread needs at the same moment is opened for it and closed.
        kwargs |= {"pool_size": 1, "max_overflow": 14}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            storage = optuna.storages.RDBStorage(
                # Optuna runs the URL through str.format.
                full_url(url).replace("{", "{{").replace("}", "}}"),
                engine_kwargs=kwargs,
                heartbeat_interval=HEARTBEAT_S,
                grace_period=GRACE_S,
            )
    except BaseException:
        for pool in pools:  # or what it has would be kept from others until it is collected
            pool.dispose()
        raise
    path = sqlite_path(url)
    if path is None:
        ask_after_idling(storage.engine)
    else:
        stay_with(storage.engine, path.absolute())
    return storage


def _noted_in(pools: list[sa.Pool]) -> type[sa.QueuePool]:
    """Optuna makes its engine itself, and where it fails after that nobody else can close it."""

    class Noted(sa.QueuePool):
        def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401
            super().__init__(*arguments, **options)
            pools.append(self)

    return Noted


def _connect_args(url: URL) -> dict[str, Any]:
    if url.drivername.startswith("sqlite"):
        return {"timeout": BUSY_S}
    if url.get_backend_name() == "mysql":
        return {"connect_timeout": CONNECT_S, "read_timeout": SILENT_S, "write_timeout": SILENT_S}
    # Where a network is cut, nobody tells the two ends; without these they wait for hours.
    alive = {"keepalives_idle": 20, "keepalives_interval": 10, "keepalives_count": 3}
    return {"connect_timeout": CONNECT_S, "tcp_user_timeout": SILENT_S * 1000, **alive}


def small_engine(url: URL) -> sa.Engine:
    return sa.create_engine(url, poolclass=sa.pool.NullPool, connect_args=_connect_args(url))


def revision(url: URL) -> str | None:
    """Which schema of ours the store has now, before it is opened and migrated; None for none.

    Raises InputError where it cannot be read.
    """
    path = sqlite_path(url)
    if path is not None:
        check_path(url, create=False)
    engine = small_engine(url)
    try:
        with translated(url):
            return migrate.current(engine)
    finally:
        engine.dispose()


def _is_new(url: URL) -> bool:
    """Whether the tables are yet to be made, ours or Optuna's."""
    engine = small_engine(url)
    try:
        with engine.connect() as connection:
            inspector = sa.inspect(connection)
            return not all(map(inspector.has_table, ("alembic_version", migrate.VERSION_TABLE)))
    finally:
        engine.dispose()


def _check_studies(url: URL) -> None:
    engine = small_engine(url)
    try:
        with engine.connect() as connection:
            found = sa.inspect(connection).has_table("studies")
    finally:
        engine.dispose()
    if not found:
        raise NoStoreError(url)


def check_path(url: URL, *, create: bool) -> None:
    path = sqlite_path(url)
    assert path is not None
    try:
        is_folder, has_place, exists = path.is_dir(), path.parent.is_dir(), path.exists()
    except OSError as error:  # another user's folder
        raise InputError(
            f"The store {shown_url(url)} cannot be opened: {error.strerror or error}."
        ) from error
    if is_folder:
        raise InputError(f"The store {shown_url(url)} is a folder: name a file in it.")
    if not has_place:
        raise InputError(
            f"The store {shown_url(url)} cannot be opened: there is no folder {path.parent}; "
            "make it first."
        )
    if not create and not exists:
        raise NoStoreError(url)


def no_store(url: URL) -> str:
    return (
        f"There is no store at {shown_url(url)}: run `hpsearch run imdb-clas` first "
        "or pass --storage."
    )


def other_optuna(url: URL, *, newer: bool = False) -> str:
    which, way = "an older", f"run `optuna storage upgrade --storage {shown_url(url)}`"
    if newer:
        which, way = "a newer", "pip install -U optuna"
    return f"The store {shown_url(url)} was made by {which} version of Optuna: {way}."


def _use_wal(url: URL) -> None:
    """Write-ahead logging: readers and the one writer do not wait for each other.

    It is a property of the file. `synchronous` stays FULL, so that a power cut loses no trial.
    """
    engine = small_engine(url)
    try:
        with engine.connect() as connection:
            if connection.exec_driver_sql("PRAGMA journal_mode").scalar() != "wal":
                with exclusive(url, "schema"):
                    connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            # What cannot be written is better known now than after the first trial.
            # (BEGIN IMMEDIATE succeeds on a read-only file; a write does not. It is rolled back.)
            version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            connection.exec_driver_sql(f"PRAGMA user_version = {version:d}")
    finally:
        engine.dispose()


@contextmanager
def translated(url: URL) -> Iterator[None]:
    """Turn whatever a driver raises into one sentence that shows no password."""
    try:
        yield
    except HpsearchError:
        raise
    except (ImportError, sa.exc.NoSuchModuleError) as error:
        raise InputError(missing_driver(url, error)) from error
    except migrate.TooNewError as error:
        raise InputError(
            f"The store {shown_url(url)} was made by a newer hpsearch: "
            "upgrade with pip install -U hpsearch."
        ) from error
    except RuntimeError as error:
        if "optuna storage upgrade" not in str(error) and "updating optuna" not in str(error):
            raise
        newer = "optuna storage upgrade" not in str(error)
        raise InputError(other_optuna(url, newer=newer)) from error
    except (
        sa.exc.SQLAlchemyError,
        optuna.exceptions.StorageInternalError,
        sqlite3.Error,
        OSError,
    ) as error:
        # The driver's text may quote the URL: the chain is cut where it could show a password.
        kind = OutOfReachError if is_transient(error) else InputError
        raise kind(f"The store {shown_url(url)} {database_problem(error, url)}.") from None
