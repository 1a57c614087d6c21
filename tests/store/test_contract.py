"""The same facts on SQLite, PostgreSQL and MariaDB."""

import math

import optuna
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from hpsearch.store import Store
from hpsearch.store.queue import queue
from hpsearch.store.queue.fence import StudyRef
from hpsearch.store.queue.processes import this_worker
from hpsearch.store.summaries import states
from hpsearch.store.tables import migrate, schema
from hpsearch.trainers.contract import EpochRecord

optuna.logging.set_verbosity(optuna.logging.WARNING)


def record(epoch, **changes):
    values = {
        "stage": "classifier",
        "epoch": epoch,
        "epochs": 4,
        "train_loss": 0.5,
        "valid_loss": 0.25,
        "metrics": {"accuracy": 0.75},
        "lrs": (1e-3, 2e-3),
        "seconds": 1.5,
    }
    return EpochRecord(**{**values, **changes})


def finished_study(store, name="s", trials=2):
    study = optuna.create_study(storage=store.optuna, study_name=name, direction="maximize")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=trials)
    return study


def claimed(store, study):
    """A trial of ours in the study that this process runs."""
    ref, plan = StudyRef.of(study), [queue.Planned("design", 7, {})]
    queue.enqueue(store.engine, ref, 1, {}, lambda first: plan)
    return queue.claim(store.engine, ref, this_worker(), 1)


def test_the_migrated_tables_are_those_of_the_schema(store):
    def ours(name, kind, parent):
        return kind != "table" or name in schema.metadata.tables

    with store.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_name": ours, "version_table": migrate.VERSION_TABLE}
        )
        assert compare_metadata(context, schema.metadata) == []


def test_head_is_the_newest_migration():
    folder = str((migrate.Path(migrate.__file__).parent) / "migrations")
    assert ScriptDirectory(folder).get_current_head() == migrate.HEAD


def test_optunas_tables_and_version_stay_optunas(store, url):
    """A storage made by Optuna alone, without us, opens the store and finds what we wrote."""
    study = finished_study(store)
    plain = optuna.storages.RDBStorage(url)
    assert plain.get_current_version() == plain.get_head_version()
    loaded = optuna.load_study(study_name="s", storage=plain)
    assert [trial.value for trial in loaded.trials] == [trial.value for trial in study.trials]
    plain.remove_session()
    plain.engine.dispose()


def test_a_store_that_optuna_made_gets_our_tables(new_url):
    plain = optuna.storages.RDBStorage(new_url)
    optuna.create_study(storage=plain, study_name="theirs")
    plain.remove_session()
    plain.engine.dispose()
    with Store.open(new_url, create=False) as store:
        assert [study.name for study in store.studies()] == ["theirs"]
        assert store.table_counts()["hps_epoch"] == 0


def test_an_interrupted_migration_is_finished_by_the_next(new_url):
    """MySQL keeps the tables of a migration that was killed halfway."""
    engine = sa.create_engine(new_url)
    with engine.begin() as connection:
        schema.metadata.create_all(connection, tables=[schema.run, schema.epoch])
    engine.dispose()
    with Store.open(new_url) as store:
        assert migrate.current(store.engine) == migrate.HEAD
        assert "hps_artifact" in store.table_counts()


def test_a_store_of_a_newer_version_is_refused(new_url):
    with Store.open(new_url) as store, store.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {migrate.VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(Exception, match="newer hpsearch"):
        Store.open(new_url)


def test_a_repeated_epoch_replaces_its_row(store):
    claim = claimed(store, finished_study(store, trials=0))
    store.record_epoch(claim, record(1))
    store.record_epoch(claim, record(2))
    store.record_epoch(claim, record(2, valid_loss=0.125, metrics={"accuracy": 0.8}))
    rows = store.epochs("s")
    assert [(row["number"], row["epoch"], row["valid_loss"]) for row in rows] == [
        (0, 1, 0.25),
        (0, 2, 0.125),
    ]
    assert rows[1]["metrics"] == {"accuracy": 0.8}
    assert rows[1]["lrs"] == [0.001, 0.002]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_can_be_stored(store, value):
    claim = claimed(store, finished_study(store, trials=0))
    store.record_epoch(
        claim, record(1, train_loss=value, valid_loss=value, metrics={"f1": value, "n": 3})
    )
    (row,) = store.epochs("s")
    assert row["train_loss"] is None
    assert row["valid_loss"] is None
    assert row["metrics"] == {"f1": None, "n": 3}


def test_a_double_comes_back_to_the_bit(store):
    claim = claimed(store, finished_study(store, trials=0))
    values = [0.1 + 0.2, 1 / 3, 1e-300, 5e-324, math.pi * 1e200]
    for epoch, value in enumerate(values, start=1):
        store.record_epoch(claim, record(epoch, train_loss=value))
    kept = [row["train_loss"] for row in store.epochs("s")]
    # MariaDB flushes the subnormal; every other number of 53 bits must be the same.
    assert [a for a in kept if a > 1e-307] == [a for a in values if a > 1e-307]


def test_an_event_keeps_any_text(store):
    study = finished_study(store)
    text = "naïve 模型 🤯 'quoted' 100% :colon {brace}"
    store.record_event("trial-failed", text, traceback="x\n" * 50_000, study=StudyRef.of(study))
    (event,) = store.events("s")
    assert event["message"] == text
    assert event["traceback"] == "x\n" * 50_000


def test_rules_are_those_of_the_newest_explanation(store):
    study = StudyRef.of(finished_study(store))
    rule = {"param": "lr", "kind": "optimum", "statement": "lr near 0.01", "value": 0.01}
    store.save_rules(study, [rule, {**rule, "param": "gone"}])
    store.save_rules(
        study,
        [
            {**rule, "low": 0.003, "high": 0.02, "level": 0.9, "payload": {"flags": ["edge"]}},
            {**rule, "param": "unfreeze", "value": True, "share": math.nan},
        ],
    )
    first, second = store.rules("s")
    assert (first["low"], first["high"], first["payload"]) == (0.003, 0.02, {"flags": ["edge"]})
    assert second["value"] is True
    assert second["share"] is None
    assert store.table_counts()["hps_rule"] == 4


def test_verifications_and_artifacts_are_kept(store):
    study = finished_study(store)
    store.save_verification(
        "s", param="lr", value=0.01, against=0.1, pairs=5, effect=0.02, low=0.01, high=0.03,
        verdict="confirmed",
    )  # fmt: skip
    store.record_artifact(
        StudyRef.of(study),
        study.trials[0]._trial_id,
        kind="model",
        path="/m",
        sha256="0" * 64,
        size=2**40,
    )
    assert store.verifications("s")[0]["against"] == 0.1
    assert store.artifacts("s")[0]["bytes"] == 2**40


def test_studies_are_summed_up(store):
    study = finished_study(store, trials=3)
    study.enqueue_trial({"x": 0.5})
    optuna.create_study(storage=store.optuna, study_name="empty", directions=["minimize"] * 2)
    summary, empty = store.studies()
    assert summary.counts == {"complete": 3, "waiting": 1}
    best = max(trial.value for trial in study.trials[:3])
    assert summary.best == ((best, study.best_trial.number),)
    assert (empty.trials, empty.best, empty.directions) == (0, (None, None), ("minimize",) * 2)
    assert states(store.engine, summary.study_id)[optuna.trial.TrialState.COMPLETE] == 3


def test_an_unknown_study_is_named(store):
    with pytest.raises(Exception, match="has no study 'nope'"):
        store.epochs("nope")
