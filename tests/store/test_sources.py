"""Explaining what somebody else made: databases, files and journals that nothing is written to."""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from wsgiref.util import setup_testing_defaults

import numpy as np
import optuna
import pytest
import sqlalchemy as sa
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial
from typer.testing import CliRunner

from hpsearch.analysis.surrogate import fit
from hpsearch.cli.app import app
from hpsearch.errors import InputError
from hpsearch.store import Store
from hpsearch.store.sources import find_in, open_source, open_sources
from hpsearch.store.trials.read_columns import columns_of
from hpsearch.store.trials.write.finished import add_trials

SERVERS = {
    "postgresql": os.environ.get(
        "HPSEARCH_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432"
    ),
    "mariadb": os.environ.get("HPSEARCH_TEST_MARIADB", "mysql+pymysql://root@127.0.0.1:3306"),
}


@pytest.fixture(autouse=True)
def few_refits(monkeypatch):
    monkeypatch.setattr(fit, "N_REFITS", 19)


def fill(storage, name="theirs", n=30, directions=("maximize",)):
    """A study somebody else made."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(storage=storage, study_name=name, directions=directions)
    rng, space = (
        np.random.default_rng(0),
        {"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)},
    )
    for x, y in rng.random((n, 2)):
        values = [-((x - 0.4) ** 2), y][: len(directions)]
        study.add_trial(create_trial(values=values, params={"x": x, "y": y}, distributions=space))
    return study


def state(folder):
    """Every file of a folder with its content."""
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def explain(*arguments):
    """What `hpsearch explain` prints; raises what it raises."""
    done = CliRunner().invoke(app, ["explain", *arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


@pytest.fixture
def their_database(tmp_path):
    folder = tmp_path / "theirs"
    folder.mkdir()
    url = f"sqlite:///{folder / 'optuna.db'}"
    storage = optuna.storages.RDBStorage(url)
    fill(storage)
    storage.engine.dispose()
    return folder, url


def test_a_database_that_is_not_ours_stays_to_the_byte(their_database):
    folder, url = their_database
    before = state(folder)
    out = explain("--storage", url, "--study", "theirs", "--level", "0.8")
    assert "theirs" in out
    assert "which hpsearch did not make (--keep" in " ".join(out.split())
    assert state(folder) == before
    # A file says itself what it is.
    assert "theirs" in explain("theirs", "--storage", str(folder / "optuna.db"))
    assert state(folder) == before


def test_it_is_exported_and_loaded_as_it_lies(their_database, tmp_path):
    import hpsearch
    from hpsearch.exchange import export_study

    folder, url = their_database
    before = state(folder)
    study = hpsearch.load_study("theirs", storage=url)
    assert export_study(study, tmp_path / "theirs.csv") == 30
    done = CliRunner().invoke(
        app, ["export", "theirs", "--storage", url, "--output", str(tmp_path / "theirs.parquet")]
    )
    assert "Wrote 30 trials" in done.output
    assert state(folder) == before


def test_rules_are_kept_there_if_asked(their_database):
    _, url = their_database
    out = explain("--storage", url, "--keep")
    assert "not kept" not in out
    with Store.open(url, create=False) as store:
        assert store.studies()[0].name == "theirs"
    assert "hps_rule" in sa.inspect(sa.create_engine(url)).get_table_names()


READER = """
import json, os, sys
from typer.testing import CliRunner
from hpsearch.analysis.surrogate import fit
from hpsearch.cli.app import app
fit.N_REFITS = 19

def explain(place):
    done = CliRunner().invoke(app, ["explain", "--storage", place])
    return done.output, repr(done.exception)

places, copies = json.loads(sys.argv[1])
for copy in copies:  # whatever has to be imported, while Python itself can still be read
    explain(copy)
os.setgid(65534); os.setuid(65534)
print(json.dumps([explain(place) for place in places]))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="to give up rights one must have them")
def test_a_read_only_folder_is_explained(tmp_path):
    # Not in pytest's folder, which every new session closes to other users.
    with tempfile.TemporaryDirectory(prefix="hpsearch-test-") as folder:
        places = fill_kinds(Path(folder))
        shutil.copytree(folder, tmp_path / "copies")
        copies = [one.replace(folder, str(tmp_path / "copies")) for one in places]
        for file in Path(folder).iterdir():
            file.chmod(0o444)
        Path(folder).chmod(0o555)
        before = state(Path(folder))
        command = [sys.executable, "-c", READER, json.dumps([places, copies])]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        for out, error in json.loads(done.stdout):
            assert error == "None"
            assert "theirs" in out
            assert "Rules are not kept" in out
        assert state(Path(folder)) == before
        Path(folder).chmod(0o755)


