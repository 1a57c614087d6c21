"""Workers as processes of this machine, with cores and devices divided among them."""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hpsearch.errors import HpsearchError
from hpsearch.search.engines.worker_growth import Growth
from hpsearch.search.processes import Process, _stop, launch, stopping
from hpsearch.search.speed.gpu_sharing import EXIT_GPU_FULL, MOST
from hpsearch.search.worker.workload import Workload
from hpsearch.store import summaries
from hpsearch.store.queue.fence import StudyRef
from hpsearch.store.tables.optuna_tables import FINISHED

RESTARTS = 3
"""A worker that dies is started again so many times in a row; a trial finished by any worker in the
meantime says that it is worth going on."""


INTERRUPTED = 130


class WorkerError(HpsearchError):
    """A worker ended the run for a reason that it told."""

    def __init__(self, message: str, exit_status: int) -> None:
        super().__init__(message)
        self.exit_status = exit_status


@contextlib.contextmanager
def prestarted(workers: int) -> Iterator[list[Process]]:
    """Start processes while their job is still being made; `send_trainer` comes first.

    `WorkerProcesses` takes processes from the list. Those that are left at the end have no job, and
    are killed: what was wrong with a run is not said only when they have imported all they need.
    """
    with stopping() as processes:
        try:
            for number in range(workers):
                processes.append(launch(number, workers))
            yield processes
        finally:
            for process in processes:
                process.popen.kill()


@dataclass
class WorkerProcesses:
    """The worker processes of a run, which take the `devices` in turn.

    The processes that are `prestarted` are taken before others are started. With `growth` more may
    be started. All get `environment` beside this process's own.
    """

    workload: Workload
    study: StudyRef
    devices: Sequence[str]
    prestarted: list[Process]
    growth: Growth | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    workers: int = 1
    over: bool = False
    processes: list[Process] = field(default_factory=list)

    def run(self, workers: int) -> None:
        """Start so many workers and wait until all have ended.

        A process that dies, or that somebody else stops, is recorded and started again, up to
        RESTARTS times in a row. Raises WorkerError for what a worker reports, HpsearchError if the
        last worker stays dead, and passes KeyboardInterrupt after every worker has put its trials
        back.
        """
        self.workers = workers
        try:
            for number in range(workers):
                self.start(number, measures=number == 0)
            while self.processes:
                for process in list(self.processes):
                    process.trim_log()
                    code = process.popen.poll()
                    if code is not None:
                        self.ended(process, code)
                self.grow()
                time.sleep(0.05)
        finally:
            _stop(self.processes)

    def grow(self) -> None:
        """Start or stop workers until there are as many as `growth` wants, and tell all of them."""
        if self.growth is None or self.over or not self.processes:
            return
        staying = [one for one in self.processes if not one.leaving]
        wanted = self.growth.look(len(staying))
        for process in staying[wanted:]:
            process.send(json.dumps({"leave": True}))
            process.leaving = True
        taken = {one.number for one in self.processes}
        free = (number for number in itertools.count() if number not in taken)
        for _ in range(wanted - len(staying)):
            self.start(next(free))
        self._send_gpu_sharing()

    def _send_gpu_sharing(self) -> None:
        """Send each worker how many share its GPU, where that has changed."""
        if not self.devices[0].startswith("cuda"):
            return
        slowdowns = self.growth.climb.slowdowns() if self.growth else {}
        each = -(-len(self.processes) // len(self.devices))
        line = json.dumps({"workers": each, "slowdowns": slowdowns})
        for process in self.processes:
            if process.sent != line:
                process.send(line)
                process.sent = line

    def start(self, number: int, *, measures: bool = False) -> Process:
        device = self.devices[number % len(self.devices)]
        if self.prestarted:
            process = self.prestarted.pop(0)
        else:
            process = launch(number, self._share(), environment=self.environment)
            process.send_trainer(self.workload.trainer.__name__)
        self.processes.append(process)
        process.send(replace(self.workload.job, device=device, measures=measures).to_json())
        self._send_gpu_sharing()
        return process

    def _share(self) -> int:
        """How many workers the cores are divided among: the most workers that the run may have. So
        a worker's share of the cores never changes."""
        return self.workers if self.growth is None else MOST * len(self.devices)

    def ended(self, process: Process, code: int) -> None:
        """Deal with a process that has ended, and start its successor if it is to have one."""
        answer, words = process.read_answer(), process.log_tail()
        self.processes.remove(process)
        process.close()
        if code == 0:
            # If nobody asked this worker to leave, it found no more trials, or the run's time or
            # goal is reached. A new worker would find the same, even if trials wait.
            self.over = self.over or not process.leaving
            return
        if (
            code == EXIT_GPU_FULL
        ):  # too many for the GPU's memory; its trial waits for another worker
            if self.growth is not None:
                self.growth.lower(len(self.processes))
            if not self.processes:
                self.start(process.number)
            self._send_gpu_sharing()
            return
        if "error" in answer:
            raise WorkerError(str(answer["error"]), int(str(answer.get("status", 1))))
        end = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        if code == INTERRUPTED:  # it alone: Ctrl-C and SIGTERM end the run through this process
            end = "SIGTERM or SIGINT, its trial put back"
        self.workload.store.record_event(
            "worker-crashed",
            f"worker {process.number} (pid {process.popen.pid}) ended with {end}",
            traceback=words or None,
            study=self.study,
            run_id=self.workload.job.run_id,
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
            last = f": {self.workload.store.redact(words.splitlines()[-1])}" if words else ""
            raise HpsearchError(
                f"The last worker ended with {end} after {RESTARTS} restarts{last}; "
                "finished trials are kept, run the same command again to go on."
            )

    def _finished(self) -> int:
        counts = self.workload.store.retry(
            summaries.states,
            self.workload.store.engine,
            self.study.study_id,
            self.workload.job.run_id,
        )
        return sum(counts.get(state, 0) for state in FINISHED)
