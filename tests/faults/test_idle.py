"""Servers close connections that nobody uses, MariaDB's after eight hours: a long epoch's end is
written all the same, at once."""

from __future__ import annotations

import time

import pytest
import sqlalchemy as sa

from hpsearch.store import Store
from hpsearch.store.server import connections

SOON = {
    "postgresql": "SET SESSION idle_session_timeout = '1s'",
    "mysql": "SET SESSION wait_timeout = 1",
}


@pytest.fixture(params=["postgresql", "mariadb"], scope="session")
def kind(request):
    return request.param


def test_a_connection_that_the_server_closed_overnight_is_replaced(storage, monkeypatch):
    with Store.open(storage) as store:
        with store.engine.connect() as connection:
            connection.execute(sa.text(SOON[store.engine.dialect.name]))
            connection.commit()
            closed = connection.connection.driver_connection
        store.retry_s = 0.0
        real = time.monotonic
        time.sleep(2.5)
        monkeypatch.setattr(connections.time, "monotonic", lambda: real() + 9 * 3600)
        store.record_event("long", "an epoch of nine hours has ended")
        assert [event["kind"] for event in store.events()] == ["long"]
        with store.engine.connect() as connection:
            assert connection.connection.driver_connection is not closed
