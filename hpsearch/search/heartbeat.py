"""A worker's sign of life, from a thread that no database error ends."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from types import TracebackType

from hpsearch.store import Store


class Heartbeat:
    """While entered, records every `interval_s` that the trials given to `watch` are being run.

    Optuna's own thread ends at the first error, and the trial is then taken for dead.
    """

    def __init__(self, store: Store, interval_s: float) -> None:
        self._store = store
        self._interval_s = interval_s
        self._trial_ids: Sequence[int] = ()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="hpsearch-heartbeat", daemon=True)

    def watch(self, trial_ids: Sequence[int]) -> None:
        self._trial_ids = trial_ids

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
            for trial_id in self._trial_ids:
                # Whatever it is, the next beat may succeed; a trial is stale only after several.
                with contextlib.suppress(Exception):
                    self._store.optuna.record_heartbeat(trial_id)
        with contextlib.suppress(Exception):
            self._store.optuna.remove_session()