def fill_kinds(folder):
    """A store of each kind in a folder: what explain is given for each."""
    backend = optuna.storages.journal.JournalFileBackend(str(folder / "journal.log"))
    fill(optuna.storages.JournalStorage(backend))
    with Store.open(f"sqlite:///{folder / 'ours.db'}") as store:
        fill(store.optuna)
    for kind in ("optuna", "wal"):
        storage = optuna.storages.RDBStorage(f"sqlite:///{folder / kind}.db")
        fill(storage)
        storage.engine.dispose()
    connection = sqlite3.connect(folder / "wal.db")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    stores = [f"sqlite:///{folder / kind}.db" for kind in ("optuna", "wal", "ours")]
    return [*stores, str(folder / "journal.log")]


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_server_is_read_and_refuses_to_be_written(kind):
    base = SERVERS[kind]
    name = f"hpsearch_test_explore_{os.getpid()}"
    admin = sa.create_engine(
        f"{base}/{'postgres' if kind == 'postgresql' else 'mysql'}", isolation_level="AUTOCOMMIT",
        poolclass=sa.pool.NullPool,
    )  # fmt: skip
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        storage = optuna.storages.RDBStorage(f"{base}/{name}")
        fill(storage)
        tables = set(sa.inspect(storage.engine).get_table_names())
        with open_source(f"{base}/{name}") as source:
            from hpsearch.analysis.read.frame import read_study

            assert source.store is None
            study = source.load(source.find(["theirs"])[0])
            assert read_study(study).n_trials == 30
            with pytest.raises(optuna.exceptions.StorageInternalError) as caught:
                study.set_user_attr("a", 1)
            assert "read" in str(caught.value.__cause__).lower()
        assert set(sa.inspect(storage.engine).get_table_names()) == tables
        storage.remove_session()
        storage.engine.dispose()
    finally:
        with admin.connect() as connection:
            force = " WITH (FORCE)" if kind == "postgresql" else ""
            connection.exec_driver_sql(f"DROP DATABASE {name}{force}")


def test_a_journal_and_several_objectives(tmp_path):
    path = tmp_path / "journal.log"
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    fill(optuna.storages.JournalStorage(backend), directions=("maximize", "minimize"))
    before = state(tmp_path)
    both = explain("--storage", str(path))
    assert "higher is better" in both
    assert "lower is better" in both
    one = explain("--storage", str(path), "--metric", "1")
    assert "lower is better" in one
    assert "higher is better" not in one
    with pytest.raises(InputError, match="has no metric 'z'"):
        explain("--storage", str(path), "--metric", "z")
    assert state(tmp_path) == before


def test_the_parts_of_one_trials_prediction(their_database):
    _, url = their_database
    out = explain("theirs", "--storage", url, "--trial", "7")
    assert "trial 7" in out
    document = json.loads(explain("--storage", url, "--trial", "7", "--format", "json"))
    parts = sum(amount for _, amount in document["parts"])
    assert document["mean"] + parts + document["rest"] == pytest.approx(document["prediction"])
    assert "| `x` |" in explain("--storage", url, "--trial", "7", "--format", "md")
    with pytest.raises(InputError, match="no finished trial 99"):
        explain("--storage", url, "--trial", "99")
    with pytest.raises(InputError, match="use table, md or json"):
        explain("--storage", url, "--trial", "7", "--format", "html")


def test_one_name_in_two_stores(tmp_path, their_database):
    _, url = their_database
    mine = f"sqlite:///{tmp_path / 'mine.db'}"
    with Store.open(mine) as store:
        fill(store.optuna)
        fill(store.optuna, "other")
    with open_sources([mine, url], keep=False) as sources:
        assert [one.name for _, one in find_in(sources, ["other"])] == ["other"]
        with pytest.raises(InputError, match=r"'theirs' in .*mine\.db and in .*optuna\.db"):
            find_in(sources, ["theirs"])
        with pytest.raises(InputError, match="None of the stores has a study 'x'"):
            find_in(sources, ["x"])


