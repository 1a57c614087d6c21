"""Locks on files, which processes hold against each other."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.core.home import home_error

if TYPE_CHECKING:
    from filelock import FileLock

    from hpsearch.core.console import Say


def lock_file(path: Path, timeout_s: float = -1) -> FileLock:
    """A lock on the file `path`. All users who may write to its folder may take the lock.

    It does not matter who made the file. The lock is free when the process that holds it ends, in
    any way. `timeout_s` -1 waits for ever. Raises OSError where the folder is not there.
    """
    from filelock import FileLock

    mode = stat.S_IMODE(path.parent.stat().st_mode) & 0o666
    return FileLock(path, timeout=timeout_s, mode=mode | 0o600)


@contextmanager
def lock(folder: Path, name: str, what: str, say: Say) -> Iterator[None]:
    """Hold `name` against other processes; the one that comes second waits, and says so."""
    from filelock import Timeout

    try:
        guard = lock_file(folder / f"{name}.lock")
        try:
            guard.acquire(timeout=0)
        except Timeout:
            say(f"Another process is getting {what}: waiting for it.")
            guard.acquire()
    except OSError as error:
        raise home_error(folder, error) from error
    try:
        yield
    finally:
        guard.release()
