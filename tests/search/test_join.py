"""Workers that join a running study: from another process, at its start, and until its end."""

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest
from calls import join, run
from optuna.trial import TrialState
from run_processes import entries, values, wait_until
from tiny_corpus import CLASSIFIER_TOML, write_reviews

from hpsearch.errors import InputError
from hpsearch.search.engines import devices
from hpsearch.store import Store


def test_a_worker_joins_a_run_in_its_middle(start, spec, storage, tmp_path, console):
    spec = spec.but(sleep=0.15)
    head = start(spec, trials=10, search={"design_share": 1.0}, storage=storage)
    wait_until(lambda: len(entries(spec)) > 1, "the first trials")
    ahead = len(entries(spec, "end"))
    join(spec, storage=storage, workers=1, console=console)
    out, err = head.communicate(timeout=60)
    assert head.returncode == 0, err
    assert "10 complete" in out
    workers = Counter(entry["pid"] for entry in entries(spec))
    assert set(workers) == {head.pid, os.getpid()}
    assert workers[os.getpid()] > 1
    text = console.file.getvalue()
    assert "joined run 1 of 10 trials" in text
    assert text.rstrip().endswith("fake-quick: nothing left to do in run 1")
    assert text.count("  complete  ") <= 10 - ahead  # not those from before it came
    with Store.open(storage) as store:
        assert store.table_counts()["hps_run"] == 1
    study = run(
        spec.but(sleep=0.15), trials=1, search={"design_share": 1}, storage=storage, console=console
    )
    whole = run(
        spec.but(sleep=0), trials=10, search={"design_share": 1},
        storage=f"sqlite:///{tmp_path}/whole.db", console=console,
    )  # fmt: skip
    assert values(whole).items() <= values(study).items()


def test_all_that_start_at_the_same_moment_share_one_preparation(start, spec, storage):
    """Two runs and a worker of a study that is not there yet: one study, one stage."""
    spec = spec.but(sleep=0.3, cached=True)
    processes = [start(spec, trials=6, storage=storage) for _ in range(2)]
    processes.append(start(spec, call="join", workers=1, storage=storage))
    for process in processes:
        out, err = process.communicate(timeout=100)
        assert process.returncode == 0, out + err
    with Store.open(storage) as store:
        (summary,) = store.studies()
        assert summary.finished == summary.trials == 12
    assert len(entries(spec, "build")) == 1
    assert len(entries(spec)) == 12
    assert {entry["pid"] for entry in entries(spec)} == {process.pid for process in processes}


