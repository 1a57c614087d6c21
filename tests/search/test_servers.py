"""A whole run with two workers on PostgreSQL and on MariaDB, and where its password went."""

import os
import subprocess
import threading
import time
import uuid

import pytest
import sqlalchemy as sa
from calls import run
from optuna.trial import TrialState
from outages import Network
from run_processes import entries, wait_until

from hpsearch.errors import HpsearchError
from hpsearch.store import Store

PASSWORD = "hunter22%2Fx"
SERVERS = {
    # PostgreSQL trusts local users here and takes any password; MariaDB gets a user of its own.
    "postgresql": ("postgresql", "postgres", "127.0.0.1:5432", "postgres"),
    "mariadb": ("mariadb", "root", "127.0.0.1:3306", "mysql"),
}


@pytest.fixture(params=SERVERS)
def server(request):
    """A URL with a password of a new database."""
    scheme, user, host, maintenance = SERVERS[request.param]
    driver = {"postgresql": "postgresql+psycopg", "mariadb": "mysql+pymysql"}[scheme]
    name = f"hpsearch_test_{uuid.uuid4().hex[:12]}"
    engine = sa.create_engine(
        f"{driver}://{user}@{host}/{maintenance}",
        isolation_level="AUTOCOMMIT",
        poolclass=sa.pool.NullPool,
    )
    own, commands, last = user, [f"CREATE DATABASE {name}"], [f"DROP DATABASE {name}"]
    if scheme == "mariadb":
        own = name[:30]
        commands += [
            f"CREATE USER {own}@'127.0.0.1' IDENTIFIED BY 'hunter22/x'",
            f"CREATE USER {own}@'localhost' IDENTIFIED BY 'hunter22/x'",
            f"GRANT ALL ON {name}.* TO {own}@'127.0.0.1', {own}@'localhost'",
        ]
        last.append(f"DROP USER {own}@'127.0.0.1', {own}@'localhost'")
    else:
        last = [f"DROP DATABASE {name} WITH (FORCE)"]
    try:
        with engine.connect() as connection:
            for command in commands:
                connection.exec_driver_sql(command)
    except sa.exc.OperationalError as error:
        pytest.fail(f"{scheme} does not answer at {host} ({error.orig}): service {scheme} start")
    yield f"{scheme}://{own}:{PASSWORD}@{host}/{name}"
    with engine.connect() as connection:
        for command in last:
            connection.exec_driver_sql(command)
    engine.dispose()


def dump(store):
    """Every value of every table, as text."""
    metadata = sa.MetaData()
    metadata.reflect(store.engine)
    with store.engine.connect() as connection:
        return "\n".join(
            str(row)
            for table in metadata.sorted_tables
            for row in connection.execute(sa.select(table))
        )


def test_two_workers_on_a_server_and_no_password_anywhere(spec, server, console, tmp_path):
    study = run(
        spec.but(bad="raise", bad_above=0.7), trials=12, workers=2, storage=server, console=console
    )
    states = [trial.state for trial in study.trials]
    assert len(states) == 12
    assert all(state.is_finished() for state in states)
    study._storage._backend.engine.dispose()
    with pytest.raises(HpsearchError) as caught:
        run(spec.but(epochs=4), trials=1, storage=server, console=console)
    with Store.open(server, create=False) as store:
        everything = dump(store)
        assert store.studies()[0].trials == 12
        assert store.table_counts()["hps_epoch"] == len(store.epochs("fake-quick"))
    files = subprocess.run(
        ["grep", "-rl", "hunter22", str(tmp_path)], capture_output=True, text=True
    ).stdout
    assert "hunter22" not in console.file.getvalue() + str(caught.value) + everything + files


def test_a_killed_worker_on_a_server(spec, server, console):
    study = run(spec.but(bad="kill once"), trials=4, workers=2, storage=server, console=console)
    assert {trial.state for trial in study.trials} <= {TrialState.COMPLETE, TrialState.PRUNED}
    study._storage._backend.engine.dispose()
    with Store.open(server) as store:
        kinds = [event["kind"] for event in store.events()]
    assert kinds.count("worker-crashed") == 1
    assert kinds.count("trial-requeued") == 1
    assert os.getpid() not in {entry["pid"] for entry in spec.journal if entry["what"] == "train"}


def cut_off(engine, name, url):
    """End every connection to the database and let no new one in; what lets them in again."""
    with engine.connect() as connection:
        if url.startswith("postgresql"):
            connection.exec_driver_sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
            connection.exec_driver_sql(end)
            return [f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"]
        user = name[:30]
        for host in ("127.0.0.1", "localhost"):
            connection.exec_driver_sql(f"ALTER USER {user}@'{host}' ACCOUNT LOCK")
        query = f"SELECT id FROM information_schema.processlist WHERE user = '{user}'"
        for (one,) in connection.exec_driver_sql(query).all():
            connection.exec_driver_sql(f"KILL {one}")
        return [f"ALTER USER {user}@'{host}' ACCOUNT UNLOCK" for host in ("127.0.0.1", "localhost")]


def test_a_run_outlives_a_server_that_goes_away(spec, server, console):
    """Every connection ended and none let in for three seconds, in the middle of a run."""
    scheme = server.split(":")[0]
    driver, user, host, maintenance = SERVERS[scheme]
    driver = {"postgresql": "postgresql+psycopg", "mariadb": "mysql+pymysql"}[scheme]
    engine = sa.create_engine(
        f"{driver}://{user}@{host}/{maintenance}",
        isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool,
    )  # fmt: skip
    name = server.rsplit("/", 1)[1]

    def outage():
        deadline = time.monotonic() + 60
        while len(spec.journal) < 4 and time.monotonic() < deadline:
            time.sleep(0.02)
        again = cut_off(engine, name, server)
        time.sleep(3)
        with engine.connect() as connection:
            for command in again:
                connection.exec_driver_sql(command)

    thread = threading.Thread(target=outage)
    thread.start()
    study = run(
        spec.but(sleep=0.1), trials=8, storage=server, console=console, search={"design_share": 1}
    )
    thread.join()
    assert "; waiting for it." in console.file.getvalue()
    assert "hunter22" not in console.file.getvalue()
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 8
    ends = [entry["seed"] for entry in spec.journal if entry["what"] == "end"]
    assert len(ends) == len(set(ends)) == 8
    with Store.open(server) as store:
        assert store.table_counts()["hps_epoch"] == 24
    study._storage._backend.engine.dispose()


def test_a_network_that_is_cut_costs_only_time(spec, server, console):
    """Nothing arrives for three seconds, and no connection is closed."""
    host, port = server.split("@")[1].split("/")[0].split(":")
    with Network(int(port)) as way:

        def cut():
            wait_until(lambda: len(entries(spec)) > 1, "the first trials")
            way.cut(3)

        thread = threading.Thread(target=cut)
        thread.start()
        study = run(
            spec.but(sleep=0.1), trials=8, search={"design_share": 1}, console=console,
            storage=server.replace(f"{host}:{port}", f"{host}:{way.port}"),
        )  # fmt: skip
        thread.join()
        assert way.cuts == 1
        assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 8
        assert len(entries(spec)) == 8
        study._storage._backend.engine.dispose()
    with Store.open(server) as store:
        assert store.table_counts()["hps_epoch"] == 24
