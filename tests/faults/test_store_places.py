"""Stores on full disks, in files with odd names, and under names of any length."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
import sqlalchemy as sa

from hpsearch.core.database_urls import full_url, missing_driver, parse_url, sqlite_path
from hpsearch.core.read_only import is_writable, reading_url
from hpsearch.errors import InputError
from hpsearch.store import Store
from hpsearch.store.sources import open_source

NAMES = ["a?b.db", "a%20b.db", "a b.db", "a#b.db", "a%3Fb.db", "é&b=c+d.db", "file:a.db", "%.db"]


def fill(url, name="mine", trials=3):
    storage = optuna.storages.RDBStorage(url)
    study = optuna.create_study(storage=storage, study_name=name)
    for value in range(trials):
        study.add_trial(optuna.trial.create_trial(value=float(value)))
    storage.engine.dispose()


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_any_name_is_the_store(tmp_path, monkeypatch, name):
    """As a path, as a URL, ours or not: it is that file which is read, and no other is made."""
    monkeypatch.chdir(tmp_path)
    url = sa.URL.create("sqlite", database=f"{tmp_path}/{name}").render_as_string()
    fill(url)
    for given in (name, url):
        with open_source(given) as source:
            assert [one.name for one in source.summaries] == ["mine"]
    assert {path.name for path in tmp_path.iterdir()} == {name}
    with Store.open(url) as store:
        assert [one.name for one in store.studies()] == ["mine"]
        again = full_url(store.url)  # as a worker is given it
    with Store.open(again) as store:
        assert sqlite_path(store.url) == tmp_path / name
    with open_source(name) as source:
        assert source.store is not None
    assert {path.name.removeprefix(name) for path in tmp_path.iterdir()} <= {
        "", "-wal", "-shm", ".lock",
    }  # fmt: skip


def test_a_uri_is_the_file_that_sqlite_opens(tmp_path):
    fill(f"sqlite:///{tmp_path}/a b.db")
    url = parse_url(f"sqlite:///file:{tmp_path}/a%2520b.db?uri=true&mode=ro")
    assert sqlite_path(url) == tmp_path / "a b.db"
    with open_source(full_url(url)) as source:
        assert [one.name for one in source.summaries] == ["mine"]


def test_a_question_mark_that_is_none_is_told():
    with pytest.raises(InputError, match=r"has a \? with no option behind it.*as %3F"):
        parse_url("sqlite:///runs?.db")


@pytest.fixture
def full_disk(tmp_path):
    """A small disk, to be filled by `fill_up`; a test without the right to mount one is skipped."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root can mount a disk to fill")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill_up(folder):
    file = os.open(folder / "fill", os.O_WRONLY | os.O_CREAT)
    try:
        while True:
            os.write(file, bytes(4096))
    except OSError:
        os.close(file)


@pytest.mark.parametrize("ours", [True, False])
def test_a_store_on_a_full_disk_is_read(full_disk, ours):
    url = f"sqlite:///{full_disk}/s.db"
    fill(url)
    if ours:
        Store.open(url).close()
    else:
        with sqlite3.connect(full_disk / "s.db") as connection:
            connection.execute("pragma journal_mode = wal")
        connection.close()
    fill_up(full_disk)
    for command in (["studies"], ["export", "mine", "--output", f"{full_disk.parent}/t.csv"]):
        done = subprocess.run(
            [sys.executable, "-m", "hpsearch", *command, "--storage", url],
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert len(Path(full_disk.parent / "t.csv").read_text().splitlines()) == 4


def test_what_is_only_in_the_log_is_not_passed_over(full_disk):
    """A killed writer leaves a log; to read the file without it would show old trials."""
    url = f"sqlite:///{full_disk}/s.db"
    fill(url)
    code = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("pragma journal_mode = wal")
connection.execute("update studies set study_name = 'newer'")
connection.commit()
os._exit(9)
"""
    subprocess.run([sys.executable, "-c", code, str(full_disk / "s.db")], check=False)
    (full_disk / "s.db-shm").unlink()
    assert (full_disk / "s.db-wal").stat().st_size > 0
    fill_up(full_disk)
    assert not is_writable(sa.make_url(url))
    assert "immutable" not in reading_url(sa.make_url(url)).query
    with pytest.raises(InputError, match="cannot be read: its disk is full or damaged"):
        open_source(url)
    (full_disk / "fill").unlink()
    with open_source(url) as source:
        assert [one.name for one in source.summaries] == ["newer"]


MEMORY = "libpq.so.5: failed to map segment from shared object: Cannot allocate memory"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ImportError(MEMORY), "too little memory to load the driver"),
        (ImportError("libssl.so.3: version `OPENSSL_3' not found"), "cannot be loaded.*OPENSSL_3"),
        (ModuleNotFoundError("No module named 'psycopg'"), r"pip install 'hpsearch\[postgres\]'"),
        (ImportError("no pq wrapper available. Attempted implementations: - couldn't import "
                     "psycopg 'c' implementation: No module named 'psycopg_c'"),
         r"pip install 'hpsearch\[postgres\]'"),
        (ImportError(f"no pq wrapper available. Attempted implementations: {MEMORY}"),
         "too little memory"),
    ],
)  # fmt: skip
def test_why_a_driver_is_not_there(monkeypatch, error, sentence):
    from hpsearch.data import load_table

    url = "postgresql://me@127.0.0.1:1/x"
    assert not missing_driver(parse_url(url), error).startswith("None")

    def fail(*_: object, **__: object):
        raise error

    monkeypatch.setattr(sa, "create_engine", fail)
    for opened in (
        lambda: open_source(url),
        lambda: load_table(
            {"database": url, "query": "select 1"}, path=None, progress=lambda *_: None
        ),
    ):
        with pytest.raises(InputError, match=sentence):
            opened()
