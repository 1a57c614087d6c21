"""Workers as processes of this machine, with the cores divided among them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import IO

from hpsearch.errors import HpsearchError
from hpsearch.search.circumstances import cores
from hpsearch.search.job import Job
from hpsearch.store import Store

RESTARTS = 3
"""A worker that dies is started again so many times."""

LEAVE_S = 20.0
"""How long a worker that was asked to stop may take: the epoch's last step and one transaction."""

LAST_WORDS = 4000
THREAD_LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class WorkerError(HpsearchError):
    """A worker ended the run for a reason that it told."""

    def __init__(self, message: str, exit_status: int) -> None:
        super().__init__(message)
        self.exit_status = exit_status


@dataclass
class Process:
    """One worker: the running process, what it prints, and how often it died."""

    number: int
    popen: subprocess.Popen[bytes]
    log: IO[bytes]
    deaths: int = 0

    def last_words(self) -> str:
        self.log.seek(0, os.SEEK_END)
        self.log.seek(max(0, self.log.tell() - LAST_WORDS))
        return self.log.read().decode(errors="replace").strip()

    def answer(self) -> dict[str, object]:
        assert self.popen.stdout is not None
        text = self.popen.stdout.read()
        return dict(json.loads(text)) if text else {}

    def close(self) -> None:
        for stream in (self.popen.stdin, self.popen.stdout, self.log):
            if stream is not None:
                with contextlib.suppress(OSError):  # the pipe of a dead process
                    stream.close()


def run_processes(job: Job, store: Store, study_id: int, workers: int) -> None:
    """Run the job in `workers` processes until all have ended.

    A process that dies is recorded and started again, up to RESTARTS times. Raises WorkerError for
    what a worker reports, HpsearchError if the last worker stays dead, and passes KeyboardInterrupt
    after every worker has put its trial back.
    """
    processes: list[Process] = []
    try:
        for number in range(workers):
            processes.append(_start(job, number, workers))
        while processes:
            for process in list(processes):
                code = process.popen.poll()
                if code is None:
                    continue
                processes.remove(process)
                again = _ended(process, code, job, store, study_id, workers, left=len(processes))
                if again is not None:
                    processes.append(again)
            time.sleep(0.05)
    finally:
        _dismiss(processes)


def _start(job: Job, number: int, workers: int) -> Process:
    share = str(max(1, cores() // workers))
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)  # noqa: PTH109
    environment = {**os.environ, **dict.fromkeys(THREAD_LIMITS, share), "PYTHONPATH": path}
    log = tempfile.TemporaryFile()  # noqa: SIM115 (Process.close closes it)
    popen = subprocess.Popen(
        [sys.executable, "-m", "hpsearch.search"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env=environment,
    )
    process = Process(number, popen, log)
    assert popen.stdin is not None
    # One that is dead already will be found so by the loop.
    with contextlib.suppress(BrokenPipeError):
        popen.stdin.write(job.to_json().encode() + b"\n")
        popen.stdin.flush()
    return process


def _ended(
    process: Process, code: int, job: Job, store: Store, study_id: int, workers: int, *, left: int
) -> Process | None:
    """Deal with a process that has ended: its successor if it is to have one."""
    answer, words = process.answer(), process.last_words()
    process.close()
    if code == 0:
        return None
    if code == 130:
        raise KeyboardInterrupt
    if "error" in answer:
        raise WorkerError(str(answer["error"]), int(str(answer.get("status", 1))))
    end = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
    store.record_event(
        "worker-crashed",
        f"worker {process.number} (pid {process.popen.pid}) ended with {end}",
        traceback=words or None,
        study_id=study_id,
        run_id=job.run_id,
        worker=str(process.popen.pid),
    )
    if process.deaths < RESTARTS:
        successor = _start(job, process.number, workers)
        successor.deaths = process.deaths + 1
        return successor
    if left:
        return None
    last = f": {store.redact(words.splitlines()[-1])}" if words else ""
    raise HpsearchError(
        f"The last worker ended with {end} after {RESTARTS} restarts{last}; "
        "finished trials are kept, run the same command again to go on."
    )


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
