"""One process at a time: a lock beside an SQLite file, or one held by the database server."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from filelock import Timeout
from sqlalchemy.engine import URL

from hpsearch.core.database_urls import shown_url, sqlite_path
from hpsearch.core.locks import lock_file
from hpsearch.errors import HpsearchError

LOCK_WAIT_S = 120.0


@contextmanager
def exclusive(url: URL, name: str) -> Iterator[None]:
    """Hold the lock `name` of the store at `url` while the block runs.

    The lock ends with the process that holds it, however that ends. Raises HpsearchError if
    another process keeps it for two minutes.
    """
    path = sqlite_path(url)
    if path is not None:
        lock = lock_file(path.with_name(f"{path.name}.lock"), LOCK_WAIT_S)
        try:
            lock.acquire()
        except Timeout as error:
            raise HpsearchError(_too_long(url)) from error
        except OSError as error:  # of another user, who shares the file but not its lock
            raise HpsearchError(
                f"The lock {lock.lock_file} of the store cannot be taken "
                f"({error.strerror or error}): let its owner remove it, or make it writable."
            ) from error
        try:
            yield
        finally:
            lock.release()
        return
    # A connection of its own, because the servers tie the lock to the connection.
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            _acquire(connection, url, name)
            yield
    finally:
        engine.dispose()


def _acquire(connection: sa.Connection, url: URL, name: str) -> None:
    # MySQL's lock names are the server's, not the database's, and have at most 64 characters.
    digest = hashlib.sha256(f"hpsearch/{url.database}/{name}".encode()).digest()
    deadline = time.monotonic() + LOCK_WAIT_S
    while time.monotonic() < deadline:
        if connection.dialect.name == "postgresql":
            key = int.from_bytes(digest[:8], "big", signed=True)
            query = sa.select(sa.func.pg_try_advisory_lock(sa.cast(key, sa.BigInteger)))
        else:
            query = sa.select(sa.func.get_lock(f"hpsearch-{digest.hex()[:40]}", 5))
        if connection.execute(query).scalar():
            return
        if connection.dialect.name == "postgresql":
            time.sleep(0.1)
    raise HpsearchError(_too_long(url))


def _too_long(url: URL) -> str:
    return (
        f"Another process has kept the store {shown_url(url)} locked for two minutes: "
        "wait for it or end it, then try again."
    )
