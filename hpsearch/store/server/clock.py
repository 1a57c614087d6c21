"""The database's own clock, which gives one time to all machines that share the database."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class server_now(FunctionElement[datetime]):  # noqa: N801 - a function of SQL
    """The time of the database's own clock in UTC. Heartbeats are written and checked with it.

    The clocks of machines differ. So do the time zones of sessions: PostgreSQL's and MySQL's now()
    is in the session's zone, which a client may set and which summer time moves by an hour.
    """

    type = sa.DateTime()
    inherit_cache = True


@compiles(server_now)
def _sqlite_now(*_: object, **__: object) -> str:
    return "CURRENT_TIMESTAMP"  # in UTC there


@compiles(server_now, "postgresql")
def _postgresql_now(*_: object, **__: object) -> str:
    return "(CURRENT_TIMESTAMP AT TIME ZONE 'UTC')"


@compiles(server_now, "mysql", "mariadb")
def _mysql_now(*_: object, **__: object) -> str:
    return "UTC_TIMESTAMP()"


class server_seconds(FunctionElement[float]):  # noqa: N801 - a function of SQL
    """Seconds since 1970 in UTC, with their fraction, whatever the session's time zone is."""

    type = sa.Double()
    inherit_cache = True


@compiles(server_seconds)
def _sqlite_seconds(*_: object, **__: object) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(server_seconds, "postgresql")
def _postgresql_seconds(*_: object, **__: object) -> str:
    return "EXTRACT(EPOCH FROM CURRENT_TIMESTAMP)"


@compiles(server_seconds, "mysql", "mariadb")
def _mysql_seconds(*_: object, **__: object) -> str:
    # Not UNIX_TIMESTAMP(NOW(6)), which is an hour off while summer time ends.
    return "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) / 1000000)"


def seconds(engine: sa.Engine) -> float:
    """Seconds since 1970 by the clock of the database: of its server, or of this machine."""
    with engine.connect() as connection:
        return float(connection.execute(sa.select(server_seconds())).scalar_one())
