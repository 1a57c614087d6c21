"""A terminal that is closed ends a run as Ctrl-C does: its trials are put back."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from run_processes import RUNNER, TESTS, entries, wait_until

from hpsearch.store import Store


@pytest.fixture
def storage(tmp_path):
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
def on_terminal(spec, storage):
    """Starts a run on a terminal of its own: (the process, what closes the terminal)."""
    started = []

    def start(*, ignoring=False, **options):
        main, side = pty.openpty()
        modules = Path(spec.preset.settings["journal"]).parent / "modules"

        def take():
            fcntl.ioctl(side, termios.TIOCSCTTY, 0)
            signal.signal(signal.SIGHUP, signal.SIG_IGN if ignoring else signal.SIG_DFL)

        process = subprocess.Popen(
            [sys.executable, "-c", RUNNER, str(TESTS)],
            stdin=subprocess.PIPE, stdout=side, stderr=side, text=True,
            start_new_session=True, preexec_fn=take,
            env={**os.environ, "PYTHONPATH": str(modules)},
        )  # fmt: skip
        os.close(side)
        settings = spec.but(sleep=0.2).preset.settings
        process.stdin.write(json.dumps({"settings": settings, "storage": storage, **options}))
        process.stdin.close()
        started.append(process)
        return process, lambda: os.close(main)

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_closed_terminal_puts_the_trials_back(on_terminal, spec, storage, workers):
    process, close = on_terminal(trials=6, workers=workers)
    wait_until(lambda: len(entries(spec)) > workers, "the second round of trials")
    close()
    assert process.wait(30) == 130
    with Store.open(storage) as store:
        counts = store.studies()[0].counts
        assert set(counts) == {"complete", "waiting"}
        assert sum(counts.values()) == 6
        with store.engine.connect() as connection:
            outcome = connection.execute(sa.text("SELECT outcome FROM hps_run")).scalar()
        assert outcome == "interrupted"
        kinds = {event["kind"] for event in store.events()}
        assert "worker-crashed" not in kinds


def test_a_run_under_nohup_goes_on(on_terminal, spec, storage):
    process, _ = on_terminal(ignoring=True, trials=3, workers=1)
    wait_until(lambda: entries(spec), "the first trial")
    os.killpg(process.pid, signal.SIGHUP)
    deadline = time.monotonic() + 60
    while process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert process.returncode == 0
    with Store.open(storage) as store:
        assert store.studies()[0].counts == {"complete": 3}
