"""The database's clock, in UTC, decides who is dead, whatever clocks and zones machines have."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta

import optuna
import pytest
import sqlalchemy as sa
from calls import run
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from hpsearch.search.display import Display, shown_run
from hpsearch.store import Store
from hpsearch.store.queue import orphans, queue
from hpsearch.store.queue.fence import StudyRef
from hpsearch.store.queue.processes import Worker
from hpsearch.store.queue.queue import Planned
from hpsearch.store.server import clock
from hpsearch.store.tables import schema
from hpsearch.store.tables.optuna_tables import BEATS, TRIALS
from hpsearch.store.trials.write.running import PendingWrites, write_end

run_module = sys.modules["hpsearch.search.run"]
FAR = Worker("far", "another-machine", "far.example", 1)
SPACE = {"x": FloatDistribution(0, 1)}


@pytest.fixture
def running(storage):
    """(the store, its study, the claim of a trial that a worker elsewhere runs)."""
    with Store.open(storage) as store:
        study = optuna.create_study(storage=store.optuna, study_name="s")
        ref = StudyRef.of(study)
        queue.enqueue(store.engine, ref, 1, SPACE, lambda _: [Planned("design", 1, {"x": 0.5})])
        yield store, ref, queue.claim(store.engine, ref, FAR, None)


def in_zone(storage, zone):
    """An engine whose sessions are in another time zone, as after `export PGTZ` or summer time."""
    engine = sa.create_engine(storage, poolclass=sa.pool.NullPool)

    @sa.event.listens_for(engine, "connect")
    def _set(connection, _):
        statement = {
            "postgresql": f"SET TIME ZONE INTERVAL '{zone}:00' HOUR TO MINUTE",
            "mysql": f"SET time_zone = '{zone}:00'",
        }.get(engine.dialect.name)
        if statement:
            with connection.cursor() as cursor:
                cursor.execute(statement)
            connection.commit()

    return engine


@pytest.mark.parametrize("zone", ["-05", "+09"])
def test_sessions_in_other_time_zones_agree_who_lives(running, storage, zone):
    store, study, claim = running
    away = in_zone(storage, zone)
    queue.beat(away, [claim])
    assert orphans.find_orphaned(store.engine, study, 90) == []
    queue.beat(store.engine, [claim])
    assert orphans.find_orphaned(away, study, 90) == []
    away.dispose()


def test_a_worker_that_is_silent_is_found_from_any_time_zone(running, storage):
    store, study, claim = running
    long_ago = schema.utc_now() - timedelta(seconds=600)
    with store.engine.begin() as connection:
        connection.execute(sa.update(BEATS).values(heartbeat=long_ago))
    for zone in ("-05", "+09"):
        engine = in_zone(storage, zone)
        found = orphans.find_orphaned(engine, study, 90)
        assert [one.trial_id for one in found] == [claim.trial_id]
        engine.dispose()


@pytest.mark.parametrize("skew", [timedelta(minutes=-7), timedelta(hours=30)])
def test_the_clock_of_the_machine_decides_nothing(running, monkeypatch, skew):
    """Seven minutes behind the server, or a jump by a day: the worker lives all the same."""
    store, study, claim = running

    class Skewed(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(UTC) + skew if tz else datetime.now() + skew

    monkeypatch.setattr(schema, "datetime", Skewed)
    queue.beat(store.engine, [claim])
    assert orphans.find_orphaned(store.engine, study, 90) == []


@pytest.mark.parametrize(
    ("skew", "timeout", "outcome"), [(1200, 600, "finished"), (-1200, 0.5, "out of time")]
)
def test_a_deadline_is_the_same_on_a_host_with_a_skewed_clock(
    spec, storage, console, monkeypatch, skew, timeout, outcome
):
    """The run is planned on one host; on its workers' it is twenty minutes later or earlier."""
    make_job, real = run_module.make_job, time.time

    def on_another_host(*args):
        job = make_job(*args)
        monkeypatch.setattr(time, "time", lambda: real() + skew)
        return job

    monkeypatch.setattr(run_module, "make_job", on_another_host)
    study = run(
        spec.but(sleep=0.1), trials=8, timeout=timeout, search={"design_share": 1},
        storage=storage, console=console,
    )  # fmt: skip
    assert f"fake-quick: {outcome} after" in console.file.getvalue()
    ended = [trial.state.is_finished() for trial in study.trials]
    assert all(ended) == (outcome == "finished")


@pytest.mark.parametrize("zone", ["-05", "+09"])
def test_the_databases_clock_has_fractions_and_no_time_zone(running, storage, zone):
    store, *_ = running
    away = in_zone(storage, zone)
    before = time.time()
    seen = [clock.seconds(engine) for engine in (store.engine, away) for _ in range(5)]
    assert all(before - 0.1 < one < time.time() + 0.1 for one in seen)
    assert len(set(seen)) > 1
    away.dispose()


def test_a_trial_that_ended_in_the_future_hides_none_that_ends_later(running, console, monkeypatch):
    """The clock of one of two machines is an hour ahead: both their trials are shown."""
    store, ref, first = running
    queue.enqueue(store.engine, ref, 1, SPACE, lambda _: [Planned("design", 2, {"x": 0.6})])
    second = queue.claim(store.engine, ref, FAR, None)
    study = optuna.load_study(study_name="s", storage=store.optuna)
    display = Display(store, shown_run(study, ref, 1, "score", 2), console)
    for claim, skew in ((first, timedelta(hours=1)), (second, timedelta())):
        write_end(store.engine, claim, TrialState.COMPLETE, [0.5], PendingWrites())
        ended = schema.utc_now() + skew
        with store.engine.begin() as connection:
            update = sa.update(TRIALS).where(TRIALS.c.trial_id == claim.trial_id)
            connection.execute(update.values(datetime_complete=ended))
        display._poll()
    assert console.file.getvalue().count("complete") == 2
