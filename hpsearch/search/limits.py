"""How long a trial may take and how much memory its worker may use."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from hpsearch.errors import HpsearchError, InputError
from hpsearch.search.stopping import Stopper

LOOK_S = 0.1
STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Limits:
    """Of one trial: seconds, and bytes of its worker's own memory (files it maps do not count), and
    as many of its GPU's.

    With `halve_batch` a trial that ran out of memory is trained once more with half of its batch.
    """

    seconds: float | None = None
    memory: int | None = None
    halve_batch: bool = False

    def check(self) -> None:
        """Raises InputError for what cannot be kept."""
        if self.seconds is not None and not self.seconds > 0:
            raise InputError(
                f"--trial-timeout {self.seconds:g} is not possible: give a time above zero."
            )
        if self.memory is not None and self.memory <= 0:
            raise InputError(f"--trial-memory {self.memory} is not possible: give 4G or 500M.")
        if self.memory is not None and own_memory() is None:
            raise InputError("--trial-memory needs Linux, which tells how much a process uses.")


class TrialTimeoutError(HpsearchError):
    """The trial took longer than it may."""


class TrialMemoryError(HpsearchError, MemoryError):
    """The trial's worker uses more memory than it may."""


class Guard:
    """While entered, ends the trial that begins with `trial()` when it passes a limit."""

    def __init__(self, stop: Stopper, limits: Limits, device: str = "cpu") -> None:
        self._stop = stop
        self._limits = limits
        self._device = device
        self._began: float | None = None
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="hpsearch-limits", daemon=True)

    def __enter__(self) -> Guard:
        if self._limits.seconds is not None or self._limits.memory is not None:
            self._thread.start()
        if self._limits.memory is not None:
            limit_gpu(self._device, self._limits.memory)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        if self._limits.memory is not None:
            limit_gpu(self._device, None)

    @contextlib.contextmanager
    def trial(self) -> Iterator[None]:
        """The limits hold for this block; TrialTimeoutError or TrialMemoryError ends it."""
        if self._limits.memory is not None:
            free_memory(self._device)
        self._began = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._began = None
            self._stop.forget()

    def _follow(self) -> None:
        while not self._end.wait(LOOK_S):
            with self._lock:
                error = None if self._began is None else self._passed(self._began)
                if error is not None:
                    self._began = None
                    self._stop.interrupt(error)

    def _passed(self, began: float) -> HpsearchError | None:
        seconds, memory = self._limits.seconds, self._limits.memory
        if seconds is not None and time.monotonic() - began > seconds:
            return TrialTimeoutError(f"took longer than the {seconds:g} s of --trial-timeout")
        if memory is not None and (used := own_memory() or 0) > memory:
            return TrialMemoryError(
                f"its worker used {used / 1e9:.2f} GB, more than the {memory / 1e9:.2f} GB "
                "of --trial-memory"
            )
        return None


def own_memory() -> int | None:
    """Bytes in memory that are this process's own, without those of mapped files; None if the
    system does not say."""
    try:
        for line in STATUS.read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def limit_gpu(device: str, memory: int | None) -> None:
    """Let this process have so many bytes of a GPU; None: all. What is more fails in torch as out
    of memory. Nothing where the device is no GPU."""
    if not device.startswith("cuda"):
        return
    import torch

    index = torch.device(device).index
    index = torch.cuda.current_device() if index is None else index
    total = torch.cuda.get_device_properties(index).total_memory
    fraction = 1.0 if memory is None else min(memory / total, 1.0)
    torch.cuda.set_per_process_memory_fraction(fraction, index)


def free_memory(device: str = "cpu") -> None:
    """Give back what an earlier trial used: the system, or the GPU's limit, counts it until then.

    `device` is the trials'.
    """
    gc.collect()
    if device.startswith("cuda"):
        import torch

        torch.cuda.empty_cache()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
