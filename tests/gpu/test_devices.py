"""What the search decides about a GPU, on a real one: where trials train, how many share it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from calls import run

from hpsearch.core.child_processes import python_environment
from hpsearch.search.engines import mps
from hpsearch.search.speed import estimate
from hpsearch.search.speed.gpu_sharing import GPU_SHARED, MEMORY
from hpsearch.store import Store
from hpsearch.store.queue import runs
from hpsearch.study.spec import load_spec
from hpsearch.trainers.contract import PrepareSetup, TrialSetup
from hpsearch.trainers.shared import speed

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here")

STUDY = """
name = "shared"
trainer = "tabular"
metric = "mse"
direction = "minimize"
data = {{ path = "table.csv", target = "price" }}
settings = {{ bs = {bs}, epochs = {epochs}, layers = "{layers}" }}
space.lr = {{ low = 1e-4, high = 1e-1, log = true, default = 1e-2 }}
presets.quick.trials = 400
"""
RUN = """
import sys, time, subprocess
from hpsearch.search.engines import mps
from hpsearch.core.child_processes import python_environment
with mps.served(True) as environment:
    code = "import torch, time; torch.ones(4, device='cuda').sum().item(); print('on', flush=True)"
    worker = subprocess.Popen(
        [sys.executable, "-c", code + "; time.sleep(600)"], stdout=subprocess.PIPE, text=True,
        env=python_environment(**environment),
    )
    worker.stdout.readline()
    print(environment.get(mps.PIPES, "none"), worker.pid, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A maker of studies of a made-up table, with a home of their own."""
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HPSEARCH_DEVICE", raising=False)
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"size": rng.normal(size=20_000), "age": rng.normal(size=20_000)})
    table["price"] = table["size"] * table["age"] + rng.normal(size=20_000)
    table.to_csv(tmp_path / "table.csv", index=False)

    def make(**given):
        text = STUDY.format(**{"bs": 64, "epochs": 2, "layers": "200/100", **given})
        (tmp_path / "study.toml").write_text(text)
        return load_spec(tmp_path / "study.toml")

    return make


def lives(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.skipif(not mps.is_there(), reason=f"there is no {mps.CONTROL} here")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_mps_serves_workers_and_goes_with_the_run(number):
    started = subprocess.Popen(
        [sys.executable, "-c", RUN], stdout=subprocess.PIPE, text=True, env=python_environment()
    )
    pipes, pid = started.stdout.readline().split()
    if pipes == "none":
        started.kill()
        started.communicate()
        pytest.skip("the service is there but does not work on this machine")
    servers = subprocess.run(
        [mps.CONTROL], input="get_server_list\n", capture_output=True, text=True, check=False,
        env={**os.environ, mps.PIPES: pipes},
    )  # fmt: skip
    assert servers.stdout.split()
    started.send_signal(number)
    started.communicate()
    os.kill(int(pid), signal.SIGKILL)  # what the run's own workers do when their parent is gone
    deadline = time.monotonic() + 60
    while Path(pipes).exists() or any(lives(int(one)) for one in servers.stdout.split()):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_run_finds_out_how_many_trials_share_the_gpu(study, tmp_path, monkeypatch):
    note = runs.set_workers

    def end_with_it(engine, study, run_id, workers):
        note(engine, study, run_id, workers)
        runs.end_early(engine, study, run_id, "seen enough")

    monkeypatch.setattr(runs, "set_workers", end_with_it)
    storage = f"sqlite:///{tmp_path / 'store.db'}"
    run(study(), workers=None, devices=["cuda"], storage=storage, preset="quick")
    with Store.open(storage) as store:
        events = {one["kind"]: one["message"] for one in store.events()}
        _, workers = runs.size(store.engine, 1)
        rows = [row for row in store.trials("shared-quick") if row["seconds"]]
    assert re.match(r"(1 trial has|\d+ trials share) a GPU", events[GPU_SHARED])
    assert "(1: " in events[GPU_SHARED]
    assert 1 <= workers <= 16
    memory = json.loads(events[MEMORY])
    assert 0 < memory["peak"] < memory["available"]
    walls = [row["facts"].get("wall_seconds", row["seconds"]) for row in rows]
    assert all(row["seconds"] <= wall for row, wall in zip(rows, walls, strict=True))


def test_auto_takes_the_processor_for_a_small_network(study, tmp_path, capsys):
    """A narrow network on a batch of 512 rows is a few dozen launches, whatever the card."""
    storage = f"sqlite:///{tmp_path / 'store.db'}"
    spec = study(bs=512, epochs=1, layers="8")
    run(spec, trials=32, workers=None, storage=storage, preset="quick")
    text = capsys.readouterr().out
    assert re.search(r"shared-quick trains on (cpu|cuda), which is faster: ", text)
    figures = re.findall(r"(cpu|cuda) ([\d,]+) trials an hour", text)
    best = max(figures, key=lambda one: int(one[1].replace(",", "")))[0]
    with Store.open(storage) as store:
        assert {row["device"].split(":")[0] for row in store.trials("shared-quick")} == {best}
    if len(os.sched_getaffinity(0)) >= 8:
        assert best == "cpu"


def test_an_estimate_on_the_gpu_is_what_a_trial_takes(study):
    spec = study(epochs=8)
    trainer, settings = spec.trainer_module(), dict(spec.settings)
    data = trainer.prepare(dict(spec.data), settings, PrepareSetup(data_path=None, device="cuda"))
    found = speed.measure(trainer, settings, {}, data, device="cuda")
    took = []
    for seed in range(3):
        began = time.perf_counter()
        trainer.train(
            settings, {}, data, TrialSetup(seed=seed, device="cuda", report=lambda _: None)
        )
        took.append(time.perf_counter() - began)
    print(f"estimate {found.seconds:.2f} s, {estimate.per_second(found.rate, found.unit)}; {took}")
    assert any(0.6 <= found.seconds / one <= 1.6 for one in took)
    assert found.memory
