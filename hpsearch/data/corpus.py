"""Texts without labels, to pretrain on: a folder, an archive, a file, or a known data set."""

from __future__ import annotations

import hashlib
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hpsearch.core.console import Progress, Say
from hpsearch.core.words import one_of
from hpsearch.data.own.csv_files import is_table
from hpsearch.data.own.datasets_folder import is_datasets_folder
from hpsearch.data.own.unlabelled_texts import read_texts
from hpsearch.data.text_dataset import TextDataset
from hpsearch.data.texts import TEXT_SOURCES, load_text
from hpsearch.errors import InputError

SUFFIXES = (".txt", ".text", ".md")
LARGEST_FILE = 1 << 30  # bytes; an archive may claim anything


@dataclass(frozen=True)
class Corpus:
    """Documents in a fixed order, where they came from, and a sha256 of their content."""

    texts: list[str]
    source: str
    fingerprint: str

    def dataset(self) -> TextDataset:
        """The same as a data set none of whose texts has a label."""
        import pandas as pd

        table = pd.DataFrame({"text": self.texts, "label": None, "split": "unsup"})
        return TextDataset(table, (), self.source, "path", self.fingerprint)


def read_corpus(
    corpus: str,
    *,
    text_columns: tuple[str, ...] = (),
    split: str | None = None,
    progress: Progress = lambda what, done, total: None,
    say: Say = lambda _: None,
) -> Corpus:
    """The documents of `corpus`: a data set known by name (`split`: only that part of it), a
    folder or archive of text files (a document each, in the order of their names), one text file
    (documents between empty lines), or a CSV or Parquet file, or a folder that `datasets` saved,
    with the column `text_columns`.

    Documents of nothing but spaces are left out. Raises InputError if nothing is left.
    """
    path = Path(corpus).expanduser()
    if corpus in TEXT_SOURCES and not path.exists():
        dataset = load_text({"source": corpus}, path=None, progress=progress, say=say)
        rows = dataset.table["split"] == split if split else dataset.table["split"] != "test"
        texts, source = dataset.table["text"][rows.to_numpy()].tolist(), dataset.source
        if split and not texts:
            have = ", ".join(sorted(set(dataset.table["split"])))
            raise InputError(f"{corpus} has no texts of the split {split!r}: it has {have}.")
    else:
        if split:
            raise InputError("--split is for data sets known by name; your own corpus has none.")
        texts, source = _read_path(path, text_columns), str(path)
    texts = [text for text in texts if text.strip()]
    if not texts:
        raise InputError(f"{corpus} holds no text: give a corpus with at least two documents.")
    digest = hashlib.sha256(b"hpsearch.corpus/1")
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little") + data)
    return Corpus(texts, source, digest.hexdigest())


def _read_path(path: Path, text_columns: tuple[str, ...]) -> list[str]:
    try:
        if path.is_dir() and not is_datasets_folder(path):
            files = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
            return [_decode(file.read_bytes(), file) for file in files if file.is_file()]
        if is_table(path) or path.is_dir():
            found = read_texts(str(path), text_columns or ("text",))
            without = set(found.empty)
            return [text for i, text in enumerate(found.texts) if i not in without]
        if zipfile.is_zipfile(path):
            return _in_order(_zip_members(path), path)
        if tarfile.is_tarfile(path):
            return _in_order(_tar_members(path), path)
        if path.suffix.lower() not in ("", *SUFFIXES):
            raise InputError(
                f"{path} is of no known kind: give a folder, a .zip or .tar archive of text files, "
                "or a .txt, .csv, .jsonl or .parquet file; if it is one, it is not whole."
            )
        # One file: a document ends where a line is empty.
        return _decode(path.read_bytes(), path).replace("\r\n", "\n").split("\n\n")
    except FileNotFoundError:
        raise InputError(
            f"{path} does not exist: give a folder, an archive, a .txt, CSV or Parquet file, or "
            f"{one_of(TEXT_SOURCES)}."
        ) from None
    except (OSError, EOFError, zipfile.BadZipFile, tarfile.TarError, zlib.error) as error:
        raise InputError(f"{path} cannot be read ({error}); is it whole?") from error
    except RuntimeError as error:  # encrypted, or packed in a way that zipfile does not know
        raise InputError(
            f"{path} cannot be unpacked ({error}): unpack it and give the folder."
        ) from error


def _zip_members(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if _is_text(member.filename) and member.file_size <= LARGEST_FILE:
                yield member.filename, archive.read(member)


def _tar_members(path: Path) -> Iterator[tuple[str, bytes]]:
    # Members are read, never unpacked: no name or link in the archive can reach the disk.
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile() and _is_text(member.name) and member.size <= LARGEST_FILE:
                opened = archive.extractfile(member)
                if opened is not None:
                    yield member.name, opened.read()


def _is_text(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def _in_order(members: Iterable[tuple[str, bytes]], path: Path) -> list[str]:
    return [_decode(content, path) for _, content in sorted(members)]


def _decode(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start:,}).") from error
