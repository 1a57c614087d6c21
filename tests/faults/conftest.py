"""Stores of all three kinds, and the study with the trainer that takes no time."""

import pytest
from fake_study import console, spec, start, tmp_path  # noqa: F401
from store_databases import any_database


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"], scope="session")
def kind(request):
    return request.param


@pytest.fixture
def storage(kind, tmp_path):  # noqa: F811
    """The URL of a new, empty database."""
    with any_database(kind, tmp_path) as url:
        yield url
