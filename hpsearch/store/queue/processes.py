"""Which process on which machine does something, and whether that process still lives."""

from __future__ import annotations

import hashlib
import os
import socket
import uuid
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Worker:
    """A process that takes trials; `machine` says where its `pid` means something."""

    name: str
    machine: str
    host: str
    pid: int


@cache
def machine() -> str:
    """A name for the set of processes whose pids can be compared with ours.

    Two containers may share a host name and even a boot, but not a namespace of pids.
    """
    parts = [socket.gethostname()]
    try:
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        parts.append(str(uuid.getnode()))
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:32]


def this_worker(name: str = "main") -> Worker:
    return Worker(name, machine(), socket.gethostname()[:255], os.getpid())


def is_dead(where: str | None, pid: int | None) -> bool:
    """Whether the process is certainly gone; of another machine nobody can say."""
    if where != machine() or pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Dead already, but its parent has not looked yet."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[:1] == ["Z"]
