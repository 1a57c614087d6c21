"""Servers that restart under `verify`, and one with fewer connections than there are workers."""

import threading
import time

import optuna
import pytest
import sqlalchemy as sa
from calls import run, verify
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState
from outages import MariaDB, Postgres
from run_processes import entries, wait_until

from hpsearch.errors import InputError
from hpsearch.search.worker.heartbeat import Heartbeat
from hpsearch.store import Store
from hpsearch.store.queue import queue
from hpsearch.store.queue.fence import StudyRef
from hpsearch.store.queue.processes import this_worker
from hpsearch.store.server.retry import retry, retry_for
from hpsearch.store.trials.worker_storage import WorkerStorage
from hpsearch.verification import run as verifying

CONTRAST = {"param": "x", "value": 0.3, "against": 0.8}


def away(server, seconds):
    server.stop()
    time.sleep(seconds)
    server.start()


@pytest.mark.parametrize("kind", [Postgres, MariaDB])
def test_a_restart_under_verify_costs_only_time(spec, console, monkeypatch, kind):
    """Once while pairs are trained, and once between the last of them and the verdict."""
    spec = spec.but(noise=0.01, epochs=1, sleep=0.1)
    with kind() as server:
        run(spec, trials=12, storage=server.url, console=console)

        def restart():
            wait_until(lambda: len(entries(spec)) > 14, "the pairs")
            away(server, 1)

        def watch(*arguments):
            carry_out(*arguments)
            server.stop()
            late.start()

        carry_out = verifying.carry_out
        monkeypatch.setattr(verifying, "carry_out", watch)
        early, late = threading.Thread(target=restart), threading.Timer(1, server.start)
        early.start()
        done = verify(spec, **CONTRAST, pairs=8, storage=server.url, console=console)
        for thread in (early, late):
            thread.join()
        assert done.verdict == "confirmed"
        assert all(gain is not None for gain in done.gains)
        assert console.file.getvalue().count("; waiting for it.") >= 1
        with Store.open(server.url) as store:
            (row,) = store.verifications("fake-quick")
            assert row["verdict"] == "confirmed"
        pairs = optuna.load_study(study_name=done.trials_study, storage=server.url)
        assert [trial.state for trial in pairs.trials] == [TrialState.COMPLETE] * 16
        for study in (done, pairs):
            if isinstance(study, optuna.Study):
                study._storage._backend.engine.dispose()


def work(url, ref, told):
    """As a worker does: claim, report, end, with a heartbeat beside; it keeps its store open."""
    with retry(Store.open, url) as store:
        view, me = WorkerStorage(store.optuna), this_worker(threading.current_thread().name)
        with Heartbeat(store, 0.05) as heart:
            while True:
                claim = store.retry(queue.claim, store.engine, ref, me, None)
                if claim is None:
                    return
                heart.watch([claim])
                store.retry(view.hold, [claim])
                time.sleep(0.05)
                store.retry(view.set_trial_state_values, claim.trial_id, TrialState.COMPLETE, [1.0])
                told.append(claim.trial_id)


def test_more_workers_than_connections():
    """20 for 10 connections: each keeps one, the others wait or say so, and no trial is lost."""
    space = {"x": FloatDistribution(0, 1)}
    with Postgres("-c", "max_connections=10", "-c", "superuser_reserved_connections=0") as server:
        with Store.open(server.url) as store:
            study = optuna.create_study(storage=store.optuna, study_name="s")
            ref = StudyRef.of(study)
            queue.enqueue(
                store.engine, ref, None, space,
                lambda _: [queue.Planned("a", seed, {"x": 0.5}) for seed in range(60)],
            )  # fmt: skip
        told, refused = [], []

        def one():
            try:
                work(server.url, ref, told)
            except InputError as error:
                refused.append(str(error))

        threads = [threading.Thread(target=one) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # A server closes connections a little later than its clients do.
        with retry_for(30, None, Store.open, server.url) as store:
            states = reading_states(store, ref)
        assert states == {TrialState.COMPLETE: 60}
        assert len(told) == len(set(told)) == 60
        for sentence in refused:
            assert "has no connection left" in sentence
            assert len(sentence.splitlines()) == 1


def reading_states(store, ref):
    from hpsearch.store import summaries

    return summaries.states(store.engine, ref.study_id)


def test_a_worker_keeps_one_connection(storage):
    """Also one whose heartbeat writes at the same time as it does."""
    with Store.open(storage) as store:
        if store.engine.dialect.name == "sqlite":
            pytest.skip("a file has no connections to run out of")
        together = threading.Barrier(4)

        def use():
            with store.engine.connect() as connection:
                connection.exec_driver_sql("SELECT 1")
                together.wait()

        threads = [threading.Thread(target=use) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        count = {
            "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE datname = "
            "current_database() AND backend_type = 'client backend'",
            "mysql": "SELECT count(*) FROM information_schema.processlist WHERE db = database()",
        }[store.engine.dialect.name]
        wait_until(lambda: number(store, count) == 1, "the others to be closed", seconds=20)


def number(store, query):
    with store.engine.connect() as connection:
        return connection.execute(sa.text(query)).scalar()
