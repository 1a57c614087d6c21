"""Downloads: whole and verified or not there at all, and quick to fail where nothing answers."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import time
from pathlib import Path

import pytest

from hpsearch.data import ensure_home, home
from hpsearch.data.named import download as fetch
from hpsearch.data.named.download import Archive, UnavailableError, download
from hpsearch.errors import HpsearchError

CONTENT = b"the published bytes" * 1_000
LENGTH = len(CONTENT)


def archive_at(url: str) -> Archive:
    return Archive(url, LENGTH, hashlib.md5(CONTENT).hexdigest())


def ignore(*_: object) -> None:
    pass


def left_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_a_download_is_whole_and_its_progress_ends_at_the_total(server, tmp_path) -> None:
    server.replies = [(200, CONTENT, LENGTH)]
    seen: list[tuple[str, float, float]] = []
    folder = tmp_path / "to"
    folder.mkdir()
    file = download(archive_at(server.url), folder, lambda *step: seen.append(step))
    assert file.read_bytes() == CONTENT
    assert left_in(folder) == ["aclImdb_v1.tar.gz"]
    assert seen[-1] == ("downloading aclImdb_v1.tar.gz", LENGTH, LENGTH)


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param((200, CONTENT[:5_000], LENGTH), id="broken-off"),
        pytest.param((200, CONTENT[:-1] + b"!", LENGTH), id="wrong-checksum"),
        pytest.param((200, b"<html>Log in first</html>", 25), id="captive-portal"),
    ],
)
def test_a_damaged_download_is_deleted_and_fetched_once_more(server, tmp_path, bad) -> None:
    folder = tmp_path / "to"
    folder.mkdir()
    server.replies = [bad, (200, CONTENT, LENGTH)]
    assert download(archive_at(server.url), folder, ignore).read_bytes() == CONTENT
    assert server.requests == 2

    (folder / "aclImdb_v1.tar.gz").unlink()
    server.replies, server.requests = [bad], 0
    with pytest.raises(UnavailableError, match="was fetched twice and") as caught:
        download(archive_at(server.url), folder, ignore)
    assert "\n" not in str(caught.value)
    assert server.requests == 2
    assert left_in(folder) == []


def test_an_http_error_is_not_retried(server, tmp_path) -> None:
    server.replies = [(503, b"", 0)]
    with pytest.raises(UnavailableError, match="HTTP status 503"):
        download(archive_at(server.url), tmp_path, ignore)
    assert server.requests == 1


def test_an_interrupted_download_leaves_nothing(server, tmp_path) -> None:
    server.replies = [(200, CONTENT, LENGTH)]
    folder = tmp_path / "to"
    folder.mkdir()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(archive_at(server.url), folder, interrupt)
    assert left_in(folder) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_sentence_that_names_the_folder(server, tmp_path) -> None:
    server.replies = [(200, CONTENT, LENGTH)]
    (tmp_path / "aclImdb_v1.tar.gz.part").symlink_to("/dev/full")
    with pytest.raises(HpsearchError, match="is full: free some space") as caught:
        download(archive_at(server.url), tmp_path, ignore)
    assert str(tmp_path) in str(caught.value)
    assert not isinstance(caught.value, UnavailableError)
    assert not (tmp_path / "aclImdb_v1.tar.gz.part").is_symlink()


def test_a_closed_port_and_an_unknown_name_fail_at_once(closed_port, tmp_path) -> None:
    for url in (f"http://127.0.0.1:{closed_port}/f", "http://no-such-host.invalid/f"):
        begun = time.monotonic()
        with pytest.raises(UnavailableError, match=r"cannot be reached|did not answer"):
            download(archive_at(url), tmp_path, ignore)
        assert time.monotonic() - begun < fetch.CONNECT_SECONDS + 1


def test_a_host_that_drops_packets_costs_seconds(tmp_path, monkeypatch) -> None:
    """A listener whose queue is full: Linux drops further connections without a word."""
    monkeypatch.setattr(fetch, "CONNECT_SECONDS", 1.0)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(listening.getsockname())
        begun = time.monotonic()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/f"
        with pytest.raises(UnavailableError, match="did not answer within 1 s"):
            download(archive_at(url), tmp_path, ignore)
        assert time.monotonic() - begun < 10  # the system gives up after two minutes
        for client in waiting:
            client.close()


def test_a_name_lookup_that_hangs_costs_seconds(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(fetch, "CONNECT_SECONDS", 0.2)

    def hang(*_: object, **__: object) -> None:
        time.sleep(6)
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    begun = time.monotonic()
    with pytest.raises(UnavailableError, match="did not answer"):
        download(archive_at("http://slow.invalid/f"), tmp_path, ignore)
    assert time.monotonic() - begun < 4


def test_behind_a_proxy_it_is_the_proxy_that_must_answer(closed_port, monkeypatch) -> None:
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{closed_port}")
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1 cannot be reached"):
        fetch.check_reachable("https://no-such-host.invalid/f")


def test_home_is_hpsearch_home_and_is_made_where_missing(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "a" / "b"))
    assert home() == tmp_path / "a" / "b"
    assert not home().exists()
    assert ensure_home("data") == tmp_path / "a" / "b" / "data"
    assert (tmp_path / "a" / "b" / "data").is_dir()
    monkeypatch.delenv("HPSEARCH_HOME")
    assert home().name == "hpsearch"


def test_a_home_that_cannot_be_made_is_one_sentence(tmp_path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "file" / "below"))
    with pytest.raises(
        HpsearchError, match=r"cannot be written to .*: set HPSEARCH_HOME"
    ) as caught:
        ensure_home()
    assert os.strerror(errno.ENOTDIR) in str(caught.value)
