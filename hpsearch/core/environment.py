"""What a trial runs in: device, cores, threads, memory, versions, commit."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from hpsearch.errors import InputError
from hpsearch.extras import is_installed

STATUS = Path("/proc/self/status")

PACKAGES = ("hpsearch", "torch", "optuna", "numpy", "scikit-learn", "pandas", "spacy")


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_device() -> str:
    """HPSEARCH_DEVICE, or the GPU if there is one.

    Torch, which takes seconds to import, is asked only where a driver suggests a GPU; where there
    is no torch, nothing trains on one. Raises InputError if HPSEARCH_DEVICE names no device.
    """
    if chosen := os.environ.get("HPSEARCH_DEVICE"):
        if not re.fullmatch(r"cpu|(cuda|mps)(:\d+)?", chosen):
            raise InputError(
                f"HPSEARCH_DEVICE is {chosen!r}, which is no device: set it to cpu, cuda or cuda:1."
            )
        return chosen
    if not any(Path(path).exists() for path in ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")):
        return "cpu"
    if not is_installed("torch"):
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def threads() -> int:
    """How many threads the trainer's products use in this process."""
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        return int(torch.get_num_threads())
    chosen = os.environ.get("OMP_NUM_THREADS", "")
    return int(chosen) if chosen.isdigit() else cores()


def processor() -> str:
    """The processor's name and how many of its cores this process may use."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        name = next(named, name)
    except OSError:
        pass
    return f"{name}, {cores()} cores"


@cache
def versions() -> dict[str, str]:
    """The versions of what can change a result."""
    found = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor(),
    }
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


@cache
def git_commit() -> str | None:
    """The commit of the checkout that hpsearch runs from, with a + if it was changed since."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None
    command = ["git", "-C", str(folder)]
    try:
        head = _output([*command, "rev-parse", "HEAD"])
        changed = _output([*command, "status", "--porcelain", "--untracked-files=no"])
    except (OSError, subprocess.SubprocessError):
        return None
    return head + ("+" if changed else "")


def _output(command: list[str]) -> str:
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=5)  # noqa: S603
    return run.stdout.strip()


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
