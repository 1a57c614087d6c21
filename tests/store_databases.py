"""Throw-away databases on real servers."""

import os
import uuid
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

SERVERS = {
    "postgresql": (
        os.environ.get("HPSEARCH_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432"),
        "postgres",
        "service postgresql start",
    ),
    "mariadb": (
        os.environ.get("HPSEARCH_TEST_MARIADB", "mysql+pymysql://root@127.0.0.1:3306"),
        "mysql",
        "service mariadb start",
    ),
}


EACH_STORE_AND_ONE_WORKER = [("sqlite", 1), ("sqlite", 2), ("postgresql", 2), ("mariadb", 2)]
"""For tests whose processes take seconds: the kind of store, and how many workers."""


@contextmanager
def database(kind):
    """A throw-away database on a server; the test fails where the server does not answer."""
    base, maintenance, start = SERVERS[kind]
    name = f"hpsearch_test_{uuid.uuid4().hex[:12]}"
    engine = sa.create_engine(
        f"{base}/{maintenance}", isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool
    )
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
    except sa.exc.OperationalError as error:
        pytest.fail(
            f"{kind} does not answer at {base} ({error.orig}); "
            f"this test needs a real server: {start}"
        )
    try:
        yield f"{base}/{name}"
    finally:
        force = " WITH (FORCE)" if kind == "postgresql" else ""
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name}{force}")
        engine.dispose()


@contextmanager
def any_database(kind, folder):
    """The URL of a new, empty database: an SQLite file in the folder, or one on a real server."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'store.db'}"
        return
    with database(kind) as url:
        yield url