def test_an_older_schema_and_files_that_are_no_store(tmp_path, their_database):
    folder, url = their_database
    with sqlite3.connect(folder / "optuna.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v2.6.0.a'")
    connection.close()
    before = state(folder)
    for command in ("explain", "dashboard"):
        done = CliRunner().invoke(app, [command, "--storage", url])
        assert isinstance(done.exception, InputError)
        assert "optuna storage upgrade" in str(done.exception)
    with sqlite3.connect(folder / "optuna.db") as connection:
        connection.execute("DROP TABLE alembic_version")
    connection.close()
    with pytest.raises(InputError, match="optuna storage upgrade"):
        explain("--storage", url)
    assert before.keys() == state(folder).keys()
    (tmp_path / "notes.txt").write_text("my notes\n")
    with pytest.raises(InputError, match="neither an SQLite database nor a journal"):
        explain("--storage", str(tmp_path / "notes.txt"))
    (tmp_path / "half.log").write_text(
        '{"op_code": 0, "worker_id": "a"}\n{"op_co\n{"op_code": 1}\n'
    )
    with pytest.raises(InputError, match="damaged"):
        explain("--storage", str(tmp_path / "half.log"))
    sqlite3.connect(tmp_path / "empty.db").close()
    with sqlite3.connect(tmp_path / "empty.db") as connection:
        connection.execute("CREATE TABLE t (a)")
    connection.close()
    with pytest.raises(InputError, match="There is no store"):
        explain("--storage", str(tmp_path / "empty.db"))


def test_a_journal_that_is_missing_is_told_so():
    with pytest.raises(
        InputError, match=r"There is no file nofile\.log: name an SQLite file, a jou"
    ):
        open_source("nofile.log")


def test_other_commands_leave_their_database_alone(their_database, monkeypatch):
    folder, url = their_database
    before = state(folder)
    seen = {}

    def served(page, host, port):
        for path in ("/api/studies", "/api/studies/1"):  # what the pages ask for
            environ = {"PATH_INFO": path, "QUERY_STRING": "after=0"}
            setup_testing_defaults(environ)
            seen[path] = json.loads(b"".join(page(environ, lambda *_: None)))

    monkeypatch.setattr("hpsearch.cli.dashboard_server.listen", served)
    done = CliRunner().invoke(app, ["dashboard", "--storage", url])
    assert [one["study_name"] for one in seen["/api/studies"]["study_summaries"]] == ["theirs"]
    assert len(seen["/api/studies/1"]["trials"]) == 30
    assert "The dashboard of" in done.output
    assert "30 complete" in CliRunner().invoke(app, ["studies", "--storage", url]).output
    for command in (
        ["doctor"],
        ["enqueue", "theirs", "x=1"],
        ["export", "theirs", "--output", "x.zip"],
    ):
        done = CliRunner().invoke(app, [*command, "--storage", url])
        assert "was not made by hpsearch" in str(done.exception)
    assert state(folder) == before


def test_a_name_that_nobody_may_look_at_is_told(monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(InputError, match=r"secret/journal\.log cannot be read: Permission denied"):
        open_source("secret/journal.log")


def test_a_store_of_ours_keeps_its_rules(tmp_path):
    url = f"sqlite:///{tmp_path / 'ours.db'}"
    with Store.open(url) as store:
        study = optuna.create_study(storage=store.optuna, study_name="s")
        trials = fill(None, "x", 60).trials
        add_trials(store.engine, study._study_id, trials)
    out = explain("s", "--storage", url)
    with Store.open(url) as store:
        kept = [rule["statement"] for rule in store.rules("s")]
    assert kept
    assert all(statement[:40] in out for statement in kept)


def test_choices_without_a_hash_are_read(tmp_path):
    """Optuna takes lists for choices, with a warning; many studies have them."""
    storage = f"sqlite:///{tmp_path / 'o.db'}"
    study = optuna.create_study(
        study_name="s", storage=storage, sampler=optuna.samplers.RandomSampler(seed=0)
    )

    def objective(trial):
        layers = trial.suggest_categorical("layers", [[64], [64, 64], {"width": 8}])
        return len(layers) + trial.suggest_float("x", 0, 1)

    with pytest.warns(UserWarning, match="Choices for a categorical"):
        study.optimize(objective, n_trials=30)
    with open_source(storage) as source:
        columns = columns_of(source.load(source.find_one("s")))
    param = columns.params["layers"]
    choices = [param.distinct()[which] for which in param.which]
    assert choices == [trial.params["layers"] for trial in study.trials]
