"""A study deleted while it is worked on: its workers change nothing of the next, and say so.

SQLite gives the ids of a deleted study, its trials and its runs to the next one.
"""

import contextlib
import io
import json
import threading
import uuid
from dataclasses import replace

import optuna
import pytest
import sqlalchemy as sa
from calls import run
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState
from optuna_dashboard import wsgi
from run_processes import entries, values, wait_until
from store_databases import EACH_STORE_AND_ONE_WORKER

from hpsearch.store import Store
from hpsearch.store.queue import fence, orphans, queue, runs, taken_trials
from hpsearch.store.queue.fence import StudyGoneError, StudyRef, TakenError
from hpsearch.store.queue.processes import Worker, this_worker
from hpsearch.store.tables.optuna_tables import BEATS, STUDIES, TRIALS
from hpsearch.store.trials.worker_storage import WorkerStorage
from hpsearch.store.trials.write.deleted import drop_orphans
from hpsearch.trainers.contract import EpochRecord

SPACE = {"x": FloatDistribution(0, 1)}
RUN = {"trials": 3, "workers": 1, "engine": "local", "machine": "m", "host": "h", "pid": 1}
EPOCH = EpochRecord("main", 1, 3, 0.5, 0.25, {"score": 666.0}, (0.1,), 1.0)


def by_optuna(store, name):
    optuna.delete_study(study_name=name, storage=store.optuna)


def until_gone(store, name):
    """On servers Optuna gives up, without a word, where a row comes in between its statements; on
    MariaDB this is always so while a run writes, and deadlocks are for whoever is told of them."""
    way = by_sql if store.engine.dialect.name == "mysql" else by_optuna
    while name in optuna.get_all_study_names(store.optuna):
        with contextlib.suppress(sa.exc.DBAPIError, optuna.exceptions.StorageInternalError):
            way(store, name)


def by_dashboard(store, name):
    """The request that its page sends."""
    request = {
        "REQUEST_METHOD": "DELETE", "PATH_INFO": f"/api/studies/{store.study_id(name)}",
        "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "8080", "HTTP_HOST": "127.0.0.1:8080",
        "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(b"{}"), "CONTENT_LENGTH": "2",
        "CONTENT_TYPE": "application/json",
    }  # fmt: skip
    told = []
    list(wsgi(store.optuna)(request, lambda status, headers, *_: told.append(status)))
    assert told[0].startswith("2")


def by_sql(store, name):
    """Another client's statements, which know only Optuna's tables."""
    study = store.study_id(name)
    trials = f"SELECT trial_id FROM trials WHERE study_id = {study}"
    with store.engine.begin() as connection:
        tables = sa.inspect(connection).get_table_names()
        for table in (one for one in tables if one.startswith("trial_")):
            connection.exec_driver_sql(f"DELETE FROM {table} WHERE trial_id IN ({trials})")
        for table in ("trials", *(one for one in tables if one.startswith("study_")), "studies"):
            connection.exec_driver_sql(f"DELETE FROM {table} WHERE study_id = {study}")


WAYS = {"optuna": by_optuna, "dashboard": by_dashboard, "sql": by_sql}


def planned(store, trials=3):
    """A study of ours with trials in its queue and a run that they belong to."""
    study = optuna.create_study(storage=store.optuna, study_name="s")
    study.set_user_attr("hps_uid", uuid.uuid4().hex)
    ref = StudyRef.of(study)
    run_id = store.start_run(ref, **RUN)
    plan = [queue.Planned("design", 7 + i, {"x": 0.5}) for i in range(trials)]
    queue.enqueue(store.engine, ref, run_id, SPACE, lambda first: plan)
    return ref, run_id


def dump(store):
    """Every row of every table, as text."""
    metadata = sa.MetaData()
    metadata.reflect(store.engine)
    with store.engine.connect() as connection:
        return {
            table.name: sorted(map(str, connection.execute(sa.select(table))))
            for table in metadata.sorted_tables
        }


