"""Whether the data of one's own function is still the same: a digest of its file or folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hpsearch.data.cache.fingerprints import content_key, read_fingerprint, write_fingerprint
from hpsearch.errors import InputError


def data_fingerprint(path: Path | None) -> str:
    """A hex digest of a file's content, or of the names and sizes of what is in a folder.

    Raises:
        InputError: There is nothing at the path, or it cannot be read.
    """
    if path is None:
        return hashlib.sha256(b"no data").hexdigest()
    try:
        if path.is_dir():
            files = sorted(one for one in path.rglob("*") if one.is_file())
            listed = [f"{one.relative_to(path).as_posix()} {one.stat().st_size}" for one in files]
            return hashlib.sha256("\n".join(listed).encode()).hexdigest()
        key = content_key([path], "function")
        if (known := read_fingerprint(key)) is not None:
            return known
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(
            f"The data {path} cannot be read: {error.strerror or error}; correct path in [data], "
            "or give --data."
        ) from error
    write_fingerprint(key, found)
    return found
