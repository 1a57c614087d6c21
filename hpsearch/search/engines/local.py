"""Workers as processes of this machine, with cores and devices divided among them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import IO

from hpsearch.errors import HpsearchError
from hpsearch.search.circumstances import cores
from hpsearch.search.job import Job
from hpsearch.store import Store, reading
from hpsearch.store.queue import FINISHED

RESTARTS = 3
"""A worker that dies is started again so many times in a row; a trial finished by any worker in the
meantime says that it is worth going on."""

LEAVE_S = 20.0
"""How long a worker that was asked to stop may take: the epoch's last step and one transaction."""

INTERRUPTED = 130
LAST_WORDS = 4000
THREAD_LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class WorkerError(HpsearchError):
    """A worker ended the run for a reason that it told."""

    def __init__(self, message: str, exit_status: int) -> None:
        super().__init__(message)
        self.exit_status = exit_status


@dataclass
class Process:
    """One worker: the running process, what it prints, how often it died in a row, and how many
    trials of the run were finished when it was started."""

    number: int
    popen: subprocess.Popen[bytes]
    log: IO[bytes]
    finished: int = 0
    deaths: int = 0

    def last_words(self) -> str:
        self.log.seek(0, os.SEEK_END)
        self.log.seek(max(0, self.log.tell() - LAST_WORDS))
        return self.log.read().decode(errors="replace").strip()

    def answer(self) -> dict[str, object]:
        assert self.popen.stdout is not None
        text = self.popen.stdout.read()
        return dict(json.loads(text)) if text else {}

    def tell(self, line: str) -> None:
        """Write a line to its standard input; a dead one will be found so by who waits for it."""
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
def hired(workers: int) -> Iterator[list[Process]]:
    """Processes that start while their job is still being made: first `tell` them their trainer.

    `run_processes` takes from the list; those that are left at the end leave.
    """
    processes: list[Process] = []
    try:
        for number in range(workers):
            processes.append(_launch(number, workers))
        yield processes
    finally:
        _dismiss(processes)


def run_processes(
    job: Job,
    store: Store,
    study_id: int,
    workers: int,
    devices: Sequence[str],
    waiting: list[Process],
) -> None:
    """Run the job in `workers` processes, which take the devices in turn, until all have ended.

    Those `waiting` are taken before others are started. A process that dies, or is told to stop by
    somebody else, is recorded and started again, up to RESTARTS times in a row. Raises WorkerError
    for what a worker reports, HpsearchError if the last worker stays dead, and passes
    KeyboardInterrupt after every worker has put its trials back.
    """
    crew = _Processes(job, store, study_id, workers, devices, waiting)
    try:
        for number in range(workers):
            crew.start(number)
        while crew.processes:
            for process in list(crew.processes):
                code = process.popen.poll()
                if code is not None:
                    crew.ended(process, code)
            time.sleep(0.05)
    finally:
        _dismiss(crew.processes)


@dataclass
class _Processes:
    """The worker processes of a run."""

    job: Job
    store: Store
    study_id: int
    workers: int
    devices: Sequence[str]
    waiting: list[Process]
    processes: list[Process] = field(default_factory=list)

    def start(self, number: int) -> Process:
        device = self.devices[number % len(self.devices)]
        if self.waiting:
            process = self.waiting.pop(0)
        else:
            process = _launch(number, self.workers)
            process.tell(self.job.trainer)
        self.processes.append(process)
        process.tell(replace(self.job, device=device).to_json())
        return process

    def ended(self, process: Process, code: int) -> None:
        """Deal with a process that has ended, and start its successor if it is to have one."""
        answer, words = process.answer(), process.last_words()
        self.processes.remove(process)
        process.close()
        if code == 0:
            return
        if "error" in answer:
            raise WorkerError(str(answer["error"]), int(str(answer.get("status", 1))))
        end = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        if code == INTERRUPTED:  # it alone: Ctrl-C and SIGTERM end the run through this process
            end = "SIGTERM or SIGINT, its trial put back"
        self.store.record_event(
            "worker-crashed",
            f"worker {process.number} (pid {process.popen.pid}) ended with {end}",
            traceback=words or None,
            study_id=self.study_id,
            run_id=self.job.run_id,
            worker=str(process.popen.pid),
        )
        self._start_again(process, end, words)

    def _start_again(self, process: Process, end: str, words: str) -> None:
        finished = self._finished()
        deaths = 1 if finished > process.finished else process.deaths + 1
        if deaths <= RESTARTS:
            successor = self.start(process.number)
            successor.deaths, successor.finished = deaths, finished
        elif not self.processes:
            last = f": {self.store.redact(words.splitlines()[-1])}" if words else ""
            raise HpsearchError(
                f"The last worker ended with {end} after {RESTARTS} restarts{last}; "
                "finished trials are kept, run the same command again to go on."
            )

    def _finished(self) -> int:
        counts = self.store.patiently(
            lambda: reading.states(self.store.engine, self.study_id, self.job.run_id)
        )
        return sum(counts.get(state, 0) for state in FINISHED)


def _launch(number: int, workers: int) -> Process:
    log = tempfile.TemporaryFile()  # noqa: SIM115 (Process.close closes it)
    popen = subprocess.Popen(
        [sys.executable, "-m", "hpsearch.search"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env=_environment(workers),
    )
    return Process(number, popen, log)


def _environment(workers: int) -> dict[str, str]:
    share = str(max(1, cores() // workers))
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)  # noqa: PTH109
    return {**os.environ, **dict.fromkeys(THREAD_LIMITS, share), "PYTHONPATH": path}


def _dismiss(processes: list[Process]) -> None:
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
