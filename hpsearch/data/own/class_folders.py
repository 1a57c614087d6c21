"""Labelled texts as files: one folder a class, in a folder or a zip, also below train and test."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from hpsearch.core.words import short_reason
from hpsearch.data.own.labelled_texts import SPLITS, Columns, labelled_texts
from hpsearch.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from hpsearch.data.own.bad_rows import BadRows

SUFFIXES = (".txt", ".text", ".md")
LARGEST = 1 << 26  # bytes of one text; an archive may claim anything
COLUMNS = Columns(split="split")


def has_class_folders(path: Path) -> bool:
    """Whether `path` holds texts in two or more folders, each of which may be a class."""
    try:
        return len({label for _, label, _ in _places(path)}) > 1
    except (InputError, OSError):
        return False


def read_class_folders(path: Path, bad: BadRows) -> tuple[pa.Table, str | None]:
    """(table of text, label and split in the order of the files' names, what to tell the user).

    Raises InputError for a file that cannot be read or is not UTF-8, and as `labelled_texts` does.
    """
    import pyarrow as pa

    rows = [(_text(name, content), label, split) for name, label, split, content in _files(path)]
    names = ("text", "label", "split")
    raw = pa.table(
        {name: list(cells) for name, cells in zip(names, zip(*rows, strict=True), strict=True)}
    )
    return labelled_texts(raw, COLUMNS, path, bad)


def _files(path: Path) -> Iterator[tuple[str, str, str, bytes]]:
    """(name, class, split, content) of each text, in the order of the names."""
    try:
        if path.is_dir():
            for name, label, split in _places(path):
                yield name, label, split, (path / name).read_bytes()
            return
        with zipfile.ZipFile(path) as archive:
            for name, label, split in _places(path):
                yield name, label, split, archive.read(name)
    except (OSError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path} cannot be read ({short_reason(error)}); is it whole?") from error


def _places(path: Path) -> list[tuple[str, str, str]]:
    """(name, class, split) of each text; none if they do not all lie in a folder of a class."""
    names = _names(path)
    parts = {name: PurePosixPath(name).parts for name in names}
    depth = min(map(len, parts.values()), default=0)
    if depth > 2 and len({one[0] for one in parts.values()}) == 1:  # the archive's own folder
        parts, depth = {name: one[1:] for name, one in parts.items()}, depth - 1
    if depth < 2:
        return []
    if depth > 2 and {one[0].lower() for one in parts.values()} <= {*SPLITS, "valid", "val"}:
        return [(name, one[1], one[0].lower()) for name, one in parts.items()]
    return [(name, one[0], "train") for name, one in parts.items()]


def _names(path: Path) -> list[str]:
    if path.is_dir():
        files = (one for one in path.rglob("*") if one.suffix.lower() in SUFFIXES and one.is_file())
        return sorted(one.relative_to(path).as_posix() for one in files)
    try:
        with zipfile.ZipFile(path) as archive:
            return sorted(
                one.filename
                for one in archive.infolist()
                if PurePosixPath(one.filename).suffix.lower() in SUFFIXES
                and not one.is_dir()
                and one.file_size <= LARGEST
            )
    except (zipfile.BadZipFile, zlib.error, OSError) as error:
        raise InputError(f"{path} cannot be read ({short_reason(error)}); is it whole?") from error


def _text(name: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not UTF-8 text (byte {error.start:,}).") from error
