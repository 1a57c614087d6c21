"""Tokenising in processes of their own: fresh ones, which know neither torch nor its threads.

They are started as commands rather than by multiprocessing: a fork would copy torch's locks, and
a spawn would run the user's script again. Requests and answers are pickles in their pipes.
"""

from __future__ import annotations

import json
import pickle
import queue
import signal
import subprocess
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from hpsearch.core import own_code
from hpsearch.core.child_processes import python_command, python_environment
from hpsearch.errors import HpsearchError, InputError

Ids = npt.NDArray[np.int32]
Lengths = npt.NDArray[np.int64]
Chunk = tuple[list[str], Ids, Lengths]
"""(the strings of the ids, which may grow later; ids of all tokens of some texts; tokens a text)"""
_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def encode_in_processes(name: str, chunks: Iterable[list[str]], processes: int) -> Iterator[Chunk]:
    """The chunks in their order, each encoded by a process with a `Tokenizer(name)`.

    Closing the iterator ends the processes. Raises what the tokenizer raises (InputError), and
    HpsearchError when a process dies.
    """
    idle: queue.SimpleQueue[_Process] = queue.SimpleQueue()
    started: list[_Process] = []

    def encode(chunk: list[str]) -> Chunk:
        process = idle.get()
        try:
            return process.encode(chunk)
        finally:
            idle.put(process)

    pool = ThreadPoolExecutor(processes, thread_name_prefix="tokenise")
    try:
        for _ in range(processes):
            started.append(_Process(name))
            idle.put(started[-1])
        waiting = deque(pool.submit(encode, chunk) for chunk in chunks)
        while waiting:
            yield waiting.popleft().result()
    finally:
        for process in started:
            process.end()
        pool.shutdown(cancel_futures=True)
        for process in started:
            process.close()


class _Process:
    """One process; `strings` are those of its ids, as far as it has told."""

    def __init__(self, name: str) -> None:
        self.strings: list[str] = []
        self._popen = subprocess.Popen(  # noqa: S603
            python_command(
                "hpsearch.trainers.text.tokens.tokenize_worker",
                name,
                json.dumps(own_code.allowed()),
            ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=python_environment(**dict.fromkeys(_LIMITS, "1")),
        )

    def encode(self, texts: list[str]) -> Chunk:
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        try:
            pickle.dump(texts, self._popen.stdin, pickle.HIGHEST_PROTOCOL)
            self._popen.stdin.flush()
            answer = pickle.load(self._popen.stdout)  # noqa: S301 (from our own process)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError) as error:
            raise HpsearchError(
                f"A process that tokenises texts ended with {_end(self._popen.wait())} before its "
                "work was done: see that there is memory to spare, and run it again."
            ) from error
        if isinstance(answer, str):
            raise InputError(answer)
        strings, ids, lengths = answer
        self.strings += strings
        return self.strings, ids, lengths

    def end(self) -> None:
        self._popen.kill()
        self._popen.wait()

    def close(self) -> None:
        """Close the pipes, when no thread waits on them any more."""
        for pipe in (self._popen.stdin, self._popen.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except OSError:  # what was not written yet can not be written any more
                continue


def _end(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
