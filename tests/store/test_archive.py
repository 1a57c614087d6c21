"""A study taken from store to store: nothing is lost on the way."""

import json
import random
import zipfile
from contextlib import ExitStack
from datetime import timedelta

import optuna
import pytest
import sqlalchemy as sa
from full_study import fill
from optuna.trial import TrialState
from store_databases import database

from hpsearch.errors import InputError
from hpsearch.store import Store
from hpsearch.store.archive import TABLES
from hpsearch.store.tables import schema

optuna.logging.set_verbosity(optuna.logging.WARNING)


def content(store, name, *, whole_seconds=False):
    """Every row of the study in every table, with natural names in the place of ids."""
    names, rows = {}, {}
    with store.engine.connect() as connection:
        for table in TABLES:
            key = [column.name for column in table.primary_key]
            found = connection.execute(sa.select(table).order_by(*key)).mappings().all()
            rows[table.name] = [dict(row) for row in found]
    study_id = store.study_id(name)
    numbers = {r["trial_id"]: r["number"] for r in rows["trials"] if r["study_id"] == study_id}
    names["study_id"] = {study_id: "this"}
    names["trial_id"] = numbers
    for key, table in (("run_id", "hps_run"), ("rule_id", "hps_rule")):
        own = [row[key] for row in rows[table] if row["study_id"] == study_id]
        names[key] = {one: i for i, one in enumerate(own)}
    result = {}
    for table in TABLES:
        own = {column.name for column in table.primary_key} - {"trial_id", "study_id"}
        result[table.name] = [
            {
                key: names[key].get(value) if key in names else _moment(value, whole_seconds)
                for key, value in row.items()
                if key not in own and key != "study_name"
            }
            for row in rows[table.name]
            if row.get("study_id") == study_id or row.get("trial_id") in numbers
        ]
    return result


def _moment(value, whole_seconds):
    return value.replace(microsecond=0) if whole_seconds and hasattr(value, "hour") else value


def copy(source, target, file):
    source.export_study("full", file)
    return target.import_study(file)


def test_from_sqlite_over_postgresql_and_mariadb_back_to_sqlite(tmp_path):
    with ExitStack() as stack:
        postgres, mariadb = (stack.enter_context(database(k)) for k in ("postgresql", "mariadb"))
        urls = [f"sqlite:///{tmp_path}/a.db", postgres, mariadb, f"sqlite:///{tmp_path}/b.db"]
        stores = [stack.enter_context(Store.open(url)) for url in urls]
        fill(stores[0])
        for i, target in enumerate(stores[1:]):
            # The ids must not fit by chance.
            optuna.create_study(storage=target.optuna, study_name="before").enqueue_trial({"x": 1})
            moved = copy(stores[i], target, tmp_path / f"{i}.zip")
            assert (moved.name, moved.trials) == ("full", 4)
        before, on_postgres, on_mariadb, after = (content(one, "full") for one in stores)
        assert all(before.values())
        running = before["trials"][2]
        assert running["state"] == TrialState.RUNNING
        running["state"] = TrialState.WAITING
        assert on_postgres == before
        # MySQL keeps Optuna's own moments to the second, and nothing else less exactly.
        assert on_mariadb == after
        for table in ("trials", "trial_heartbeats"):
            for row, other in zip(before.pop(table), after.pop(table), strict=True):
                assert row.keys() == other.keys()
                for key, value in row.items():
                    if hasattr(value, "hour"):
                        assert abs(value - other[key]) < timedelta(seconds=1)
                    else:
                        assert value == other[key]
        assert after == before
        trials = [
            [(t.number, t.state, t.params, t.distributions, t.values, t.constraints, t.user_attrs,
              str(t.intermediate_values))
             for t in optuna.load_study(study_name="full", storage=one.optuna).trials]
            for one in (stores[1], stores[3])
        ]  # fmt: skip
        assert trials[0] == trials[1]


@pytest.fixture
def file(tmp_path):
    with Store.open(f"sqlite:///{tmp_path}/a.db") as store:
        fill(store)
        store.export_study("full", tmp_path / "full.zip")
    return tmp_path / "full.zip"


def rewritten(file, change):
    """The archive with what `change` makes of its members."""
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in change(members).items():
            archive.writestr(name, text)


