"""CUDA's MPS is started by the run and stopped with it, by a stand-in for its control program."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpsearch.core.child_processes import python_environment
from hpsearch.search.engines import mps

CONTROL = """#!/bin/sh
if [ "$1" = "-d" ]; then
  echo start >> "{log}"
  sleep 600 > /dev/null 2>&1 < /dev/null &
  echo $! > "$CUDA_MPS_PIPE_DIRECTORY/pid"
  exit {status}
fi
read words
echo "$words" >> "{log}"
kill "$(cat "$CUDA_MPS_PIPE_DIRECTORY/pid")"
"""
RUN = """
import sys, time
from hpsearch.search.engines import mps
mps.CHECK = (sys.executable, "-c", "")
with mps.served(True) as environment:
    print(environment[mps.PIPES], flush=True)
    time.sleep(600)
"""


@pytest.fixture
def control(tmp_path, monkeypatch):
    """The control program; calling it makes it one that starts with another status."""
    log = tmp_path / "log"
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv(mps.PIPES, raising=False)
    monkeypatch.setattr(mps, "CHECK", (sys.executable, "-c", ""))

    def write(status=0):
        program = tmp_path / mps.CONTROL
        program.write_text(CONTROL.format(log=log, status=status))
        program.chmod(0o755)
        return log

    return write


def lives(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_lives_as_long_as_the_block(control):
    log = control()
    with mps.served(True) as environment:
        pipes = Path(environment[mps.PIPES])
        assert (pipes.parent.stat().st_mode & 0o777) == 0o700
        assert len(str(pipes)) < 80  # a socket in it has a short name
        pid = int((pipes / "pid").read_text())
        assert lives(pid)
        assert log.read_text() == "start\n"
    assert log.read_text() == f"start\nquit -t {mps.LEAVE_S}\n"
    assert not lives(pid)
    assert not pipes.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_is_stopped_when_the_run_is_killed(control, number):
    log = control()
    run = subprocess.Popen(
        [sys.executable, "-c", RUN], stdout=subprocess.PIPE, text=True, env=python_environment()
    )
    pipes = Path(run.stdout.readline().strip())
    pid = int((pipes / "pid").read_text())
    assert lives(pid)
    run.send_signal(number)
    run.communicate()
    wait_until(lambda: not lives(pid) and not pipes.exists())
    assert log.read_text().splitlines()[-1].startswith("quit")


def test_where_it_does_not_start_or_answer_workers_do_without(control, monkeypatch):
    control(status=1)
    with mps.served(True) as environment:
        assert environment == {}
    control()
    monkeypatch.setattr(mps, "CHECK", (sys.executable, "-c", "raise SystemExit(805)"))
    with mps.served(True) as environment:
        assert environment == {}


def test_what_is_not_wanted_not_there_or_there_already_is_not_started(control, monkeypatch):
    log = control()
    with mps.served(False) as environment:
        assert environment == {}
    monkeypatch.setenv(mps.PIPES, "/tmp/nvidia-mps")
    with mps.served(True) as environment:
        assert environment == {}
    monkeypatch.delenv(mps.PIPES)
    monkeypatch.setenv("PATH", os.defpath)
    with mps.served(True) as environment:
        assert environment == {}
    assert not log.exists()
