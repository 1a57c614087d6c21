"""What a store that cannot be opened says, and what it never says."""

import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import optuna
import pytest
import sqlalchemy as sa

from hpsearch.core.database_urls import parse_url, redact, shown_url
from hpsearch.errors import InputError
from hpsearch.store import Store
from hpsearch.store.server import open
from hpsearch.store.server.retry import retry

SECRET = "s3cr%2Ft%40x"  # s3cr/t@x, as a URL must write it


def refusal(url, **options):
    with pytest.raises(InputError) as caught:
        Store.open(url, **options)
    text = str(caught.value)
    # One sentence, and nothing of a password, in the message or in what Python would chain to it.
    assert "\n" not in text
    assert text.endswith(".")
    seen, error = [], caught.value
    while error is not None:
        seen.append(str(error))
        error = None if error.__suppress_context__ else error.__cause__ or error.__context__
    assert not any("s3cr" in one for one in seen)
    return text


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", "'nonsense' is none"),
        (f"user:{SECRET}@host", "given as a URL"),
        ("oracle://u@h/d", "oracle:// is no database"),
        ("postgresql://u:s3cr@h@host:5432/d", "more than one @"),
        ("mysql://u:a@s3cr/t@host/d", "%40"),
        ("postgresql://u:s3cr:@h:port/d", "cannot be read"),
        (f"postgresql://u:{SECRET}@h", "names no database"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite://store.db", "three slashes"),
        ("sqlite:////no/such/folder/store.db", "no folder /no/such/folder"),
        ("sqlite:////tmp", "is a folder"),
        (f"postgresql://u:{SECRET}@127.0.0.1:1/d", "nothing listens at 127.0.0.1:1"),
        (f"mysql://u:{SECRET}@127.0.0.1:1/d", "nothing listens at 127.0.0.1:1"),
        (f"postgresql://u:{SECRET}@no-such-host.invalid/d", "no-such-host.invalid is unknown"),
        (f"mariadb://u:{SECRET}@no-such-host.invalid/d", "no-such-host.invalid is unknown"),
        (f"mysql://nobody-here:{SECRET}@127.0.0.1:3306/test", "refuses this user"),
        (f"postgresql://postgres:{SECRET}@127.0.0.1:5432/hps_no_such", "CREATE DATABASE"),
        ("mysql://root@127.0.0.1:3306/hps_no_such", "CREATE DATABASE hps_no_such"),
        (f"postgresql+asyncpg://u:{SECRET}@h/d", "is not installed"),
    ],
)
def test_a_url_that_cannot_be_opened_is_explained(url, says):
    assert says in refusal(url)


@pytest.mark.parametrize(("module", "url", "extra"), [
    ("psycopg", "postgres://u:s3cret@h/d", "hpsearch[postgres]"),
    ("pymysql", "mariadb://u:s3cret@h/d", "hpsearch[mysql]"),
])  # fmt: skip
def test_a_missing_driver_names_its_extra(monkeypatch, module, url, extra):
    monkeypatch.setitem(sys.modules, module, None)
    assert f"pip install '{extra}'" in refusal(url)