def manifest(members, **changes):
    content = {**json.loads(members["manifest.json"]), **changes}
    return {**members, "manifest.json": json.dumps(content)}


def test_the_file_holds_no_pickles_and_names_its_versions(file):
    with zipfile.ZipFile(file) as archive:
        assert {name.split(".")[1] for name in archive.namelist()} == {"jsonl", "json"}
        about = json.loads(archive.read("manifest.json"))
    assert about["versions"]["optuna"] == optuna.__version__
    assert about["tables"]["hps_epoch"]["rows"] == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: {**m, "trial_params.jsonl": m["trial_params.jsonl"].replace(b"0.33", b"0.34")},
         "damaged: its table trial_params"),
        (lambda m: {**m, "hps_epoch.jsonl": b""}, "damaged: its table hps_epoch"),
        (lambda m: {**m, "trials.jsonl": b'{"trial_id": 1, "state": "LOST"}\n'}, "damaged"),
        (lambda m: {k: v for k, v in m.items() if k != "trials.jsonl"}, "damaged"),
        (lambda m: {k: v for k, v in m.items() if k != "manifest.json"}, "no study that this"),
        (lambda m: manifest(m, format="hpsearch.study/9"), "no study that this"),
        (lambda m: manifest(m, hpsearch_schema="9999"), "newer hpsearch"),
        (lambda m: manifest(m, optuna_schema="v9"), "written with Optuna"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_whole_changes_nothing(file, tmp_path, change, says):
    rewritten(file, change)
    with Store.open(f"sqlite:///{tmp_path}/b.db") as store:
        before = store.table_counts()
        with pytest.raises(InputError, match=says):
            store.import_study(file)
        assert store.table_counts() == before


def test_no_damage_of_a_disk_or_a_stranger_does_more_than_be_told(file, tmp_path):
    """Bytes changed at random, an end cut off, and a row of 100 MB that fills the memory."""
    good, generator = file.read_bytes(), random.Random(0)
    copies = [good[: len(good) // 2]]
    for _ in range(40):
        copy = bytearray(good)
        copy[generator.randrange(len(copy))] ^= 1 << generator.randrange(8)
        copies.append(bytes(copy))
    rewritten(file, lambda m: {**m, "trials.jsonl": bytes(100_000_000)})
    refused = 0
    with Store.open(f"sqlite:///{tmp_path}/b.db") as store:
        for copy in [file.read_bytes(), *copies]:
            file.write_bytes(copy)
            try:
                store.import_study(file, f"study {refused}")  # a date may be changed unharmed
            except InputError:
                refused += 1
        assert refused > 20
        assert store.table_counts()["studies"] == 42 - refused


def test_other_files_and_taken_names_are_refused(file, tmp_path):
    (tmp_path / "no.zip").write_text("no archive")
    with Store.open(f"sqlite:///{tmp_path}/a.db") as store:
        with pytest.raises(InputError, match="--study"):
            store.import_study(file)
        for name in ("no.zip", "none.zip"):
            with pytest.raises(InputError):
                store.import_study(tmp_path / name)
        assert store.import_study(file, "again").name == "again"
        once, twice = content(store, "full"), content(store, "again")
        once["trials"][2]["state"] = TrialState.WAITING
        assert once == twice


def test_a_run_that_was_going_on_has_ended_in_the_copy(tmp_path):
    with Store.open(f"sqlite:///{tmp_path}/a.db") as store:
        fill(store)
        with store.engine.begin() as connection:
            connection.execute(sa.update(schema.run).values(ended_at=None, outcome=None))
        store.export_study("full", tmp_path / "full.zip")
        store.import_study(tmp_path / "full.zip", "copy")
        with store.engine.connect() as connection:
            old, new = connection.execute(sa.select(schema.run).order_by("run_id")).all()
    assert (old.outcome, new.outcome) == (None, "moved")


def test_a_database_that_cannot_hold_the_name_says_so_at_once(file):
    """MariaDB calls it operational, as it does a lost connection, which would be waited for."""
    with database("mariadb") as url:
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.exec_driver_sql("ALTER DATABASE CHARACTER SET latin1")
        engine.dispose()
        with Store.open(url) as store:
            with pytest.raises(InputError, match="the character set utf8mb4"):
                store.import_study(file, "研究🎉")
            assert store.import_study(file, "Müller").name == "Müller"
