"""Trials change hands one at a time, on every server, whatever dies."""

import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import timedelta

import optuna
import pytest
import sqlalchemy as sa
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState
from run_processes import wait_until

from hpsearch.store.queue import orphans, queue
from hpsearch.store.queue.fence import StudyRef, lock_study
from hpsearch.store.queue.processes import Worker, is_dead, machine, this_worker
from hpsearch.store.queue.queue import Planned
from hpsearch.store.server import clock
from hpsearch.store.server.connections import begin
from hpsearch.store.tables import schema
from hpsearch.store.tables.optuna_tables import BEATS
from hpsearch.store.trials import read, write
from hpsearch.store.trials.frozen import frozen_of
from hpsearch.store.trials.worker_storage import WorkerStorage
from hpsearch.store.trials.write.deleted import drop_orphans

SPACE = {
    "lr": FloatDistribution(1e-4, 1e-1, log=True),
    "kind": CategoricalDistribution(["a", "b"]),
}


def planned(number, count):
    params = {"lr": 0.01, "kind": "b"}
    return [Planned("design", 100 + number + i, params) for i in range(count)]


@pytest.fixture
def study(store):
    return optuna.create_study(storage=store.optuna, study_name="s")


def enqueue(store, study, count, run_id=1):
    return queue.enqueue(
        store.engine, StudyRef.of(study), run_id, SPACE, lambda first: planned(first, count)
    )


def test_planned_trials_are_waiting_optuna_trials(store, study):
    assert enqueue(store, study, 2) == [0, 1]
    queue.enqueue(
        store.engine, StudyRef.of(study), 1, SPACE, lambda _: [Planned("exploit", 7, {}, 1)]
    )
    trials = study.get_trials()
    assert [trial.state for trial in trials] == [TrialState.WAITING] * 3
    assert trials[0].params == {"lr": 0.01, "kind": "b"}
    assert trials[0].distributions == SPACE
    assert trials[0].user_attrs == {"hps_cohort": "design", "hps_seed": 100}
    assert trials[2].params == {}
    assert trials[2].user_attrs["hps_replicate_of"] == 1
    assert [row["seed"] for row in store.trials("s")] == [100, 101, 7]


def test_a_plan_that_fails_leaves_nothing(store, study):
    def broken(first):
        return [*planned(first, 3), Planned("design", 1, {"unknown": 1})]

    with pytest.raises(KeyError):
        queue.enqueue(store.engine, StudyRef.of(study), 1, SPACE, broken)
    assert study.get_trials() == []
    assert store.table_counts()["hps_trial"] == 0


WAITING_FOR_A_LOCK = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
    "AND datname = current_database()",
    "mysql": "SELECT count(*) FROM information_schema.processlist "
    "WHERE db = database() AND id <> connection_id() AND instr(info, 'FOR UPDATE')",
}


def test_who_waited_for_the_studys_lock_sees_what_was_written_meanwhile(store, study):
    """Else two trials have one number, and two workers copy one trial that was taken from both."""
    ref, seen = StudyRef.of(study), []
    enqueue(store, study, 2)
    waiting = WAITING_FOR_A_LOCK.get(store.engine.dialect.name)

    def lock_too():
        with begin(store.engine) as connection:
            seen.append(lock_study(connection, ref))

    thread = threading.Thread(target=lock_too)
    with begin(store.engine) as connection:
        first = lock_study(connection, ref)
        thread.start()
        if waiting is not None:  # SQLite lets the other not even begin
            wait_until(lambda: is_true(store, waiting), "the other transaction")
        write.states.insert_waiting(connection, ref.study_id, first, 3)
    thread.join()
    assert (first, seen) == (2, [5])


def is_true(store, query):
    with store.engine.connect() as connection:
        return bool(connection.exec_driver_sql(query).scalar())


CLAIMER = """
import sys
import time
from hpsearch.store import Store
from hpsearch.store.queue import queue
from hpsearch.store.queue.processes import this_worker
with Store.open(sys.argv[1]) as store:
    study = store.studies()[0].ref
    while (claim := store.retry(
        queue.claim, store.engine, study, this_worker(), None)) is not None:
        print(claim.trial_id)
"""


