"""Ctrl-C and SIGTERM: they end a training at any moment, but never the bookkeeping around it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopper:
    """While entered, SIGINT and SIGTERM raise KeyboardInterrupt, inside `shielded` only at its end.

    So a trial is either told or put back, and a transaction is never cut in two. A second Ctrl-C
    breaks the shield, for a database that never answers. Outside the main thread, where Python
    allows no handlers, it changes nothing.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._stopping = False
        self._pending = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stopper:
        if threading.current_thread() is threading.main_thread():
            self._before = {one: signal.signal(one, self._handle) for one in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)
        self._before = {}

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        again = self._stopping
        self._stopping = True
        if again and number != signal.SIGINT:
            return
        if self._depth and not again:
            self._pending = True
            return
        raise KeyboardInterrupt

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

    def stop(self) -> None:
        """Stop from another thread of this process, as a first SIGTERM would."""
        os.kill(os.getpid(), signal.SIGTERM)
