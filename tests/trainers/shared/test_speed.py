"""How long a trial takes is known from a moment of its work, and that moment leaves no trace."""

import hashlib
import random
import time

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_corpus import LANGUAGE_MODEL, write_reviews

from hpsearch.study.spec import load_spec
from hpsearch.trainers.contract import PrepareSetup, TrialSetup
from hpsearch.trainers.shared import speed
from hpsearch.trainers.shared.speed import Part, measure, time_parts

MODEL = {**LANGUAGE_MODEL, "emb": 64, "hidden": 128, "seq_len": 20}
TEXTS = {"language_model": MODEL, "valid_reviews": 80, "bs": 16, "epochs": 2}
CASES = {
    "tabular": ("table.csv", {"target": "price"}, {"epochs": 4, "bs": 64}, "mse", 16_000 * 4),
    "collab": ("ratings.csv", {}, {"epochs": 4, "bs": 64, "y_range": "0/5.5"}, "mse", None),
    "text-classifier": ("reviews.csv", {}, TEXTS, "accuracy", 400 * 10),
    "language-model": ("reviews.csv", {}, {**MODEL, "epochs": 2}, "perplexity", None),
    "ulmfit": ("reviews.csv", {}, TEXTS, "accuracy", None),
}
"""Of each trainer a file, its [data], settings, metric, and a trial's units if that is obvious."""
STUDY = """
name = "timed"
trainer = "{trainer}"
metric = "{metric}"
direction = "minimize"
data = {{ path = "{file}" }}
space.lr = {{ low = 1e-4, high = 1e-1, log = true, default = 1e-2 }}
presets.quick.trials = 4
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("speed")
    rng = np.random.default_rng(0)
    n = 20_000
    table = pd.DataFrame({"size": rng.normal(size=n), "kind": rng.choice(["a", "b"], n)})
    table["price"] = table["size"] + rng.normal(size=n)
    table.to_csv(folder / "table.csv", index=False)
    ratings = {"user": rng.integers(300, size=n), "item": rng.integers(200, size=n)}
    ratings = pd.DataFrame({**ratings, "rating": rng.integers(1, 6, n)})
    ratings.drop_duplicates(["user", "item"]).to_csv(folder / "ratings.csv", index=False)
    write_reviews(folder / "reviews.csv", 480)
    return folder


@pytest.fixture
def ready(folder, monkeypatch, request):
    """(trainer, settings, prepared data) of one of the CASES."""
    monkeypatch.setenv("HPSEARCH_HOME", str(folder / "home"))
    file, data, settings, metric, _ = CASES[request.param]
    study = folder / f"{request.param}.toml"
    study.write_text(STUDY.format(trainer=request.param, metric=metric, file=file))
    spec = load_spec(study)
    trainer = spec.trainer_module()
    prepared = trainer.prepare(
        {**spec.data, **data}, settings, PrepareSetup(data_path=None, device="cpu")
    )
    return request.param, trainer, settings, prepared


@pytest.mark.parametrize("ready", CASES, indirect=True)
def test_the_estimate_is_what_a_trial_takes(ready, monkeypatch, tmp_path):
    """In seconds of the processor: wall time is also that of others on this machine."""
    name, trainer, settings, prepared = ready
    monkeypatch.setattr(speed, "clock", time.process_time)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = measure(trainer, settings, {"lr": 0.01}, prepared, device="cpu", seconds=0.7)
        took, share = [], 2.0
        for seed in range(4):  # the first ones also warm up what others find warm
            if name == "ulmfit":  # or each but the first finds its language model
                monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / str(seed)))
            began = time.process_time()
            trainer.train(
                settings,
                {"lr": 0.01},
                prepared,
                TrialSetup(seed=seed, device="cpu", report=lambda _: None),
            )
            took.append(time.process_time() - began)
            share = found.seconds / took[-1]
            if seed and 0.7 <= share <= 1.3:
                break
    finally:
        torch.set_num_threads(threads)
    assert any(0.7 <= found.seconds / one <= 1.3 for one in took), (found, took)
    assert found.memory is None
    assert found.rate * found.seconds >= found.units  # held-out passes come on top
    if (units := CASES[name][-1]) is not None:
        assert found.units == units


@pytest.mark.parametrize("ready", CASES, indirect=True)
def test_a_measurement_leaves_no_trace(ready, folder):
    """Files and the states of all generators are as they were, and so is what a trial comes to."""
    _, trainer, settings, prepared = ready

    def state():
        files = {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*")
            if path.is_file()
        }
        generators = (
            torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state()),
        )  # fmt: skip
        return files, generators, torch.get_num_threads(), torch.is_grad_enabled()

    before = state()
    measure(trainer, settings, {"lr": 0.01}, prepared, device="cpu", seconds=0.05)
    assert state() == before


class Clock:
    """Work takes the time that it says."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def watch(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(speed, "clock", clock)
    return clock


def piece(clock, seconds, units=1.0, first=0.0, calls=None):
    """Work whose every piece takes so long, and the first of all `first` longer."""
    extra = [first]

    def do(n):
        clock.now += n * seconds + extra.pop() if extra else n * seconds
        if calls is not None:
            calls.append(n)
        return n * units

    return do


def test_parts_are_timed_without_their_first_piece(watch):
    parts = [
        Part(piece(watch, 0.1, units=32, first=1.5), total=3200),
        Part(piece(watch, 0.2, units=10, first=1.0), total=50, trains=False),
    ]
    assert time_parts(parts, seconds=10) == pytest.approx([10.0, 1.0])
    assert 10 <= watch.now < 13


def test_work_of_microseconds_is_timed_in_bursts_and_slow_work_once(watch):
    calls = []
    assert time_parts([Part(piece(watch, 1e-5, calls=calls), total=1000)], seconds=1) == (
        pytest.approx([0.01])
    )
    assert max(calls) >= 0.9 * min(speed.MOST_PIECES, speed.BURST_S / 1e-5) / 8
    assert len(calls) < 250
    calls.clear()
    began = watch.now
    slow = [Part(piece(watch, 30.0, calls=calls), total=10), Part(piece(watch, 1e-3), total=1)]
    assert time_parts(slow, seconds=1)[0] == pytest.approx(300.0)
    assert calls == [1]
    assert watch.now - began < 31.5


def test_a_short_trial_is_measured_no_longer_than_it_needs(watch):
    parts = [Part(piece(watch, 0.02), total=100), Part(piece(watch, 0.02), total=10, trains=False)]
    assert time_parts(parts, seconds=10, enough=20) == pytest.approx([2.0, 0.2])
    assert watch.now < 0.5
