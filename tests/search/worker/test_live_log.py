"""Live logs hold every epoch, without a network, and none of them ends a trial."""

from __future__ import annotations

import logging
import sys
import time
from functools import partial

import pytest

import hpsearch
from hpsearch.extras import MissingExtraError
from hpsearch.search.worker import live_log
from hpsearch.search.worker.live_log import LiveLogs
from hpsearch.trainers.contract import EpochRecord


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return tmp_path


def log_a_trial(program, study="mine"):
    logs = LiveLogs([program], study, 3, {"lr": 0.1, "kind": "a"})
    for epoch in (1, 2):
        record = EpochRecord("fit", epoch, 2, 0.5, 0.6, {"accuracy": 0.4 * epoch}, (0.1,), 0.1)
        logs.epoch(record)
    logs.end("complete", {"accuracy": 0.8})
    return logs


def test_tensorboard_has_every_epoch_in_the_folder_of_runs(here):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log_a_trial("tensorboard", study="../../out of here")
    (file,) = here.rglob("events.out.*")
    assert file.relative_to(here).parts[0] == "runs"
    assert file.parent.name == "trial-3"
    found = EventAccumulator(str(file.parent)).Reload()
    events = list(found.Tensors("accuracy"))
    assert [event.step for event in events] == [1, 2]
    assert [event.tensor_proto.float_val[0] for event in events] == pytest.approx([0.4, 0.8])


def test_mlflow_has_every_epoch(here):
    from mlflow import MlflowClient

    log_a_trial("mlflow")
    client = MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    assert run.data.params == {"lr": "0.1", "kind": "a"}
    assert run.info.status == "FINISHED"
    history = client.get_metric_history(run.info.run_id, "accuracy")
    assert [(one.step, one.value) for one in history] == [(1, 0.4), (2, 0.8)]


def test_wandb_writes_offline(here):
    log_a_trial("wandb")
    (file,) = here.rglob("run-*.wandb")
    until = time.monotonic() + 100  # a process of its own writes the file
    while not all(word in file.read_bytes() for word in (b"accuracy", b"mine 3")):
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_program_that_fails_ends_no_trial(here, monkeypatch, caplog):
    class Broken:
        def __init__(self, *_):
            pass

        def epoch(self, *_):
            raise OSError("the disk is full")

    monkeypatch.setitem(live_log.MAKERS, "mlflow", Broken)
    with caplog.at_level(logging.WARNING, logger="hpsearch"):
        log_a_trial("mlflow")
    assert [one.getMessage() for one in caplog.records] == [
        "mlflow logs no more of this trial: the disk is full"
    ]


OBJECTIVE = """
def cost(x, trial):
    for epoch in range(1, 4):
        trial.report((x - 0.3) ** 2 + 1 / epoch, epoch)
    return (x - 0.3) ** 2
"""
STUDY = """
name = "mine"
trainer = "shop_of_logs:cost"
metric = "cost"
direction = "minimize"
[space.x]
low = 0.0
high = 1.0
default = 0.5
"""


@pytest.fixture
def run(here, monkeypatch):
    monkeypatch.delitem(sys.modules, "shop_of_logs", raising=False)
    (here / "shop_of_logs.py").write_text(OBJECTIVE)
    (here / "study.toml").write_text(STUDY)
    return partial(hpsearch.run, "study.toml", storage="sqlite:///s.db", trials=2)


def test_a_run_logs_only_where_it_is_asked_to(here, run):
    run()
    assert not (here / "runs").exists()
    run(log=["tensorboard"])
    assert len(list(here.rglob("events.out.*"))) == 2


def test_a_program_that_is_not_installed_is_said_before_the_run(here, run, monkeypatch):
    monkeypatch.setattr("hpsearch.extras.is_installed", lambda module: False)
    with pytest.raises(MissingExtraError, match=r"pip install 'hpsearch\[wandb\]'"):
        run(log=["wandb"])
    assert not (here / "s.db").exists()