def test_two_commands_at_the_same_moment_train_one_language_model(tmp_path, storage):
    write_reviews(tmp_path / "reviews.csv", 200)
    (tmp_path / "study.toml").write_text(CLASSIFIER_TOML)
    environment = {**os.environ, "HPSEARCH_HOME": str(tmp_path / "home"), "HPSEARCH_DEVICE": "cpu"}
    study, store_at = str(tmp_path / "study.toml"), ["--storage", storage, "--workers", "1"]
    commands = [
        [sys.executable, "-m", "hpsearch", command, study, "--preset", "quick", *store_at]
        for command in ("run", "worker")
    ]
    processes = [
        subprocess.Popen(
            command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for command in commands
    ]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert sum("language model ..." in output for output in outputs) == 1, outputs
    assert len(list((tmp_path / "home" / "stages").glob("language-model-*[0-9a-f]"))) == 1
    with Store.open(storage) as store:
        assert [(one.name, one.finished) for one in store.studies()] == [("tiny-clas-quick", 4)]


def test_a_worker_leaves_when_the_run_is_interrupted(start, spec, storage):
    spec = spec.but(sleep=0.2)
    head = start(spec, trials=40, storage=storage)
    wait_until(lambda: entries(spec), "the run")
    helper = start(spec, call="join", workers=1, storage=storage)
    wait_until(lambda: helper.pid in {e["pid"] for e in entries(spec)}, "the worker")
    head.send_signal(signal.SIGINT)
    out, err = helper.communicate(timeout=30)
    assert helper.returncode == 0, out + err
    assert re.search(r"run 1 was stopped with \d+ trials to run$", out.rstrip())
    assert head.wait(30) == 130
    with Store.open(storage) as store:
        assert set(store.studies()[0].counts) == {"complete", "waiting"}


def test_a_worker_leaves_cleanly(start, spec, storage):
    """SIGTERM, as clusters send it before they take a machine: its trials are put back."""
    spec = spec.but(sleep=0.3)
    head = start(spec, trials=200, storage=storage)
    wait_until(lambda: entries(spec), "the run")
    helper = start(spec, call="join", workers=2, storage=storage)
    wait_until(lambda: len({e["pid"] for e in entries(spec)}) == 3, "the workers")
    helper.send_signal(signal.SIGTERM)
    out, err = helper.communicate(timeout=30)
    assert helper.returncode == 130, out + err
    with Store.open(storage) as store:
        assert store.studies()[0].counts.get("running", 0) <= 1
        kinds = Counter(event["kind"] for event in store.events())
    assert 1 <= kinds["trial-put-back"] <= 2
    assert head.poll() is None


def test_a_worker_finishes_the_run_of_a_head_that_died(start, spec, storage, console):
    spec = spec.but(sleep=0.2)
    head = start(spec, trials=5, storage=storage)
    wait_until(lambda: len(entries(spec)) > 1, "the run")
    head.kill()
    head.communicate()
    join(spec, storage=storage, workers=1, console=console)
    with Store.open(storage) as store:
        summary = store.studies()[0]
    assert summary.finished == summary.trials == 5
    assert "died; its trial is back in the queue" in console.file.getvalue()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("no store", "There is no store at"),
        ("no run", "has no run of fake with trials left: start one with `hpsearch run fake`"),
        ("other space", "the metric is loss (was score)"),
        ("device", "cuda:9 is not there: this machine has no GPU"),
    ],
)
def test_what_cannot_be_joined_is_said(start, spec, storage, console, wrong, says):
    options = {}
    if wrong == "no run":
        run(spec, trials=1, storage=storage, console=console)
    if wrong == "other space":
        start(spec.but(sleep=0.2), trials=9, storage=storage)
        wait_until(lambda: entries(spec), "the run")
        spec = replace(spec.but(sleep=0.2), metric="loss")
    if wrong == "device":
        options = {"devices": ["cuda:9"]}
    with pytest.raises(InputError) as caught:
        join(spec, storage=storage, wait=0.6, workers=1, console=console, **options)
    assert says in str(caught.value)


def test_workers_take_the_devices_in_turn(spec, storage, console, monkeypatch):
    """Four workers on two GPUs that are not there: the trainer of the test uses none."""
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    study = run(
        spec.but(sleep=0.3), trials=12, workers=4, devices=["cuda:0", "cuda:1"], storage=storage,
        search={"pruner": "none"}, console=console,
    )  # fmt: skip
    assert all(trial.state == TrialState.COMPLETE for trial in study.trials)
    used = {entry["pid"]: entry["device"] for entry in entries(spec)}
    assert Counter(used.values()) == {"cuda:0": 2, "cuda:1": 2}
    with Store.open(storage) as store:
        assert {row["device"] for row in store.trials("fake-quick")} == {"cuda:0", "cuda:1"}


def test_the_default_is_a_worker_on_each_gpu_or_core(monkeypatch):
    monkeypatch.setenv("HPSEARCH_DEVICE", "cpu")
    monkeypatch.setattr(devices, "cores", lambda: 6)
    assert devices.choose(None, None, 100) == (6, ("cpu",))
    assert devices.choose(None, None, 4) == (4, ("cpu",))
    assert devices.choose(3, None, 1) == (3, ("cpu",))
    monkeypatch.delenv("HPSEARCH_DEVICE")
    monkeypatch.setattr(devices, "default_device", lambda: "cuda")
    for count, wanted in ((1, ("cuda",)), (2, ("cuda:0", "cuda:1"))):
        monkeypatch.setattr("torch.cuda.device_count", lambda count=count: count)
        assert devices.choose(None, None, 100) == (count, wanted)
    assert devices.choose(4, ["cuda:1"], 100) == (4, ("cuda:1",))
    with pytest.raises(InputError, match="this machine has cuda:0 to cuda:1"):
        devices.choose(None, ["cuda:2"], 100)
    with pytest.raises(InputError, match="gpu is no device"):
        devices.choose(None, ["gpu"], 100)
