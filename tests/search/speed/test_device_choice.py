"""`auto` takes the device on which a study's trials are faster, by a measurement that is kept."""

import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from calls import run
from priced_table import priced_table

from hpsearch.core.home import home
from hpsearch.core.plain_json import plain
from hpsearch.errors import InputError
from hpsearch.models.train import TrainOptions, train_final
from hpsearch.search.engines import devices
from hpsearch.search.speed import device_choice, time_trials
from hpsearch.search.speed.device_choice import choose, fastest, key_of, note_gain
from hpsearch.search.speed.time_trials import DeviceSpeed, time_devices
from hpsearch.store import Store
from hpsearch.trainers.shared import speed
from hpsearch.trainers.shared.speed import Speed

STUDY = """
name = "timed"
trainer = "tabular"
metric = "mse"
direction = "minimize"
data = { path = "table.csv", target = "price" }
settings = { bs = 32 }
space.lr = { low = 1e-4, high = 1e-1, log = true, default = 1e-2 }
presets.cpu.trials = 6
presets.full.trials = 8
"""
GPU = DeviceSpeed("cuda", 1, 0.5, 4000.0, "rows")
CPU = DeviceSpeed("cpu", 16, 2.0, 1000.0, "rows")


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HPSEARCH_DEVICE", raising=False)
    return priced_table(tmp_path, STUDY)


@pytest.fixture
def two_kinds(monkeypatch):
    """A machine with a GPU, as far as anybody asks; what trains there trains on the processor."""
    for module in (devices, device_choice):
        if hasattr(module, "default_device"):
            monkeypatch.setattr(module, "default_device", lambda: "cuda")
    monkeypatch.setattr("hpsearch.core.environment.default_device", lambda: "cuda")
    monkeypatch.setattr("hpsearch.models.train.default_device", lambda: "cuda")
    monkeypatch.setattr(devices, "cores", lambda: 2)
    monkeypatch.setattr(device_choice, "_gpus", lambda: ["NVIDIA H100"])
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)


@pytest.fixture
def measured(monkeypatch):
    """What is going to be measured on each device, and how often it was."""
    found, asked = {"cuda": GPU, "cpu": CPU}, []

    def time_devices(workers_on, trainer, what):
        asked.append(dict(workers_on))
        return [replace(found[one], workers=workers) for one, workers in workers_on.items()]

    monkeypatch.setattr(device_choice, "time_devices", time_devices)
    return found, asked


def test_the_faster_is_that_on_which_more_trials_are_done_an_hour():
    assert (GPU.per_hour, CPU.per_hour) == (7200, 28800)
    assert fastest([GPU, CPU]) is CPU
    shared = replace(GPU, gain=5.0)  # five times as many where trials share it
    assert fastest([shared, CPU]) is shared
    assert fastest([replace(GPU, why="no kernel"), CPU]) is CPU
    with pytest.raises(InputError, match=r"No device .*cuda: no kernel; cpu: no room"):
        fastest([replace(GPU, why="no kernel"), replace(CPU, why="no room")])


def test_a_run_measures_says_and_remembers(study, storage, console, two_kinds, measured):
    found, asked = measured
    found["cpu"] = replace(CPU, seconds=0.01)
    run(study, trials=2, workers=None, storage=storage, console=console)
    text = console.file.getvalue()
    assert asked == [{"cuda": 1, "cpu": 2}]
    said = re.search(
        r"timed-full trains on cpu, which is faster: cpu 720,000 trials an hour \(2 workers, a "
        r"trial 0.0 s, 1,000 rows/s\); cuda 7,200 trials an hour \(1 worker, a trial 0.5 s, 4,000 "
        r"rows/s\); measured now",
        text,
    )
    assert said, text
    with Store.open(storage) as store:
        assert {row["device"] for row in store.trials("timed-full")} == {"cpu"}
    run(study, trials=2, workers=None, storage=storage, console=console)
    assert len(asked) == 1
    assert re.search(r"measured on \d{4}-\d\d-\d\d", console.file.getvalue())


def test_an_explicit_device_is_taken_and_nothing_measured(
    study, storage, console, two_kinds, measured
):
    run(study, trials=1, workers=None, devices=["cpu"], storage=storage, console=console)
    assert measured[1] == []
    assert "which is faster" not in console.file.getvalue()
    assert devices.are_open(None)
    assert devices.are_open(["auto"])
    assert not devices.are_open(["cuda:0"])
    os.environ["HPSEARCH_DEVICE"] = "cuda"
    try:
        assert not devices.are_open(None)
    finally:
        del os.environ["HPSEARCH_DEVICE"]


