"""A run on a GPU finds out how many of its trials share it; workers, store and messages are real,
the GPU is a trainer that sleeps."""

import re

import pytest
from calls import run

from hpsearch.search.engines import Workers, choose_pool, devices, worker_growth
from hpsearch.search.engines.worker_growth import Growth
from hpsearch.search.speed import gpu_sharing
from hpsearch.search.speed.gpu_sharing import GPU_SHARED
from hpsearch.store import Store
from hpsearch.store.queue import runs
from hpsearch.store.queue.fence import StudyRef


@pytest.fixture
def gpu(monkeypatch):
    """A machine with one, where a level is soon measured."""
    monkeypatch.delenv("HPSEARCH_DEVICE", raising=False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr(gpu_sharing, "ENOUGH_EPOCHS", 12)
    monkeypatch.setattr(gpu_sharing, "SETTLE_S", 0.1)
    monkeypatch.setattr(gpu_sharing, "LEVELS", (1, 2))
    monkeypatch.setattr(gpu_sharing, "MOST", 2)
    monkeypatch.setattr(worker_growth, "LOOK_S", 0.1)


def test_a_crew_grows_where_nobody_gave_a_number(gpu):
    assert choose_pool(Workers(None, ["cuda:0"]), 100).grows
    assert not choose_pool(Workers(2, ["cuda:0"]), 100).grows
    assert not choose_pool(Workers(None, ["cpu"]), 100).grows
    assert choose_pool(Workers(2, ["cuda:0"]), 100).shares
    assert not choose_pool(Workers(1, ["cuda:0"]), 100).shares
    assert devices.are_open(["cuda:0"]) is False


def test_workers_are_added_while_more_gets_done(gpu, spec, storage, console, monkeypatch):
    """Trials that sleep do not disturb each other: as many as may be share the GPU."""
    note = runs.set_workers

    def end_with_it(engine, study, run_id, workers):
        note(engine, study, run_id, workers)
        runs.end_early(engine, study, run_id, "seen enough")

    monkeypatch.setattr(worker_growth.runs, "set_workers", end_with_it)
    study = run(
        spec.but(sleep=0.1), trials=500, workers=None, devices=["cuda:0"], storage=storage,
        console=console,
    )  # fmt: skip
    ended = [trial for trial in study.trials if trial.state.is_finished()]
    pids = {entry["pid"] for entry in spec.journal if entry["what"] == "train"}
    with Store.open(storage) as store:
        rows = store.trials("fake-quick")
        (event,) = [one for one in store.events() if one["kind"] == GPU_SHARED]
        _, workers = runs.size(store.engine, 1)
    found = re.match(r"(\d) trials share a GPU: .* epochs/s \(1: [\d.]+, 2: ", event["message"])
    assert found, event["message"]
    assert workers == int(found[1]) == 2
    assert len(pids) == 2
    assert event["message"] in console.file.getvalue()
    assert {row["device"] for row in rows[: len(ended)]} == {"cuda:0"}
    # Nobody was slower with company, so that a trial's seconds are about those on the clock.
    assert all(0.2 < row["seconds"] <= 0.5 for row in rows if row["seconds"] is not None)


def test_out_of_memory_beside_another_leaves_it_the_gpu(gpu, spec, storage, console):
    study = run(
        spec.but(bad="memory once", sleep=0.1), trials=8, workers=2, devices=["cuda:0"],
        storage=storage, console=console,
    )  # fmt: skip
    assert {trial.state.name for trial in study.trials} <= {"COMPLETE", "PRUNED"}
    assert len(study.trials) == 8
    with Store.open(storage) as store:
        (event,) = [one for one in store.events() if one["kind"] == "gpu-crowded"]
        assert not [one for one in store.events() if one["kind"] == "worker-crashed"]
    assert "ran out of memory beside others" in event["message"]
    assert event["message"] in console.file.getvalue()


class Looked:
    """A store of which only the counts are asked."""

    def __init__(self, **found):
        self.found, self.engine = found, None

    def retry(self, action, *args):
        return action(*args)


def test_memory_and_waiting_trials_bound_the_number(monkeypatch, gpu):
    from optuna.trial import TrialState

    found = {"epochs": 0, "busy": 1, "memory": None, "waiting": 9}
    monkeypatch.setattr(worker_growth, "count_epochs", lambda *_: found["epochs"])
    monkeypatch.setattr(worker_growth, "running_workers", lambda *_: found["busy"])
    monkeypatch.setattr(worker_growth, "latest_value", lambda *_: found["memory"])
    monkeypatch.setattr(worker_growth, "LOOK_S", 0.0)
    told = []
    one = Growth(
        Looked(), 1, StudyRef(1, "s", None), gpus=2, settled=lambda *given: told.append(given)
    )
    monkeypatch.setattr(one, "_counts", lambda: {TrialState.WAITING: found["waiting"]})
    monkeypatch.setattr(one, "_tell", lambda: None)
    assert one.look(2) == 2
    one.climb.level = 3
    assert one.look(2) == 6  # three on each of two
    found["waiting"] = 1
    assert one.look(2) == 3  # a third worker for the last trial, no more
    found["waiting"], found["memory"] = 9, gpu_sharing.Memory(10e9, 30e9)
    assert one.look(6) == 2 * gpu_sharing.room(30e9, 10e9) == 4
    one.lower(3)
    assert one.look(3) == 2
    assert one.climb.settled
