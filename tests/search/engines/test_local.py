"""Runs with real processes: several workers, killed workers, Ctrl-C, runs beside each other."""

import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa
from calls import run
from optuna.trial import TrialState
from run_processes import entries, values, wait_until

from hpsearch.errors import HpsearchError
from hpsearch.search.engines import local
from hpsearch.store import Store
from hpsearch.store.queue import orphans


def load(storage):
    import optuna

    return optuna.load_study(study_name="fake-quick", storage=storage)


def test_two_workers_finish_exactly_the_trials_asked_for(spec, storage, console):
    study = run(spec.but(meet=2), trials=14, workers=2, storage=storage, console=console)
    assert len(study.trials) == 14
    assert all(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in study.trials)
    assert len(entries(spec)) == 14
    workers = {entry["pid"] for entry in entries(spec)}
    assert len(workers) == 2
    assert os.getpid() not in workers
    with Store.open(storage) as store:
        threads = {row["threads"] for row in store.trials("fake-quick")}
    assert threads == {max(1, len(os.sched_getaffinity(0)) // 2)}


def test_what_is_wrong_with_a_run_does_not_wait_for_workers_to_start():
    with local.prestarted(1) as processes:
        (process,) = processes
    assert process.popen.returncode == -signal.SIGKILL


def test_a_trial_is_the_same_whoever_runs_it(spec, tmp_path, console):
    """Designs do not depend on the order of ends: two workers give the values of one."""
    one, two = (
        run(
            spec.but(sleep=0.01),
            trials=9,
            workers=workers,
            search={"design_share": 1},
            storage=f"sqlite:///{tmp_path}/{workers}.db",
            console=console,
        )
        for workers in (1, 2)
    )
    assert values(one) == values(two)


def test_a_killed_worker_loses_nothing(start, spec, tmp_path, console):
    """SIGKILL in the middle of trials, twice, and SIGTERM to a worker alone: each trial goes on
    from its checkpoint, and the run with it."""
    settings = {"sleep": 0.15, "epochs": 4}
    storage = f"sqlite:///{tmp_path / 'killed.db'}"
    process = start(
        spec.but(**settings), trials=10, workers=2, search={"design_share": 1}, storage=storage
    )
    killed = set()  # the seeds of the trials; a trial that dies three times would fail
    while len(killed) < 3:
        wait_until(lambda: entries(spec) and entries(spec)[-1]["seed"] not in killed, "a trial")
        latest = entries(spec)[-1]
        time.sleep(0.25)
        os.kill(latest["pid"], signal.SIGTERM if len(killed) == 1 else signal.SIGKILL)
        killed.add(latest["seed"])
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, out + err
    ends = Counter(e["seed"] for e in entries(spec, "end"))
    assert len(ends) == 10
    assert any(entry["start"] > 1 for entry in entries(spec))
    with Store.open(storage) as store:
        assert store.studies()[0].counts == {"complete": 10}
        kinds = Counter(event["kind"] for event in store.events())
        crash = next(e for e in store.events() if e["kind"] == "worker-crashed")
        assert store.table_counts()["hps_epoch"] == 40
    assert kinds["worker-crashed"] == 3
    assert 1 <= kinds["trial-requeued"] <= 3
    assert "SIGKILL" in crash["message"]
    whole = run(
        spec.but(**{**settings, "sleep": 0}),
        trials=10, search={"design_share": 1}, storage=f"sqlite:///{tmp_path}/whole.db",
        console=console,
    )  # fmt: skip
    assert values(load(storage)) == values(whole)


def test_a_trial_that_kills_every_worker_fails_and_the_others_finish(spec, storage, console):
    spec = spec.but(bad="kill", bad_above=0.4)  # among them the baseline, at x = 0.5
    study = run(
        spec, trials=2, workers=2, search={"design_share": 1}, storage=storage, console=console
    )
    assert study.trials[0].state == TrialState.FAIL
    assert "its worker died 5 times" in study.trials[0].user_attrs["hps_failure"]
    assert study.trials[1].state == TrialState.COMPLETE


def test_workers_that_always_die_end_the_run_with_their_last_words(
    spec, storage, console, monkeypatch
):
    monkeypatch.setattr(local, "RESTARTS", 1)
    with pytest.raises(HpsearchError) as caught:
        run(spec.but(bad="exit"), trials=9, workers=2, storage=storage, console=console)
    assert "exit status 3" in str(caught.value)
    assert "last words of the trainer" in str(caught.value)
    with Store.open(storage) as store:
        crash = next(e for e in store.events() if e["kind"] == "worker-crashed")
    assert crash["traceback"] == "last words of the trainer"


@pytest.mark.parametrize(
    ("number", "workers"), [(signal.SIGTERM, 1), (signal.SIGINT, 2), (signal.SIGTERM, 2)]
)
def test_an_interrupted_run_puts_its_trials_back(start, spec, storage, console, number, workers):
    """Ctrl-C reaches the whole group of processes, SIGTERM only the first."""
    process = start(spec.but(sleep=0.2), trials=5, workers=workers, storage=storage)
    wait_until(lambda: len(entries(spec)) > workers, "the second round of trials")
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    before = time.monotonic()
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - before < 15
    assert process.returncode == 130, out + err
    assert "Traceback" not in err
    assert "still to run" in out
    with Store.open(storage) as store:
        counts = store.studies()[0].counts
        assert set(counts) == {"complete", "waiting"}
        assert counts["complete"] + counts["waiting"] == 5
        done = values(load(storage))
        with store.engine.connect() as connection:
            assert connection.execute(sa.text("SELECT outcome FROM hps_run")).scalar() == (
                "interrupted"
            )
    study = run(spec.but(sleep=0.2), trials=counts["waiting"], storage=storage, console=console)
    assert len(study.trials) == 5
    assert all(trial.state.is_finished() for trial in study.trials)
    kept = {number: value for number, value in done.items() if value is not None}
    assert kept.items() <= values(study).items()


def test_workers_leave_when_their_parent_is_killed(start, spec, storage, console):
    process = start(spec.but(sleep=0.3), trials=8, workers=2, storage=storage)
    wait_until(lambda: len({entry["pid"] for entry in entries(spec)}) == 2, "two workers")
    process.kill()
    process.communicate()
    with Store.open(storage) as store:
        wait_until(lambda: "running" not in store.studies()[0].counts, "the workers' leaving")
    study = run(spec.but(sleep=0.3), trials=2, storage=storage, console=console)
    assert len(study.trials) == 8  # two of the first run's trials, none new


def test_two_runs_that_start_a_new_study_together_make_one(start, spec, storage):
    processes = [start(spec, trials=6, storage=storage) for _ in range(2)]
    for process in processes:
        out, err = process.communicate(timeout=100)
        assert process.returncode == 0, err
        assert "6 complete" in out or "pruned" in out
    with Store.open(storage) as store:
        (summary,) = store.studies()
        assert summary.finished == summary.trials == 12
        assert store.table_counts()["hps_run"] == 2
        trials = store.trials("fake-quick")
    assert sum(row["cohort"] == "baseline" for row in trials) == 1
    assert Counter(row["run_id"] for row in trials) == {1: 6, 2: 6}
    assert len(entries(spec)) == 12


def test_a_worker_ends_the_run_for_a_reason_of_the_user(spec, storage, console):
    with pytest.raises(HpsearchError, match=r"first \d trials all failed alike"):
        run(spec.but(bad="raise"), trials=40, workers=2, storage=storage, console=console)


def test_no_process_shows_the_storage_url(start, spec, tmp_path):
    """Anybody may read arguments, and a URL may hold a password."""
    storage = f"sqlite:///{tmp_path / 'hunter22.db'}"
    process = start(spec.but(sleep=0.3), trials=4, workers=2, storage=storage)
    wait_until(lambda: len({entry["pid"] for entry in entries(spec)}) == 2, "two workers")
    seen = ""
    for pid in [process.pid, *{entry["pid"] for entry in entries(spec)}]:
        seen += Path(f"/proc/{pid}/cmdline").read_text()
        seen += Path(f"/proc/{pid}/environ").read_text()
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert "hpsearch.search" in seen
    assert "hunter22.db" not in seen


def test_a_stale_trial_of_another_machine_is_taken_over(spec, storage, console):
    """A node that vanished: no process to look at, only a heartbeat that stopped."""
    run(spec, trials=2, storage=storage, console=console)
    with Store.open(storage) as store:
        with store.engine.begin() as connection:
            far = "UPDATE hps_trial SET machine = 'far', pid = 1, deaths = 0"
            connection.execute(sa.text(far))
            connection.execute(sa.text("UPDATE trials SET state = 'RUNNING' WHERE number = 1"))
            old = "UPDATE trial_heartbeats SET heartbeat = '2020-01-01 00:00:00'"
            connection.execute(sa.text(old))
            connection.execute(sa.text("UPDATE hps_run SET pid = 1, machine = 'far'"))
        found = orphans.find_orphaned(store.engine, store.studies()[0].ref, 90)
        assert [orphan.number for orphan in found] == [1]
    study = run(spec, trials=1, storage=storage, console=console)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 2
