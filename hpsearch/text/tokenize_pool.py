"""Tokenising in processes of their own: fresh ones, which know neither torch nor its threads.

They are started as commands rather than by multiprocessing: a fork would copy torch's locks, and
a spawn would run the user's script again. Requests and answers are pickles in their pipes.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import IO

from hpsearch.errors import HpsearchError, InputError
from hpsearch.text.tokenize import Chunk, Tokenizer

_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def encode_elsewhere(name: str, chunks: Iterable[list[str]], processes: int) -> Iterator[Chunk]:
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
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)  # noqa: PTH109
        self._popen = subprocess.Popen(  # noqa: S603
            # -P: what lies in the current folder hides no module.
            [sys.executable, "-P", "-m", "hpsearch.text.tokenize_pool", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **dict.fromkeys(_LIMITS, "1"), "PYTHONPATH": path},
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


def serve(name: str) -> None:
    """Answer each list of texts from standard input until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to deal with
    with os.fdopen(os.dup(0), "rb") as requests, os.fdopen(os.dup(1), "wb") as answers:
        # The user's function may print or read: not in our pipes.
        with open(os.devnull) as nothing:  # noqa: PTH123
            os.dup2(nothing.fileno(), 0)
        os.dup2(2, 1)
        told = 0
        tokenizer: Tokenizer | None = None
        while texts := _request(requests):
            answer: object
            try:
                tokenizer = tokenizer or Tokenizer(name)
                strings, ids, lengths = tokenizer.encode_here(texts)
                answer = (strings[told:], ids, lengths)
                told = len(strings)
            except InputError as error:
                answer = str(error)
            pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
            answers.flush()


def _request(requests: IO[bytes]) -> list[str] | None:
    try:
        texts: list[str] = pickle.load(requests)  # noqa: S301 (from our own process)
    except EOFError:
        return None
    return texts


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):  # the parent is gone
        serve(sys.argv[1])
