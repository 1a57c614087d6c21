"""Stores to test against: an SQLite file, and throw-away databases on real servers."""

import optuna
import pytest
import sqlalchemy as sa
from store_databases import any_database

from hpsearch.store import Store
from hpsearch.store.tables import schema


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"], scope="session")
def kind(request):
    return request.param


@pytest.fixture
def new_url(kind, tmp_path):
    """The URL of a new, empty database."""
    with any_database(kind, tmp_path) as url:
        yield url


@pytest.fixture(scope="session")
def shared_url(kind, tmp_path_factory):
    """A database with the tables made: MariaDB takes two seconds to make them."""
    with any_database(kind, tmp_path_factory.mktemp("store")) as url:
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
