"""Stages that trials share, built once and kept on disk under a hash of what determines them."""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hpsearch.core.files import atomic_folder
from hpsearch.core.home import STAGES, below, is_plain, remove
from hpsearch.core.locks import lock_file
from hpsearch.errors import HpsearchError, InputError


def cached_stage(kind: str, key: Mapping[str, Any], build: Callable[[Path], None]) -> Path:
    """The folder of the stage `kind` for `key`; `build(folder)` fills it if it is not there.

    Two processes that want the same stage wait for one. A build that fails or is killed leaves
    nothing behind under the final name.
    """
    text = json.dumps(key, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()[:20]
    folder = stage_folder(f"{kind}-{digest}")
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with lock_file(folder.with_name(f"{folder.name}.lock")):
            if not folder.is_dir():
                _build(folder, text, build)
    except OSError as error:
        raise HpsearchError(
            f"The cache folder {folder.parent} cannot be written: {error.strerror or error}; "
            "free some space, or set HPSEARCH_HOME to another folder."
        ) from error
    return folder


def stage_folder(name: str) -> Path:
    """Where the stage of that name (its kind and the hash of its key) lies on this machine.

    Raises InputError for what is no such name."""
    return below(STAGES, name)


def stage_files(name: str) -> dict[str, bytes]:
    """What is in a stage: path in its folder -> content, to `install_stage` elsewhere."""
    folder = stage_folder(name)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def install_stage(name: str, files: Mapping[str, bytes]) -> None:
    """Put a stage that was built on another machine into this one's cache, unless it is there.

    Raises InputError, before anything is written, where a file would lie outside the stage."""
    folder = stage_folder(name)
    for path in files:
        if not all(map(is_plain, path.split("/"))):
            raise InputError(f"{path!r} cannot be a file of the stage {name} in {folder.parent}.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with lock_file(folder.with_name(f"{folder.name}.lock")):
        if folder.is_dir():
            return
        with _appearing(folder) as unfinished:
            for path, content in files.items():
                (unfinished / path).parent.mkdir(parents=True, exist_ok=True)
                (unfinished / path).write_bytes(content)


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
    with _appearing(folder) as unfinished:
        build(unfinished)
        (unfinished / "key.json").write_text(key, encoding="utf-8")


@contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `folder` at the end of the block, or nothing.

    The caller holds the stage's lock, so what others left unfinished is of processes that were
    killed.
    """
    for left in folder.parent.glob(f".{glob.escape(folder.name)}.*.part"):
        remove(left)
    with atomic_folder(folder) as unfinished:
        yield unfinished
