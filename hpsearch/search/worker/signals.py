"""Signals and limits end a training at any moment, but never the bookkeeping around it."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

HANGUP = getattr(signal, "SIGHUP", None)
"""What a terminal sends when it is closed, or the connection to it is cut."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, *([] if HANGUP is None else [HANGUP]))
WAKE = getattr(signal, "SIGUSR1", None)
"""What `interrupt` wakes the main thread with, also out of a system call."""


class Stopper:
    """While entered, SIGINT (Ctrl-C), SIGTERM and SIGHUP (a closed terminal) raise
    KeyboardInterrupt.

    A signal that arrives inside `shielded` raises it at the end of that block: so a trial is either
    told or put back, and no transaction is cut in two. A second Ctrl-C raises it at once, for a
    database that never answers. Outside the main thread Python allows no handlers, so there a
    Stopper changes nothing.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._stopping = False
        self._pending = False
        self._error: Exception | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stopper:
        if threading.current_thread() is threading.main_thread():
            for one in SIGNALS:
                if one == HANGUP and signal.getsignal(one) == signal.SIG_IGN:
                    continue  # nohup: the work is to go on
                self._before[one] = signal.signal(one, self._handle)
            if WAKE is not None:
                self._before[WAKE] = signal.signal(WAKE, self._awake)
        return self

    def __exit__(self, *_: object) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)
        self._before = {}

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if number == HANGUP:
            _print_nowhere()
        again = self._stopping
        self._stopping = True
        if again and number != signal.SIGINT:
            return
        if self._depth and not again:
            self._pending = True
            return
        raise KeyboardInterrupt

    def _awake(self, _number: int, _frame: FrameType | None) -> None:
        if not self._depth:
            self._raise_error()

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """Let no signal interrupt the block; one that came is raised after it."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if not self._depth and self._pending:
                self._pending = False
                raise KeyboardInterrupt
        if not self._depth:
            self._raise_error()

    def interrupt(self, error: Exception) -> None:
        """Raise `error` in the main thread, from another one: at once, or where a shield ends.

        Where this object handles no signals (see above) only the end of a shield raises it.
        """
        self._error = error
        main = threading.main_thread().ident
        if self._before and WAKE is not None and main is not None:
            signal.pthread_kill(main, WAKE)

    def forget(self) -> None:
        """Drop an error that `interrupt` was given and that was not raised yet."""
        self._error = None

    def stop(self) -> None:
        """Stop from another thread of this process, as a first SIGTERM would."""
        os.kill(os.getpid(), signal.SIGTERM)


def _print_nowhere() -> None:
    """Send what is printed to nowhere: the terminal is gone, and a failed print must not end the
    bookkeeping."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            if stat.S_ISCHR(os.fstat(descriptor).st_mode):  # a closed one is no terminal by isatty
                os.dup2(nowhere, descriptor)
    os.close(nowhere)