def age(store):
    with store.engine.begin() as connection:
        old = sa.text("'2020-01-01 00:00:00'")
        connection.execute(sa.update(BEATS).values(heartbeat=old))


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_written_for_a_study_that_is_gone(storage, way):
    """Not even where the next one has its name, its number and its trials' numbers."""
    with Store.open(storage) as store:
        ref, run_id = planned(store)
        engine, worker = store.engine, this_worker("first")
        claim = queue.claim(engine, ref, worker, run_id)
        view, begun = WorkerStorage(store.optuna), WorkerStorage(store.optuna)
        view.hold([claim])
        begun.hold([claim])
        begun.start(claim.trial_id, {"device": "cpu"})
        orphan = orphans.Orphaned(claim.trial_id, 0, 1, 0, "first", "h")
        WAYS[way](store, "s")
        drop_orphans(engine)
        second, second_run = planned(store)
        if storage.startswith("sqlite"):
            assert (second.study_id, second_run) == (ref.study_id, run_id)
        other = queue.claim(engine, second, worker, second_run)  # the same process may have both
        before, plan = dump(store), [queue.Planned("a", 1, {})]
        for late in (
            lambda: store.record_epoch(claim, EPOCH, 666.0),
            lambda: view.set_now(claim.trial_id, "hps_bs", 2),
            lambda: view.start(claim.trial_id, {"device": "cpu"}),
            lambda: view.set_trial_state_values(claim.trial_id, TrialState.COMPLETE, [666.0]),
            lambda: begun.set_trial_system_attr(claim.trial_id, "k", 1),
            lambda: begun.set_trial_param(claim.trial_id, "y", 1.0, SPACE["x"]),
            lambda: store.save_rules(ref, [{"param": "x", "kind": "edge", "statement": "no"}]),
            lambda: queue.enqueue(engine, ref, run_id, SPACE, lambda _: plan),
            lambda: store.start_run(ref, **RUN),
            lambda: runs.take_over(engine, ref, run_id, 5, taken_trials.Plan(["x"], {})),
            lambda: fence.check_there(engine, ref),
        ):  # fmt: skip
            with pytest.raises(StudyGoneError, match="The study s was deleted from the store"):
                late()
        assert queue.claim(engine, ref, worker, run_id) is None
        assert queue.claim_beside(engine, claim, lambda cohort: (("design",), 10)) == []
        assert not queue.release(engine, claim)
        assert orphans.requeue(engine, ref, orphan) is None
        assert orphans.find_orphaned(engine, ref, -1e6) == []
        queue.beat(engine, [claim])
        orphans.reset_deaths(engine, claim)
        runs.end_early(engine, ref, run_id, "target reached")
        runs.keep_job(engine, ref, run_id, {"trainer": "os"})
        store.touch_run(ref, run_id)
        store.end_run(ref, run_id, "failed")
        store.record_event("trial-failed", "late", study=ref, trial_id=claim.trial_id)
        store.record_artifact(ref, claim.trial_id, kind="model", path="/m", sha256="0" * 64, size=1)
        assert dump(store) == before
        store.record_epoch(other, EPOCH, 666.0)
        assert dump(store) != before


def test_a_trial_that_another_worker_took_over_is_the_others(storage):
    """A worker that was silent, thought dead, and wakes up again."""
    with Store.open(storage) as store:
        ref, run_id = planned(store, 1)
        engine, slow = store.engine, Worker("slow", "far", "far", 1)
        claim = queue.claim(engine, ref, slow, run_id)
        view = WorkerStorage(store.optuna)
        view.hold([claim])
        age(store)
        (orphan,) = orphans.find_orphaned(engine, ref, 90)
        assert orphans.requeue(engine, ref, orphan) == TrialState.WAITING
        store.record_epoch(claim, EPOCH, 0.5)  # nobody else has it yet
        other = queue.claim(engine, ref, this_worker(), run_id)
        assert other.attempt == 2
        before = dump(store)
        with pytest.raises(TakenError):
            store.record_epoch(claim, replace(EPOCH, epoch=2), 666.0)
        with pytest.raises(TakenError):
            store.record_epoch(claim, EPOCH, 666.0)  # an epoch that is there would be replaced
        with pytest.raises(TakenError):
            view.set_trial_state_values(claim.trial_id, TrialState.COMPLETE, [666.0])
        assert not queue.release(engine, claim)
        queue.beat(engine, [claim])
        orphans.reset_deaths(engine, claim)
        assert WorkerStorage(store.optuna).hold([claim]) == []
        assert dump(store) == before


