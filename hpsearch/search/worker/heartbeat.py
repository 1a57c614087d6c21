"""A worker's sign of life, from a thread that no database error ends."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from types import TracebackType

from hpsearch.store import Store
from hpsearch.store.queue import queue
from hpsearch.store.queue.fence import Claim


class Heartbeat:
    """While entered, records every `interval_s` that the trials given to `watch` are being run.

    This replaces Optuna's own thread for two reasons. Optuna's thread ends at the first error, and
    the trial then counts as dead. It would also record the beat if somebody else has the trial's
    number by now.
    """

    def __init__(self, store: Store, interval_s: float) -> None:
        self._store = store
        self._interval_s = interval_s
        self._claims: Sequence[Claim] = ()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="hpsearch-heartbeat", daemon=True)

    def watch(self, claims: Sequence[Claim]) -> None:
        self._claims = tuple(claims)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=5)

    def _beat(self) -> None:
        while not self._stop.wait(self._interval_s):
            # After any error the next beat may succeed. Only several lost beats make a trial stale.
            with contextlib.suppress(Exception):
                queue.beat(self._store.engine, self._claims)