def test_four_processes_claim_every_trial_once(store, study, url):
    enqueue(store, study, 120)
    processes = [
        subprocess.Popen([sys.executable, "-c", CLAIMER, url], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    claims = [line for process in processes for line in process.communicate()[0].split()]
    assert [process.returncode for process in processes] == [0] * 4
    assert len(claims) == 120
    assert len(set(claims)) == 120


def test_a_claim_is_by_number_and_by_run(store, study):
    enqueue(store, study, 2, run_id=1)
    enqueue(store, study, 1, run_id=2)
    worker = this_worker("w")
    ids = [trial._trial_id for trial in study.get_trials()]
    assert queue.claim(store.engine, StudyRef.of(study), worker, 2).trial_id == ids[2]
    assert queue.claim(store.engine, StudyRef.of(study), worker, 2) is None
    assert queue.claim(store.engine, StudyRef.of(study), worker, None).trial_id == ids[0]
    (trial,) = [row for row in store.trials("s") if row["number"] == 0]
    assert (trial["attempts"], trial["worker"], trial["pid"]) == (1, "w", worker.pid)


def test_a_released_trial_is_the_next_again(store, study):
    enqueue(store, study, 2)
    worker = this_worker()
    claim = queue.claim(store.engine, StudyRef.of(study), worker, None)
    stranger = Worker("x", "elsewhere", "elsewhere", worker.pid)
    assert not queue.release(store.engine, replace(claim, worker=stranger))
    assert queue.release(store.engine, claim)
    assert not queue.release(store.engine, claim)
    again = queue.claim(store.engine, StudyRef.of(study), worker, None)
    assert (again.trial_id, again.attempt) == (claim.trial_id, 2)
    assert not queue.release(store.engine, claim)  # not the attempt that runs it now


def age_heartbeat(store, trial_id, seconds):
    beats = BEATS
    with store.engine.begin() as connection:
        now = connection.execute(sa.select(clock.server_now())).scalar_one()
        connection.execute(
            sa.update(beats)
            .where(beats.c.trial_id == trial_id)
            .values(heartbeat=now - timedelta(seconds=seconds))
        )


def test_a_trial_without_a_heartbeat_is_requeued_once(store, study):
    enqueue(store, study, 1)
    far = Worker("far", "another machine", "far.example", 1)
    trial_id = queue.claim(store.engine, StudyRef.of(study), far, None).trial_id
    assert orphans.find_orphaned(store.engine, StudyRef.of(study), 90) == []
    age_heartbeat(store, trial_id, 100)
    (orphan,) = orphans.find_orphaned(store.engine, StudyRef.of(study), 90)
    assert (orphan.number, orphan.worker, orphan.host) == (0, "far", "far.example")
    assert orphans.requeue(store.engine, StudyRef.of(study), orphan) == TrialState.WAITING
    # A second observer that saw the same comes too late, even when a third runs it by now.
    assert orphans.requeue(store.engine, StudyRef.of(study), orphan) is None
    queue.claim(store.engine, StudyRef.of(study), this_worker(), None)
    assert orphans.requeue(store.engine, StudyRef.of(study), orphan) is None
    assert orphans.find_orphaned(store.engine, StudyRef.of(study), 90) == []


def test_a_trial_of_a_dead_process_here_is_found_at_once(store, study):
    enqueue(store, study, 2)
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    dead = Worker("w", machine(), "here", process.pid)
    queue.claim(store.engine, StudyRef.of(study), dead, None)
    queue.claim(store.engine, StudyRef.of(study), this_worker(), None)
    found = orphans.find_orphaned(store.engine, StudyRef.of(study), 90)
    assert [orphan.number for orphan in found] == [0]


def test_a_process_nobody_waited_for_is_dead():
    process = subprocess.Popen([sys.executable, "-c", "pass"], stdout=subprocess.PIPE)
    process.stdout.read()
    process.stdout.close()
    deadline = time.monotonic() + 20
    while not is_dead(machine(), process.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_dead(machine(), process.pid)
    process.wait()


def test_a_trial_that_kills_its_workers_fails_in_the_end(store, study):
    enqueue(store, study, 1)
    far = Worker("far", "another machine", "far", 1)
    outcomes = []
    for _ in range(orphans.MAX_DEATHS):
        trial_id = queue.claim(store.engine, StudyRef.of(study), far, None).trial_id
        age_heartbeat(store, trial_id, 100)
        (orphan,) = orphans.find_orphaned(store.engine, StudyRef.of(study), 90)
        outcomes.append(orphans.requeue(store.engine, StudyRef.of(study), orphan))
    assert outcomes == [TrialState.WAITING] * (orphans.MAX_DEATHS - 1) + [TrialState.FAIL]
    (trial,) = study.get_trials()
    assert trial.datetime_complete is not None
    assert "died 5 times" in trial.user_attrs["hps_failure"]


def test_a_worker_thought_dead_ends_its_trial_all_the_same(store, study):
    enqueue(store, study, 1)
    slow, other = this_worker("slow"), Worker("other", "another machine", "far", 1)
    claim = queue.claim(store.engine, StudyRef.of(study), slow, None)
    trial_id = claim.trial_id
    view, late = WorkerStorage(store.optuna), WorkerStorage(store.optuna)
    view.hold([claim])
    late.hold([claim])
    age_heartbeat(store, trial_id, 100)
    (orphan,) = orphans.find_orphaned(store.engine, StudyRef.of(study), 90)
    orphans.requeue(store.engine, StudyRef.of(study), orphan)
    view.write_with_end(trial_id, {"told": "by slow"}, {"seconds": 2.0})
    assert view.set_trial_state_values(trial_id, TrialState.COMPLETE, [0.5])
    assert queue.claim(store.engine, StudyRef.of(study), other, None) is None
    (trial,) = study.get_trials()
    assert (trial.state, trial.value) == (TrialState.COMPLETE, 0.5)
    # Whoever took it in between comes second, and changes nothing.
    late.write_with_end(trial_id, {"told": "by other"})
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
        late.set_trial_state_values(trial_id, TrialState.FAIL)
    (trial,) = study.get_trials()
    assert (trial.state, trial.user_attrs["told"]) == (TrialState.COMPLETE, "by slow")
    (row,) = store.trials("s")
    assert row["seconds"] == 2.0


def test_a_trial_read_in_two_statements_is_the_one_that_optuna_reads(store, study):
    """Every kind of parameter, value, report and attribute, against Optuna's own reading."""
    infinite, nan = float("inf"), float("nan")
    trial = study.ask()
    trial.suggest_float("z", 1e-6, 1.0, log=True)
    trial.suggest_categorical("a", [None, True, "ü", 1, 2.5])
    trial.suggest_int("b", 1, 2**40)
    for step, value in enumerate((1 / 3, infinite, -infinite, nan)):
        trial.report(value, step)
    trial.set_user_attr("é", {"list": [1, None]})
    trial.set_constraint("c", -1.5)
    study.tell(trial, infinite)
    study.add_trial(optuna.create_trial(value=-1e300))
    study.add_trial(optuna.create_trial(state=TrialState.FAIL))
    running = study.ask()
    running.suggest_float("x", 0, 1)
    view = optuna.load_study(study_name="s", storage=WorkerStorage(store.optuna))
    for ours, theirs in zip(view.get_trials(), study.get_trials(), strict=True):
        assert repr(ours) == repr(theirs)  # NaN is equal to itself in words only
    with store.engine.connect() as connection:
        rows = read.content.started(connection, study._study_id)
        found = frozen_of(connection, rows)
    assert [repr(one) for one in found] == [repr(one) for one in study.trials]


def test_a_workers_view_leaves_out_what_waits_and_nothing_else(store, study):
    """Whatever the order in which trials start, end and come back, against the whole storage."""
    enqueue(store, study, 6)
    ids = [trial._trial_id for trial in study.get_trials()]
    view = optuna.load_study(study_name="s", storage=WorkerStorage(store.optuna))
    worker = this_worker()

    def agrees():
        whole = [(t.number, t.state) for t in study.get_trials()]
        seen = {t.number: t.state for t in view.get_trials()}
        started = {n: state for n, state in whole if state != TrialState.WAITING}
        waits = {n: state for n, state in seen.items() if n not in started}
        return {n: seen[n] for n in started} == started and set(waits.values()) <= {
            TrialState.WAITING
        }

    assert view.get_trials() == []
    taken = [queue.claim(store.engine, StudyRef.of(study), worker, None) for _ in range(3)]
    assert [one.trial_id for one in taken] == ids[:3]
    assert agrees()
    queue.release(store.engine, taken[0])  # seen running, waits again
    study.tell(2, 0.5)  # a later one is finished
    assert agrees()
    fresh = optuna.load_study(study_name="s", storage=WorkerStorage(store.optuna))
    assert [trial.number for trial in fresh.get_trials()] == [1, 2]
    assert queue.claim(store.engine, StudyRef.of(study), worker, None).trial_id == ids[0]
    study.tell(0, 0.25)
    assert agrees()
    assert [trial.number for trial in fresh.get_trials()] == [0, 1, 2]
    study.tell(1, 0.75)
    assert view.best_value == fresh.best_value == 0.25
    optuna.Trial(fresh, queue.claim(store.engine, StudyRef.of(study), worker, None).trial_id)
    assert agrees()


def test_rows_of_deleted_trials_go_before_their_ids_return(store, study):
    enqueue(store, study, 1)
    trial_id = study.get_trials()[0]._trial_id
    store.record_event("x", "y", study=StudyRef.of(study), trial_id=trial_id)
    store.record_event("general", "kept")
    optuna.delete_study(study_name="s", storage=store.optuna)
    if store.engine.dialect.name == "sqlite":  # a worker took the trial meanwhile; servers refuse
        with store.engine.begin() as connection:
            connection.execute(sa.insert(BEATS).values(trial_id=trial_id))
    drop_orphans(store.engine)
    counts = store.table_counts()
    assert (counts["hps_trial"], counts["hps_event"], counts["trial_heartbeats"]) == (0, 1, 0)
    with store.engine.connect() as connection:
        assert connection.execute(sa.select(schema.event.c.message)).scalar_one() == "kept"
