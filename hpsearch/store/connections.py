"""Connections to a server: what each statement's journey costs is saved where it can be."""

from __future__ import annotations

import time

import sqlalchemy as sa

IDLE_S = 5.0
"""A connection that lay so long is asked whether it still lives before it is used again."""
USED = "hps_used_at"


def reader(engine: sa.Engine) -> sa.Connection:
    """A connection for statements that each stand alone.

    On PostgreSQL they so need no BEGIN before and no ROLLBACK after them, two journeys out of
    three. (PyMySQL would make one to say so; SQLite makes none at all.)
    """
    if engine.dialect.name == "postgresql":
        return engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    return engine.connect()


def ask_after_idling(engine: sa.Engine) -> None:
    """Replace pooled connections that a server or a firewall closed while they were not used.

    SQLAlchemy's own `pool_pre_ping` asks before every use. A connection used just now is not worth
    a journey: should the server restart in that moment, the statement fails, the whole pool is
    replaced, and whoever is patient tries again.
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
