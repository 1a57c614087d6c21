"""A data set's files out of a folder, a zip or a wheel: read, never unpacked."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from hpsearch.core.files import atomic_path
from hpsearch.core.words import short_reason
from hpsearch.errors import InputError

LARGEST = 1 << 30  # bytes of one file; an archive may claim anything
ZIPS = (".zip", ".whl")


def is_bundle(path: Path) -> bool:
    """Whether `path` is a folder, or has the name of a zip."""
    return path.is_dir() or path.name.lower().endswith(ZIPS)


def read_files(path: Path, wanted: Collection[str]) -> dict[str, bytes]:
    """Name -> bytes of those of the `wanted` names that a folder or a zip holds, wherever in it.

    Of two files with one name the one nearest to the top is taken. Raises InputError where the
    place cannot be read or a file is larger than a gigabyte.
    """
    try:
        return _from_folder(path, wanted) if path.is_dir() else _from_zip(path, wanted)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: give the data set's folder or zip.") from None
    except (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError) as error:
        raise InputError(
            f"{path} is damaged or not a zip ({short_reason(error)}): get it again."
        ) from error
    except RuntimeError as error:  # encrypted, or packed in a way that zipfile does not know
        raise InputError(
            f"{path} cannot be unpacked ({short_reason(error)}): unpack it and give the folder."
        ) from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {short_reason(error)}.") from error


def _from_folder(path: Path, wanted: Collection[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    below = sorted(folder for folder in path.iterdir() if folder.is_dir())
    for folder in (path, *below):
        for name in wanted:
            file = folder / name
            if name not in found and file.is_file():
                _check_size(path, name, file.stat().st_size)
                found[name] = file.read_bytes()
    return found


def _from_zip(path: Path, wanted: Collection[str]) -> dict[str, bytes]:
    # Members are read by their own name: no path in the archive can reach the disk.
    with zipfile.ZipFile(path) as archive:
        nearest: dict[str, zipfile.ZipInfo] = {}
        for member in sorted(archive.infolist(), key=lambda info: info.filename.count("/")):
            name = PurePosixPath(member.filename).name
            if name in wanted and not member.is_dir():
                nearest.setdefault(name, member)
        for name, member in nearest.items():
            _check_size(path, name, member.file_size)
        return {name: archive.read(member) for name, member in nearest.items()}


def _check_size(path: Path, name: str, size: int) -> None:
    if size > LARGEST:
        raise InputError(
            f"{path} holds a {name} of {size:,} bytes, and {LARGEST:,} is the most that is read:"
            " give its ratings as a CSV or Parquet file."
        )


def write_zip(path: Path, files: dict[str, bytes], comment: str) -> None:
    """The files as a zip, whole or not at all."""
    with atomic_path(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.comment = comment.encode()[:60_000]


def comment_of(path: Path) -> str:
    """What `write_zip` was given to say of a zip."""
    with zipfile.ZipFile(path) as archive:
        return archive.comment.decode(errors="replace")