@pytest.mark.parametrize(("kind", "workers"), EACH_STORE_AND_ONE_WORKER, indirect=["kind"])
def test_a_run_whose_study_is_deleted_ends_and_says_so(spec, storage, start, console, workers):
    """The next study, at the same time, has the results that it has alone."""
    options = {"trials": 4, "search": {"sampler": "random", "pruner": "none"}, "seed": 3}
    next_spec = replace(spec.but(epochs=2), name="next")
    alone = storage.rpartition("/")[0] + "/alone.db" if storage.startswith("sqlite") else None
    with Store.open(storage) as store:
        first = start(spec.but(sleep=0.4), trials=20, workers=workers, storage=storage)
        wait_until(lambda: len(entries(spec)) >= workers, "the first trials")
        until_gone(store, "fake-quick")
    found = run(next_spec.but(sleep=0.1, epochs=2), storage=storage, console=console, **options)
    out, err = first.communicate(timeout=60)
    assert first.returncode == 1
    assert "The study fake-quick was deleted from the store" in err
    assert len(err.strip().splitlines()) == 1
    assert "finished" not in out
    assert "best score" not in out
    assert [trial.state for trial in found.trials] == [TrialState.COMPLETE] * 4
    with Store.open(storage) as store:
        assert [study.name for study in store.studies()] == ["next-quick"]
        assert {row["number"] for row in store.epochs("next-quick")} == {0, 1, 2, 3}
        assert store.table_counts()["hps_epoch"] == 8
        assert all(row["run_id"] is not None for row in store.trials("next-quick"))
    if alone is not None:
        again = run(next_spec.but(sleep=0, epochs=2), storage=alone, console=console, **options)
        assert values(again) == values(found)


def test_a_deletion_within_the_process_of_the_run(spec, storage, console):
    """`hpsearch.run` from Python: an exception, not a study of nothing."""

    with Store.open(storage) as store:

        def delete():
            wait_until(lambda: len(entries(spec)) >= 2, "the second trial")
            until_gone(store, "fake-quick")

        thread = threading.Thread(target=delete)
        thread.start()
        with pytest.raises(StudyGoneError, match="was deleted") as caught:
            run(spec.but(sleep=0.2), trials=20, storage=storage, console=console)
        thread.join()
    assert caught.value.exit_status == 1
    assert "finished" not in console.file.getvalue()


def test_old_rows_are_not_those_of_a_trial_that_got_the_number(storage):
    """Optuna alone deletes a study of ours and makes one: its trials have no epochs of ours."""
    with Store.open(storage) as store:
        ref, run_id = planned(store, 2)
        claim = queue.claim(store.engine, ref, this_worker(), run_id)
        store.record_epoch(claim, EPOCH, 0.5)
        by_optuna(store, "s")
        plain = optuna.create_study(storage=store.optuna, study_name="plain")
        plain.add_trial(optuna.create_trial(value=1.0))
        plain.enqueue_trial({"x": 0.5})
        drop_orphans(store.engine)
        assert store.epochs("plain") == []
        assert store.trials("plain") == []
        numbers = queue.enqueue(
            store.engine, StudyRef.of(plain), None, SPACE, lambda _: [queue.Planned("a", 1, {})]
        )
        assert numbers == [2]


def test_a_study_of_the_same_name_is_not_the_one_that_a_worker_is_for(spec, storage, console):
    """A job names its study by the id that was drawn for it, too."""
    from hpsearch.search.job import Job
    from hpsearch.search.worker.loop import work
    from hpsearch.search.worker.signals import Stopper
    from hpsearch.search.worker.workload import Workload

    run(spec, trials=1, storage=storage, console=console)
    with Store.open(storage) as store:
        (study,) = store.studies()
        row = store.engine.connect().execute(sa.text("SELECT job FROM hps_run")).scalar()
        of_here = {"storage": storage, "run_id": 1, "data": {}, "data_path": None, "device": "cpu"}
        job = Job.from_dict({**json.loads(row), **of_here})
        by_optuna(store, "fake-quick")
        for attempt in range(2):
            with Stopper() as stop, pytest.raises(StudyGoneError, match="was deleted"):
                work(Workload(job, store, spec.trainer_module(), None, stop))
            if attempt == 0:
                run(spec, trials=1, storage=storage, console=console)
        with store.engine.connect() as connection:
            states = connection.execute(sa.select(TRIALS.c.state)).scalars().all()
            assert states == [TrialState.COMPLETE]
            assert len(connection.execute(sa.select(STUDIES)).all()) == 1
    assert study.ref.uid == job.uid
