"""Fingerprints of files that were read before, so that ten million rows are hashed once.

A fingerprint is kept in HPSEARCH_HOME under the path, size, times of change and inode of every
file that it depends on, and the versions of what read them: where any differs, there is none.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from hpsearch.core.files import write_atomically
from hpsearch.core.home import FINGERPRINTS, home

READERS = ("hpsearch", "pyarrow", "pandas")
FORMAT = 2  # goes up when a reader makes something else of the same file
SETTLED_S = 2.0
"""So old must a change be: of two within a tick of the file system's clock the second is unseen."""


def content_key(files: Sequence[Path], what: str) -> str | None:
    """What names the present content of `files` as it is read for `what`; None where one is
    missing, or changed a moment ago."""
    facts = []
    for file in files:
        try:
            found = file.stat()
        except OSError:
            return None
        if time.time() - found.st_ctime < SETTLED_S:
            return None
        times = found.st_mtime_ns, found.st_ctime_ns  # the first can be set at will, as by cp -p
        facts.append([str(file.resolve()), found.st_size, *times, found.st_dev, found.st_ino])
    key = json.dumps([FORMAT, what, facts, [version(one) for one in READERS]])
    return hashlib.sha256(key.encode()).hexdigest()


def read_fingerprint(key: str | None) -> str | None:
    """The fingerprint that was kept for a key."""
    if key is None:
        return None
    try:
        text = _place(key).read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return None
    return text if len(text) == hashlib.sha256().digest_size * 2 else None


def write_fingerprint(key: str | None, fingerprint: str) -> None:
    """Keep a fingerprint for a key; without a key, or a place to write, nothing happens."""
    if key is None:
        return
    with suppress(OSError):
        _place(key).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(_place(key), fingerprint)


def _place(key: str) -> Path:
    return home() / FINGERPRINTS / key[:40]
