"""Stores to test against: an SQLite file, and throw-away databases on real servers."""

import os
import uuid
from contextlib import contextmanager

import optuna
import pytest
import sqlalchemy as sa

from hpsearch.store import Store, schema

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


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"], scope="session")
def kind(request):
    return request.param


@pytest.fixture
def new_url(kind, tmp_path):
    """The URL of a new, empty database."""
    if kind == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.db'}"
        return
    with database(kind) as url:
        yield url


@pytest.fixture(scope="session")
def shared_url(kind, tmp_path_factory):
    """A database with the tables made: MariaDB takes two seconds to make them."""
    if kind == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('store') / 'store.db'}"
        return
    with database(kind) as url:
        yield url


@pytest.fixture
def store(shared_url):
    """An open store that holds nothing yet."""
    with Store.open(shared_url) as opened:
        yield opened
        for study in optuna.get_all_study_names(opened.optuna):
            optuna.delete_study(study_name=study, storage=opened.optuna)
        with opened.engine.begin() as connection:
            for table in schema.metadata.sorted_tables:
                connection.execute(sa.delete(table))


@pytest.fixture
def url(store):
    """The URL of the open store."""
    return store.secret_url
