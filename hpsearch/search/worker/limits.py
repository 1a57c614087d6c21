"""How long a trial may take and how much memory its worker may use."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import threading
import time
from collections.abc import Iterator
from types import TracebackType

from hpsearch.core.environment import own_memory
from hpsearch.errors import HpsearchError
from hpsearch.search.job import Limits
from hpsearch.search.worker.signals import Stopper

LOOK_S = 0.1


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


def limit_gpu(device: str, memory: int | None) -> None:
    """Let this process use at most `memory` bytes of a GPU; None lets it use all.

    Above the limit torch raises its out-of-memory error. On a device that is no GPU this does
    nothing.
    """
    if not device.startswith("cuda"):
        return
    import torch

    index = torch.device(device).index
    index = torch.cuda.current_device() if index is None else index
    total = torch.cuda.get_device_properties(index).total_memory
    fraction = 1.0 if memory is None else min(memory / total, 1.0)
    torch.cuda.set_per_process_memory_fraction(fraction, index)


def gpu_memory(device: str) -> tuple[int, int] | None:
    """(the most bytes of the GPU that this process held, how many it could have now); None where
    torch finds no GPU."""
    import torch

    if not torch.cuda.is_available():
        return None
    free, _ = torch.cuda.mem_get_info(device)
    held = torch.cuda.memory_reserved(device)
    return torch.cuda.max_memory_reserved(device), free + held


def free_memory(device: str = "cpu") -> None:
    """Give back the memory of an earlier trial. Until then it counts against the limits.

    `device` is the trials'.
    """
    gc.collect()
    if device.startswith("cuda"):
        import torch

        torch.cuda.empty_cache()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
