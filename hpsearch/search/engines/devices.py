"""Which devices the workers of a run train on, and how many workers there are."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from hpsearch.core.environment import cores, default_device
from hpsearch.errors import InputError
from hpsearch.extras import require

AUTO = "auto"
"""Whichever is faster."""
DEVICE = re.compile(r"cpu|(cuda|mps)(:\d+)?")


def choose(
    workers: int | None, devices: Sequence[str] | None, trials: int
) -> tuple[int, tuple[str, ...]]:
    """(how many workers, the devices they take in turn).

    By default every GPU there is and one worker on each; without a GPU a worker for each core. More
    workers than trials are never started. Raises InputError for a device that is not there.
    """
    chosen = tuple(devices) if devices and tuple(devices) != (AUTO,) else _all_devices()
    for device in chosen:
        check_device(device)
    if AUTO in chosen:
        raise InputError("--devices auto stands alone: name either devices or auto.")
    if workers is None:
        workers = cores() if chosen == ("cpu",) else len(chosen)
        workers = max(1, min(workers, trials))
    return workers, chosen


def are_open(devices: Sequence[str] | None) -> bool:
    """Whether there are two kinds of devices, and nobody has said which it is to be."""
    if tuple(devices or (AUTO,)) != (AUTO,) or os.environ.get("HPSEARCH_DEVICE"):
        return False
    return default_device() == "cuda"


def _all_devices() -> tuple[str, ...]:
    device = default_device()
    if device != "cuda":
        return (device,)
    import torch

    count = torch.cuda.device_count()
    return (device,) if count < 2 else tuple(f"cuda:{i}" for i in range(count))


def check_device(device: str, option: str = "--devices") -> None:
    """Raises InputError for what is no device, or is not there; "auto" is fine."""
    if device == AUTO:
        return
    if not DEVICE.fullmatch(device):
        raise InputError(f"{option} {device} is no device: write auto, cpu, cuda or cuda:1.")
    if device.startswith("cuda"):
        require("torch")
        import torch

        count = torch.cuda.device_count()
        if int(device.partition(":")[2] or 0) >= count:
            there = f"has cuda:0 to cuda:{count - 1}" if count else "has no GPU that torch can use"
            raise InputError(f"{option} {device} is not there: this machine {there}.")
