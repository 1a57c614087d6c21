"""Connections and transactions: few round trips, and one view of the database where one is needed.

They also notice when an SQLite file is replaced.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from hpsearch.errors import HpsearchError

IDLE_S = 5.0
"""A connection that lay so long is asked whether it still lives before it is used again."""
USED = "hpsearch_used_at"
"""The key of a connection's `info` with the moment of its last use."""


def reader(engine: sa.Engine) -> sa.Connection:
    """A connection for statements that need no common transaction.

    On PostgreSQL it commits automatically: without BEGIN and ROLLBACK a statement takes one round
    trip instead of three. (PyMySQL needs a round trip to switch this on; SQLite needs none at all.)
    """
    if engine.dialect.name == "postgresql":
        return engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    return engine.connect()


@contextmanager
def begin(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that holds SQLite's write lock from its start, so that what it reads stays."""
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection


@contextmanager
def snapshot(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction in which all reads see the database as it was at the first read."""
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN")
        else:
            # As a statement: what SQLAlchemy's own option meets is the driver's error, bare.
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield connection
        connection.rollback()


def ask_after_idling(engine: sa.Engine) -> None:
    """Replace pooled connections that a server or a firewall closed while they were not used.

    SQLAlchemy's own `pool_pre_ping` asks the server before every use. This function does not ask
    for a connection that was used just now, which saves a round trip. If the server restarts in
    that moment, the statement fails, SQLAlchemy replaces the whole pool, and `retry` tries again.
    """

    @sa.event.listens_for(engine, "checkin")
    def used(connection: object, record: sa.pool.ConnectionPoolEntry) -> None:
        record.info[USED] = time.monotonic()

    @sa.event.listens_for(engine, "checkout")
    def ask(connection: object, record: sa.pool.ConnectionPoolEntry, proxy: object) -> None:
        if time.monotonic() - record.info.get(USED, time.monotonic()) < IDLE_S:
            return
        try:
            engine.dialect.do_ping(connection)  # type: ignore[arg-type]
        except Exception as error:  # whatever the driver calls it
            raise sa.exc.InvalidatePoolError from error


class StoreReplacedError(HpsearchError):
    """Another file, or none, lies where the store's was."""


def stay_with(engine: sa.Engine, path: Path) -> None:
    """Refuse to go on once the SQLite file is replaced or removed.

    An open connection would go on writing to the removed file, where nobody finds the rows again. A
    new connection would read the file that replaced it.
    """
    known: list[tuple[int, int]] = []

    @sa.event.listens_for(engine, "checkout")
    def check(connection: object, record: object, proxy: object) -> None:
        try:
            now = path.stat()
        except OSError:
            now = None
        here = None if now is None else (now.st_dev, now.st_ino)
        if here is not None and not known:
            known.append(here)
        if known and here != known[0]:
            raise StoreReplacedError(
                f"The file {path} was replaced or removed while it was in use, so nothing more was "
                "written: put it back, then run the same command again."
            )
