"""Files that appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from hpsearch.core.home import remove
from hpsearch.errors import InputError

if TYPE_CHECKING:
    pass


def write_atomically(path: Path, content: str | bytes) -> None:
    """The whole file or none of it. Raises InputError where it cannot be written.

    What is no plain file (a pipe, /dev/null) is written to and stays what it is, and so does a
    link to a file.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        with atomic_path(path) as unfinished:
            unfinished.write_bytes(data)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}.") from error


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that is at `path` only after the block ended well. Raises InputError where it
    cannot be written."""
    try:
        with atomic_path(path) as unfinished, unfinished.open("wb") as file:
            yield file
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}.") from error


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A new empty file beside `path` for the block to fill. It replaces `path` if all goes well.

    The new file is never a file or a link that existed before. It keeps the mode of the file that
    it replaces, or has the mode that the user's umask gives, whoever fills it. Unfinished files
    that killed processes left here are removed. OSError passes.
    """
    target = path.resolve()
    remove_unfinished(target)
    unfinished = target.with_name(_unfinished_name(target.name))
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    os.close(os.open(unfinished, flags, 0o666))
    try:
        mode = stat.S_IMODE((target if target.is_file() else unfinished).stat().st_mode)
        yield unfinished
        unfinished.chmod(mode)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """`atomic_path` of a folder that is not there yet."""
    remove_unfinished(folder)
    unfinished = folder.with_name(_unfinished_name(folder.name))
    unfinished.mkdir()
    try:
        yield unfinished
        unfinished.replace(folder)
    finally:
        remove(unfinished, within=unfinished.parent)


UNFINISHED = re.compile(r"\.(?P<host>[0-9a-f]{8})-(?P<pid>[0-9]+)-[0-9a-f]{12}\.part")
SURELY_DEAD_S, LONG_AGO_S = 600, 86_400
"""After so long what a dead process of this machine left is removed, or one of another machine."""


def _unfinished_name(name: str) -> str:
    """Long names are cut: with the ending they could be longer than a file system allows."""
    return f".{name[:60]}.{_host()}-{os.getpid()}-{secrets.token_hex(6)}.part"


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def remove_unfinished(target: Path) -> None:
    """Remove what killed processes left beside `target` when they wrote it."""
    start = f".{target.name[:60]}."
    with suppress(OSError), os.scandir(target.parent) as entries:
        for entry in entries:
            if entry.name.startswith(start) and is_unfinished(Path(entry.path), len(start) - 1):
                remove(Path(entry.path), within=target.parent)


def unfinished_files(folder: Path) -> list[Path]:
    """All that killed processes left unfinished in the folder and those below it."""
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        here = [Path(place, name) for name in (*folders, *names) if UNFINISHED.search(name)]
        found += [path for path in here if is_unfinished(path)]
        folders[:] = [name for name in folders if not UNFINISHED.search(name)]
    return found


def is_unfinished(path: Path, start: int = 0) -> bool:
    """Whether `path` is a file or folder that nobody fills any more."""
    found = UNFINISHED.fullmatch(path.name, start) if start else UNFINISHED.search(path.name)
    if found is None or found.end() != len(path.name):
        return False
    try:
        age = time.time() - path.lstat().st_mtime
    except OSError:  # another process has just removed or finished it
        return False
    if found["host"] != _host():
        return age > LONG_AGO_S
    return age > SURELY_DEAD_S and not _lives(int(found["pid"]))


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # of another user
        return True
    return True


def check_writable(path: Path) -> None:
    """Raises InputError where `write_atomically` would: to be asked before long work."""
    folder = path.resolve().parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        why = "it is a folder" if path.is_dir() else f"{folder} is no folder that can be written to"
        raise InputError(f"{path} cannot be written: {why}.")