def test_a_file_that_is_no_database_stays_as_it_is(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("these are my notes\n" * 100)
    assert "is not a database" in refusal(f"sqlite:///{path}")
    assert path.read_text() == "these are my notes\n" * 100


def test_a_missing_store_is_not_made_for_a_reader(tmp_path):
    path = tmp_path / "none.db"
    text = refusal(f"sqlite:///{path}", create=False)
    assert "hpsearch run imdb-clas" in text
    assert list(tmp_path.iterdir()) == []


def test_a_server_without_tables_is_no_store(new_url):
    assert "There is no store" in refusal(new_url, create=False)


def test_a_store_of_another_optuna_is_explained(tmp_path):
    path = tmp_path / "old.db"
    optuna.storages.RDBStorage(f"sqlite:///{path}").engine.dispose()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v2.6.0.a'")
    connection.close()
    assert "optuna storage upgrade" in refusal(f"sqlite:///{path}")


UNPRIVILEGED = """
import os, sys
from hpsearch.errors import InputError
from hpsearch.store import Store
Store.open(sys.argv[2]).close()  # loads every module while Python itself can still be read
os.setgid(65534); os.setuid(65534)
try:
    Store.open(sys.argv[1])
except InputError as error:
    print(error)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="to give up rights one must have them")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_store_that_cannot_be_written_is_explained(what):
    # Not in pytest's folder: every new session closes that, and its parents are others' to open.
    with tempfile.TemporaryDirectory(prefix="hpsearch-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        path = folder / "store.db"
        if what == "file":
            Store.open(f"sqlite:///{path}").close()
            path.chmod(0o444)
            folder.chmod(0o777)
        run = subprocess.run(
            [sys.executable, "-c", UNPRIVILEGED, f"sqlite:///{path}", f"sqlite:///{folder}/x.db"],
            capture_output=True, text=True,
        )  # fmt: skip
        assert run.stderr == ""
        assert str(path) in run.stdout
        assert "permissions" in run.stdout


OPENER = """
import sys, time
from hpsearch.store import Store
time.sleep(max(0, float(sys.argv[2]) - time.time()))
with Store.open(sys.argv[1]) as store:
    print(sum(name.startswith("hps_") for name in store.table_counts()))
"""


def test_processes_that_open_a_new_store_at_once_make_one(new_url):
    import time

    start = str(time.time() + 1.5)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPENER, new_url, start],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(4)
    ]  # fmt: skip
    outputs = [process.communicate() for process in processes]
    assert [out for out, _ in outputs] == ["8\n"] * 4, outputs
    with Store.open(new_url) as store:
        assert store.table_counts()["hps_alembic_version"] == 1
        assert store.table_counts()["alembic_version"] == 1


def test_a_server_that_is_starting_can_be_waited_for(tmp_path, monkeypatch):
    """A worker that begins while the database restarts is as patient as one that runs."""
    url, answers = f"sqlite:///{tmp_path}/s.db", ["the database system is starting up"] * 2
    build = open._build

    def starting(url):
        if answers:
            raise sa.exc.OperationalError("connect", {}, Exception(answers.pop()))
        return build(url)

    monkeypatch.setattr(open, "_build", starting)
    with pytest.raises(InputError, match="cannot be reached: the server is starting"):
        Store.open(url)
    with retry(Store.open, url) as store:
        assert store.studies() == []


def test_readers_and_the_writer_of_sqlite_do_not_wait_for_each_other(tmp_path):
    url = f"sqlite:///{tmp_path / 'store.db'}"
    with Store.open(url) as store, store.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 60_000
        # FULL: a power cut loses no trial that was told.
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_an_explicit_and_a_default_url(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HPSEARCH_STORAGE", raising=False)
    with Store.open() as store:
        assert store.shown_url == "sqlite:///hpsearch.db"
    monkeypatch.setenv("HPSEARCH_STORAGE", "sqlite:///other.db")
    with Store.open() as store:
        assert store.shown_url == "sqlite:///other.db"
    assert {path.name for path in tmp_path.iterdir()} >= {"hpsearch.db", "other.db"}


def test_a_path_with_braces_and_percents_opens(tmp_path):
    """Optuna formats the URL as a template, and Alembic's settings interpolate percents."""
    path = tmp_path / "odd {name} 100%.db"
    with Store.open(f"sqlite:///{path}") as store:
        optuna.create_study(storage=store.optuna, study_name="s")
        assert [study.name for study in store.studies()] == ["s"]
    assert path.exists()


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("postgres://u:pw12@h/d", "postgresql+psycopg://u:***@h/d"),
        ("postgresql://u@h:1/d?password=pw12&sslmode=off",
         "postgresql+psycopg://u@h:1/d?password=***&sslmode=off"),
        ("mariadb://u:pw12@h/d", "mysql+pymysql://u:***@h/d"),
    ],
)  # fmt: skip
def test_a_shown_url_hides_the_password(given, shown):
    url = parse_url(given)
    assert shown_url(url) == shown
    assert redact(f"failed for {given}: 'pw12'", url).count("pw12") == 0


def test_an_encoded_password_is_redacted_in_both_forms():
    url = parse_url("postgresql://u:p%40ss%2Fword@h/d")
    assert redact("p@ss/word and p%40ss%2Fword", url) == "*** and ***"


def test_an_event_shows_no_password(tmp_path, monkeypatch):
    with Store.open(f"sqlite:///{tmp_path / 's.db'}") as store:
        store.url = parse_url("postgresql://u:hunter22@h/d")
        store.record_event("lost", "x postgresql://u:hunter22@h/d", traceback="pw=hunter22")
        (event,) = store.events()
    assert "hunter22" not in event["message"] + event["traceback"]
