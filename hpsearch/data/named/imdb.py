"""Reading the Large Movie Review Dataset in its publisher's layout, as a folder or as an archive.

    aclImdb/{train,test}/{pos,neg}/<number>_<stars>.txt    labelled
    aclImdb/train/unsup/<number>_0.txt                     not labelled

An archive is read as a stream and never unpacked, so no member of it can be written anywhere.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import queue
import re
import tarfile
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from hpsearch.core.words import short_reason
from hpsearch.data.text_dataset import make_table
from hpsearch.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from hpsearch.core.console import Progress

ARCHIVES = (".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tar")
REVIEW = re.compile(r"(?:.*/)?(train|test)/(pos|neg|unsup)/(\d+)_(\d+)\.txt")
OUTSIDE = re.compile(r"^[/\\]|^[A-Za-z]:|(^|[/\\])\.\.([/\\]|$)")  # absolute, or with a ".."
FOLDERS = [("train", "neg"), ("train", "pos"), ("train", "unsup"), ("test", "neg"), ("test", "pos")]
EVERY = 2_000  # reviews between two reports of progress
CHUNK = 1 << 20  # bytes decompressed at once
BLOCK = 1 << 14  # bytes tarfile asks for; it copies what is left of them at each read

# (position of the split and class in FOLDERS, number, stars) -> the review
Reviews = dict[tuple[int, int, int], bytes]


def is_archive(path: Path) -> bool:
    """Whether the name is that of a tar archive."""
    return path.name.lower().endswith(ARCHIVES)


def find_root(path: Path) -> Path | None:
    """The folder that holds train/pos and train/neg: `path`, or aclImdb in it, or neither."""
    for root in (path, path / "aclImdb"):
        if (root / "train" / "pos").is_dir() and (root / "train" / "neg").is_dir():
            return root
    return None


def read_aclimdb(path: Path, progress: Progress) -> pa.Table:
    """All reviews below a folder or in an archive, sorted by split, class and number.

    Raises InputError where there are no labelled training reviews, or where the archive is
    damaged, or where it names a path outside itself.
    """
    reviews = _from_archive(path, progress) if is_archive(path) else _from_folder(path, progress)
    for position, (split, name) in enumerate(FOLDERS[:2]):
        if not any(key[0] == position for key in reviews):
            raise InputError(
                f"{path} has no reviews in {split}/{name}: give the aclImdb folder, its archive,"
                " or a CSV or Parquet file with a text and a label column."
            )
    return _to_table(reviews, path)


def content_key(path: Path) -> str:
    """Hex name of what is there: the hash of an archive, or of a folder's listing.

    The listing has each file's name, size and time of change, as reading 100,000 files to learn
    whether they were read before would take as long as reading them.
    """
    if is_archive(path):
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    for split, name in FOLDERS:
        folder = path / split / name
        for entry in sorted(_entries(folder), key=lambda entry: entry.name):
            stat = entry.stat()
            line = f"{split}/{name}/{entry.name} {stat.st_size} {stat.st_mtime_ns}\n"
            digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return [entry for entry in entries if entry.is_file()]


def _from_folder(path: Path, progress: Progress) -> Reviews:
    reviews: Reviews = {}
    for position, (split, name) in enumerate(FOLDERS):
        for entry in _entries(path / split / name):
            found = REVIEW.fullmatch(f"{split}/{name}/{entry.name}")
            if found is None:
                continue
            with open(entry.path, "rb") as file:  # noqa: PTH123 (100,000 Path objects cost 0.3 s)
                reviews[position, int(found[3]), int(found[4])] = file.read()
            if len(reviews) % EVERY == 0:
                progress(f"reading {path.name}", len(reviews), 100_000)
    return reviews


def _from_archive(path: Path, progress: Progress) -> Reviews:
    reviews: Reviews = {}
    size = path.stat().st_size
    try:
        with path.open("rb") as raw, _ReadAhead(raw, path.name) as stream:
            for member, content in _regular_files(stream, path):
                found = REVIEW.fullmatch(member)
                if found is None or (found[1], found[2]) not in FOLDERS:
                    continue
                position = FOLDERS.index((found[1], found[2]))
                reviews[position, int(found[3]), int(found[4])] = content.read()
                if len(reviews) % EVERY == 0:
                    progress(f"reading {path.name}", raw.tell(), size)
    except (tarfile.TarError, EOFError, lzma.LZMAError, zlib.error, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's fault, not the archive's
        raise InputError(
            f"{path} is damaged or not a tar archive ({short_reason(error)}): get it again."
        ) from error
    return reviews


def _regular_files(stream: _ReadAhead, path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """(name, content) of each regular file; links and devices are passed over."""
    with tarfile.open(fileobj=stream, mode="r|", bufsize=BLOCK) as archive:  # type: ignore[call-overload]
        for member in archive:
            archive.members = []  # else it keeps all 100,000 headers
            if OUTSIDE.search(member.name):
                raise InputError(
                    f"{path} holds the path {member.name[:80]!r}, which leads out of the archive's"
                    " own folder: get the archive from its publisher."
                )
            content = archive.extractfile(member) if member.isreg() else None
            if content is not None:
                yield member.name, content


class _ReadAhead:
    """A decompressed view of a file, read by a second thread while the first parses.

    Decompression (without the interpreter's lock) and parsing take about two seconds each.
    """

    def __init__(self, raw: IO[bytes], name: str) -> None:
        self._raw, self._name = raw, name.lower()
        self._chunks: queue.Queue[bytes | BaseException] = queue.Queue(maxsize=8)
        self._closed = threading.Event()
        self._chunk, self._at, self._ended = b"", 0, False
        self._thread = threading.Thread(target=self._fill, daemon=True)

    def __enter__(self) -> _ReadAhead:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        while self._thread.is_alive():
            self._drain()
            self._thread.join(0.01)

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, or b"" at the end."""
        if self._at == len(self._chunk):
            if self._ended:
                return b""
            self._chunk, self._at = self._next(), 0
            self._ended = not self._chunk
        piece = self._chunk[self._at : self._at + size]
        self._at += len(piece)
        return piece

    def _next(self) -> bytes:
        chunk = self._chunks.get()
        if isinstance(chunk, BaseException):
            raise chunk
        return chunk

    def _drain(self) -> None:
        while not self._chunks.empty():
            self._chunks.get_nowait()

    def _fill(self) -> None:
        try:
            with self._decompressed() as stream:
                while (chunk := stream.read(CHUNK)) and not self._closed.is_set():
                    self._chunks.put(chunk)
            self._chunks.put(b"")
        except BaseException as error:  # handed to the reading thread
            self._chunks.put(error)

    def _decompressed(self) -> IO[bytes]:
        import bz2
        import gzip

        if self._name.endswith((".xz", ".txz")):
            return lzma.open(self._raw)
        if self._name.endswith((".gz", ".tgz")):
            return gzip.open(self._raw)  # type: ignore[return-value]
        return bz2.open(self._raw) if self._name.endswith(".bz2") else self._raw


def _to_table(reviews: Reviews, path: Path) -> pa.Table:
    """The reviews in order; the splits are train, unsup and test, as FOLDERS has them."""
    import pyarrow as pa

    keys = sorted(reviews)
    raw = pa.array([reviews[key] for key in keys], pa.large_binary())
    try:
        text = raw.cast(pa.large_string())
    except pa.ArrowInvalid as error:
        raise InputError(f"{path} holds reviews that are not UTF-8 text: get it again.") from error
    labels = [None if name == "unsup" else name for _, name in FOLDERS]
    splits = ["unsup" if name == "unsup" else split for split, name in FOLDERS]
    label = pa.array([labels[key[0]] for key in keys], pa.large_string())
    split = pa.array([splits[key[0]] for key in keys], pa.large_string())
    return make_table(text, label, split)
