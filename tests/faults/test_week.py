"""A week's run, its hours left out: what is kept of it does not grow with its heartbeats, with the
looks of its display or with what its workers print."""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import optuna
import pytest
from calls import run
from optuna.distributions import FloatDistribution

from hpsearch.search import display as display_module
from hpsearch.search import processes
from hpsearch.search.display import RATE_OVER_S, Display, Rate, shown_run
from hpsearch.search.processes import Process
from hpsearch.search.worker.heartbeat import Heartbeat
from hpsearch.store import Store
from hpsearch.store.queue import queue
from hpsearch.store.queue.fence import StudyRef
from hpsearch.store.queue.processes import this_worker
from hpsearch.store.queue.queue import Planned
from hpsearch.trainers.contract import EpochRecord

CHATTER = """
import sys, time
for i in range(40_000):
    print(f"epoch {i}: " + 90 * ".", file=sys.stderr)
time.sleep(0.2)  # the log is not being cut when the last line comes
print("end", file=sys.stderr)
"""


@pytest.fixture
def kind():
    return "sqlite"


@pytest.fixture
def running(storage):
    """(store, study, run id, the claim of its running trial)"""
    with Store.open(storage) as store:
        study = optuna.create_study(storage=store.optuna, study_name="long")
        ref = StudyRef.of(study)
        run_id = store.start_run(
            ref, trials=1, workers=1, engine="local", machine="m", host="h", pid=1
        )
        space, plan = {"x": FloatDistribution(0, 1)}, [Planned("design", 1, {"x": 0.5})]
        queue.enqueue(store.engine, ref, run_id, space, lambda _: plan)
        yield store, study, run_id, queue.claim(store.engine, ref, this_worker(), run_id)


class Intervals:
    """A clock that stands in for an Event: so many intervals pass at once."""

    def __init__(self, count):
        self.left = count

    def wait(self, _):
        self.left -= 1
        return self.left < 0


def held():
    """(bytes that this process holds, its open files)"""
    gc.collect()
    return tracemalloc.get_traced_memory()[0], len([*Path("/proc/self/fd").iterdir()])


def beats(store, claim, count):
    heart = Heartbeat(store, 30)
    heart._stop = Intervals(count)
    heart.watch([claim])
    heart._beat()


def test_heartbeats_and_looks_leave_nothing_behind(running, storage, console, monkeypatch):
    store, study, run_id, claim = running
    now = [0.0]
    monkeypatch.setattr(display_module.time, "monotonic", lambda: now[0])
    shown = shown_run(study, StudyRef.of(study), run_id, "score", 1)
    look = Display(store, shown, console)
    file = Path(storage.removeprefix("sqlite:///"))

    def hours(count):
        for _ in range(count):
            now[0] += 3600
            look._poll()
            beats(store, claim, 10)

    hours(24)
    tracemalloc.start()
    before, size = held(), file.stat().st_size
    hours(7 * 24)
    after = held()
    tracemalloc.stop()
    assert file.stat().st_size == size
    assert sum(one.stat().st_size for one in file.parent.glob(f"{file.name}-*")) < 5_000_000
    assert after[1] <= before[1]
    assert after[0] - before[0] < 200_000
    assert store.events() == []
    assert look._trouble == ""
    assert console.file.getvalue() == ""


def test_thousands_of_epochs_are_kept_once_each(running):
    store, _, run_id, claim = running
    for epoch in range(1, 1001):
        record = EpochRecord("main", epoch, 1000, 1.0, 0.5, {"score": 0.5}, (0.1,), 0.0)
        store.record_epoch(claim, record, 0.5)
    assert store.table_counts()["hps_epoch"] == 1000
    assert store.events() == []
    (one,) = display_module.running(store.engine, run_id)
    assert one.epoch == 1000


def test_the_rate_forgets_what_was_a_minute_ago():
    rate = Rate()
    for second in range(100_000):
        rate.saw(2 * second, float(second))
    assert len(rate._ends) <= RATE_OVER_S + 3
    assert rate.per_second == pytest.approx(2)


def test_of_what_a_worker_prints_the_tail_is_kept():
    log, printed = processes.open_log()
    with printed:
        command = [sys.executable, "-c", CHATTER]
        popen = subprocess.Popen(command, stderr=printed, stdout=subprocess.PIPE)
    process, cut, before = Process(0, popen, log), 0, 0
    while popen.poll() is None:
        process.trim_log()
        size = os.fstat(log.fileno()).st_size
        cut, before = cut + (size < before), size
    process.trim_log()
    assert cut
    assert os.fstat(log.fileno()).st_size <= processes.MOST_PRINTED
    lines = process.log_tail().splitlines()[1:]
    assert lines[-2:] == ["epoch 39999: " + 90 * ".", "end"]
    assert len(lines) > 30
    assert all(re.fullmatch(r"epoch \d+: \.{90}", line) for line in lines[:-1])
    process.close()


def test_a_run_of_chatty_workers_keeps_little(spec, storage, console, monkeypatch):
    """Each prints half a megabyte."""
    sizes, close = [], Process.close

    def measured(process):
        sizes.append(os.fstat(process.log.fileno()).st_size)
        close(process)

    monkeypatch.setattr(Process, "close", measured)
    monkeypatch.setattr(processes, "MOST_PRINTED", 20_000)
    spec = spec.but(epochs=50, sleep=0.06, chatter=10_000)
    run(spec, trials=2, workers=2, search={"design_share": 1}, storage=storage, console=console)
    assert len(sizes) == 2
    assert max(sizes) < 250_000
