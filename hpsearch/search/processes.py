"""Processes of a run: started with their share of the cores, spoken to, and stopped."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from hpsearch.core import own_code
from hpsearch.core.child_processes import python_command, python_environment
from hpsearch.core.environment import cores

LEAVE_S = 20.0
"""How long a worker that was asked to stop may take: the epoch's last step and one transaction."""

NO_VARIABLES: Mapping[str, str] = {}

LOG_TAIL = 4000

MOST_PRINTED = 1_000_000
"""So many bytes of what a worker prints are kept, the last ones: a run may take weeks."""

THREAD_LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass
class Process:
    """One worker process, and the log file that it prints to.

    `deaths` says how often the worker died in a row, `finished` how many trials of the run were
    finished when it was started. `sent` is the last line about the GPU that it was sent.
    """

    number: int
    popen: subprocess.Popen[bytes]
    log: IO[bytes]
    finished: int = 0
    deaths: int = 0
    leaving: bool = False
    sent: str = ""

    def log_tail(self) -> str:
        size = os.fstat(self.log.fileno()).st_size
        tail = os.pread(self.log.fileno(), LOG_TAIL, max(0, size - LOG_TAIL))
        return tail.decode(errors="replace").strip()

    def trim_log(self) -> None:
        """Cut a long log down to its tail. The worker appends, so it goes on behind the tail; what
        it prints between our reading and our cutting, some microseconds, is lost."""
        file = self.log.fileno()
        if (size := os.fstat(file).st_size) > MOST_PRINTED:
            kept = os.pwrite(file, os.pread(file, LOG_TAIL, size - LOG_TAIL), 0)
            os.ftruncate(file, kept)

    def read_answer(self) -> dict[str, object]:
        assert self.popen.stdout is not None
        text = self.popen.stdout.read()
        return dict(json.loads(text)) if text else {}

    def read_line(self) -> dict[str, Any]:
        """The next line that the process answers; an "error" if it has died."""
        assert self.popen.stdout is not None
        text = self.popen.stdout.readline()
        if not text:
            words = self.log_tail().splitlines()
            return {"error": words[-1] if words else "a process died"}
        return dict(json.loads(text))

    def send_trainer(self, trainer: str) -> None:
        """Send the names of the modules that the process may import: its trainer, and the user's
        own code. Both come from this process, never from a store."""
        self.send(json.dumps({"trainer": trainer, "own_code": own_code.allowed()}))

    def send(self, line: str) -> None:
        """Write a line to the process's standard input. A dead process raises nothing here: who
        waits for it finds out."""
        assert self.popen.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.popen.stdin.write(line.encode() + b"\n")
            self.popen.stdin.flush()

    def close(self) -> None:
        for stream in (self.popen.stdin, self.popen.stdout, self.log):
            if stream is not None:
                with contextlib.suppress(OSError):  # the pipe of a dead process
                    stream.close()


@contextlib.contextmanager
def stopping() -> Iterator[list[Process]]:
    """A list for processes: those that are in it at the end are stopped."""
    processes: list[Process] = []
    try:
        yield processes
    finally:
        _stop(processes)


def launch(
    number: int,
    workers: int,
    module: str = "hpsearch.search.worker",
    environment: Mapping[str, str] = NO_VARIABLES,
) -> Process:
    """Start one of so many processes that run `module`, each with its share of the cores."""
    share = str(max(1, cores() // workers))
    log, printed = open_log()
    with printed:
        popen = subprocess.Popen(  # noqa: S603
            python_command(module),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=printed,
            env=python_environment(**dict.fromkeys(THREAD_LIMITS, share), **environment),
        )
    return Process(number, popen, log)


def open_log() -> tuple[IO[bytes], IO[bytes]]:
    """(to read and cut, to append to): one file without a name, opened twice.

    A file that is opened once has one position, and a child that inherits it shares that position:
    whoever read the log would move the place where the child prints.
    """
    with tempfile.NamedTemporaryFile() as named:
        file = Path(named.name)
        return file.open("r+b", buffering=0), file.open("ab", buffering=0)


def _stop(processes: list[Process]) -> None:
    """Ask the workers to put back their trials and leave; end those that do not."""
    for process in processes:
        # The end of its input tells a worker to stop; at Ctrl-C the terminal has told it already.
        with contextlib.suppress(OSError):
            assert process.popen.stdin is not None
            process.popen.stdin.close()
    deadline = time.monotonic() + LEAVE_S
    for process in processes:
        try:
            process.popen.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.popen.kill()
            process.popen.wait()
        process.close()