def test_with_one_kind_of_device_nothing_is_measured(study, storage, console, measured):
    assert not devices.are_open(None)  # here is no GPU
    run(
        study, trials=1, workers=1, preset="cpu", devices=["auto"], storage=storage, console=console
    )
    assert measured[1] == []


def test_what_changes_a_measurement_makes_it_anew(study, console, two_kinds, monkeypatch):
    trainer, calls = study.trainer_module(), []

    def ask(settings=(("bs", 32),), params=(("lr", 0.1),), data="abc", workers=(("cpu", 2),)):
        key = key_of(trainer, dict(settings), dict(params), data, dict(workers))
        return choose("one", key, lambda: calls.append(1) or [GPU, CPU], console)

    assert ask() == CPU
    assert ask() == CPU
    assert len(calls) == 1
    ask(settings=(("bs", 64),))
    ask(params=(("lr", 0.2),))
    ask(data="abd")
    ask(workers=(("cpu", 4),))
    assert len(calls) == 5
    monkeypatch.setattr(device_choice, "_gpus", lambda: ["NVIDIA H200"])
    ask()
    monkeypatch.setattr(device_choice, "_processor", lambda: "another")
    ask()
    monkeypatch.setattr(device_choice, "versions", lambda: {"torch": "9.9"})
    ask()
    monkeypatch.setattr(device_choice, "_code", lambda trainer: "changed")
    ask()
    assert len(calls) == 9
    ask()
    assert len(calls) == 9


def test_the_trainers_code_is_part_of_the_key(study, tmp_path, monkeypatch):
    trainer = study.trainer_module()
    before = device_choice._code(trainer)
    root = Path(speed.__file__).parents[1]
    place, shared = (
        speed.place_of(trainer).relative_to(root),
        Path(speed.__file__).relative_to(root),
    )
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    monkeypatch.setattr(speed, "place_of", lambda _: copy / place)
    monkeypatch.setattr(speed, "__file__", str(copy / shared))
    assert device_choice._code(trainer) == before  # wherever it lies
    for folder in (place.parts[0], shared.parts[0], "step"):
        (copy / folder / "faster.py").write_text("# faster")
        changed = device_choice._code(trainer)
        assert changed != before
        before = changed
    (copy / "collab" / "faster.py").write_text("# faster")
    assert device_choice._code(trainer) == before  # of another trainer


def test_what_failed_is_tried_again_and_a_gain_is_remembered(console, monkeypatch, tmp_path):
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path))
    failed = replace(GPU, seconds=0.0, why="no driver")
    answers = [[failed, CPU], [GPU, CPU]]
    key = {"one": 1}
    assert choose("one", key, lambda: answers.pop(0), console) == CPU
    assert "cuda failed: no driver" in console.file.getvalue()
    assert choose("one", key, lambda: answers.pop(0), console) == CPU
    note_gain(key, "cuda:0", 5.0)
    assert choose("one", key, lambda: answers.pop(0), console) == replace(GPU, gain=5.0)
    (file,) = (home() / "devices").iterdir()
    file.write_text("{ broken")
    assert choose("one", key, lambda: [CPU], console) == CPU
    assert json.loads(file.read_text())["measured"][0]["device"] == "cpu"


def test_processes_time_trials_at_the_same_moment(study, tmp_path):
    resolved = study.resolve("cpu")
    asked = {
        "settings": plain(resolved.settings), "params": {"lr": 0.01}, "data": plain(study.data),
        "data_path": None, "prepared_on": "cpu",
    }  # fmt: skip
    (found,) = time_devices({"cpu": 2}, "hpsearch.trainers.tabular.trainer", asked)
    assert found.why is None
    assert (found.device, found.workers, found.unit) == ("cpu", 2, "rows")
    assert 0 < found.seconds < 60
    assert found.per_hour == pytest.approx(2 * 3600 / found.seconds)
    bad = {**asked, "params": {"layers": "no layers"}}
    (failed,) = time_devices({"cpu": 1}, "hpsearch.trainers.tabular.trainer", bad)
    assert failed.why
    assert time_trials.__name__ == time_trials.MODULE


def test_train_takes_the_device_on_which_one_training_is_faster(
    study, tmp_path, console, two_kinds, monkeypatch
):
    seconds, seen = {"cuda": 3.0, "cpu": 1.0}, []

    def measure(trainer, settings, params, data, *, device, **_):
        seen.append(device)
        return Speed("rows", 10.0, 1000.0, seconds[device])

    monkeypatch.setattr(speed, "measure", measure)
    train_final(study, tmp_path / "model", TrainOptions("cpu"), console=console)
    assert json.loads((tmp_path / "model" / "training.json").read_text())["device"] == "cpu"
    assert seen[:2] == ["cuda", "cpu"]
    assert "timed trains on cpu, which is faster" in console.file.getvalue()
