"""Stages that trials share, built once and kept on disk under a hash of what determines them."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from hpsearch.data import home
from hpsearch.errors import HpsearchError


def cached_stage(kind: str, key: Mapping[str, Any], build: Callable[[Path], None]) -> Path:
    """The folder of the stage `kind` for `key`; `build(folder)` fills it if it is not there.

    Two processes that want the same stage wait for one. A build that fails or is killed leaves
    nothing behind under the final name.
    """
    text = json.dumps(key, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()[:20]
    folder = home() / "stages" / f"{kind}-{digest}"
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not folder.is_dir():
                _build(folder, text, build)
    except OSError as error:
        raise HpsearchError(
            f"The cache folder {folder.parent} cannot be written: {error.strerror or error}; "
            "free some space, or set HPSEARCH_HOME to another folder."
        ) from error
    return folder


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Around reading a stage's files: HpsearchError if one is missing or damaged."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise HpsearchError(
            f"The cached files in {folder} cannot be read ({type(error).__name__}); "
            "delete that folder and they are made again."
        ) from error


def _build(folder: Path, key: str, build: Callable[[Path], None]) -> None:
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        build(unfinished)
        (unfinished / "key.json").write_text(key, encoding="utf-8")
        unfinished.replace(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
