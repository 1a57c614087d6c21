"""Bytes over the network: verified, never half-written, quick to give up where there is none."""

from __future__ import annotations

import hashlib
import socket
import threading
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hpsearch.core.home import home_error
from hpsearch.core.words import short_reason
from hpsearch.errors import HpsearchError

if TYPE_CHECKING:
    import requests

    from hpsearch.core.console import Progress

CONNECT_SECONDS = 4.0  # how long a host may take to be found and to accept a connection
READ_SECONDS = 15.0  # how long a transfer may stand still


class UnavailableError(HpsearchError):
    """One source did not work; the next one is tried."""


@dataclass(frozen=True)
class Archive:
    """A file on the web, with what is published about it."""

    url: str
    size: int
    md5: str

    @property
    def name(self) -> str:
        return self.url.rsplit("/", 1)[-1]


def download(archive: Archive, folder: Path, progress: Progress) -> Path:
    """Fetch `archive` into `folder`, whole and verified, or raise `UnavailableError`.

    The file has its name only when its checksum is right. One that comes damaged or breaks off is
    deleted and fetched once more; a host that does not answer is not asked again.
    """
    check_reachable(archive.url)
    part = folder / f"{archive.name}.part"
    problem: str | None = None
    try:
        for _ in range(2):
            problem = _transfer(archive, part, progress) or _damage(archive, part)
            if problem is None:
                return part.replace(folder / archive.name)
            part.unlink(missing_ok=True)
    except OSError as error:
        raise home_error(folder, error) from error
    finally:
        part.unlink(missing_ok=True)
    raise UnavailableError(f"{archive.url} was fetched twice and {problem}")


def _transfer(archive: Archive, part: Path, progress: Progress) -> str | None:
    """One transfer into `part`: None, or why it broke off; `UnavailableError` if it never began."""
    import pooch
    import requests

    get = pooch.HTTPDownloader(
        progressbar=_Bar(archive, part, progress),
        chunk_size=1 << 18,
        timeout=(CONNECT_SECONDS, READ_SECONDS),
        headers={"Accept-Encoding": "identity"},
    )
    try:
        with part.open("wb") as file:
            get(archive.url, file, None)
    except requests.HTTPError as error:
        status = "" if error.response is None else error.response.status_code
        raise UnavailableError(f"{archive.url} answered with HTTP status {status}") from error
    except requests.RequestException as error:
        arrived = part.stat().st_size
        if arrived or isinstance(error, requests.exceptions.ChunkedEncodingError):
            return f"broke off before its {archive.size:,} bytes were there"
        raise UnavailableError(f"{archive.url} did not answer ({_kind(error)})") from error
    return None


def _kind(error: requests.RequestException) -> str:
    """What went wrong in two or three words; what requests itself writes is for programmers."""
    import requests

    if isinstance(error, requests.Timeout):
        return f"nothing came for {READ_SECONDS:g} s"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate was not accepted"
    return type(error).__name__


def _damage(archive: Archive, part: Path) -> str | None:
    """None if the file is the published one, else what is wrong with it."""
    if (size := part.stat().st_size) != archive.size:
        return f"has {size:,} bytes instead of {archive.size:,}"
    with part.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    if (found := digest.hexdigest()) != archive.md5:
        return f"has the md5 {found} instead of {archive.md5}"
    return None


class _Bar:
    """What pooch expects of a progress bar, passed on to ours with the bytes that are there."""

    def __init__(self, archive: Archive, part: Path, progress: Progress) -> None:
        self.total = archive.size
        self._archive, self._part, self._progress = archive, part, progress

    def update(self, _: int) -> None:
        arrived = self._part.stat().st_size
        self._progress(f"downloading {self._archive.name}", arrived, self._archive.size)

    def reset(self) -> None:
        """pooch calls this before its last update."""

    def close(self) -> None:
        """pooch calls this after its last update."""


def check_reachable(url: str) -> None:
    """Raise `UnavailableError` unless the host of `url` (or the proxy to it) accepts a connection.

    Looking up a name has no time limit of its own and each of a host's addresses has its own one,
    so that both happen in a thread, which is left behind when the time is over.
    """
    host, port = _first_hop(url)
    outcome: list[OSError | None] = []

    def connect() -> None:
        try:
            socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
            outcome.append(None)
        except OSError as error:
            outcome.append(error)

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS)
    if not outcome or isinstance(outcome[0], TimeoutError):
        raise UnavailableError(f"{host} did not answer within {CONNECT_SECONDS:g} s")
    if outcome[0] is not None:
        raise UnavailableError(
            f"{host} cannot be reached ({short_reason(outcome[0])})"
        ) from outcome[0]


def _first_hop(url: str) -> tuple[str, int]:
    """Host and port that a request for `url` connects to first: the proxy's, where one is set."""
    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy and not urllib.request.proxy_bypass(parts.netloc):
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
