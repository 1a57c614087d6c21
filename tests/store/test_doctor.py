"""`doctor` finds each thing that is wrong with a store, and mends what can be mended."""

import socket
import subprocess
import sys
from datetime import timedelta

import optuna
import pytest
import sqlalchemy as sa
from full_study import fill
from store_databases import any_database
from typed import typed

from hpsearch.store import Store, doctor
from hpsearch.store.archive import TABLES
from hpsearch.store.doctor import examine
from hpsearch.store.server import clock
from hpsearch.store.tables import schema
from hpsearch.store.tables.optuna_tables import PARAMS, TRIALS

optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"], scope="module")
def shared_url(request, tmp_path_factory):
    """A database with the tables made: MariaDB takes two seconds to make them."""
    with any_database(request.param, tmp_path_factory.mktemp("doctor")) as url:
        yield url


@pytest.fixture
def store(shared_url, tmp_path, monkeypatch):
    """A store in which nothing is wrong: this process runs a trial."""
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path))
    with Store.open(shared_url) as store:
        execute(store, *(sa.delete(table) for table in reversed(TABLES)))
        fill(store)
        execute(store, sa.update(schema.artifact).values(path=str(tmp_path)))
        yield store


def execute(store, *statements):
    with store.engine.begin() as connection:
        if connection.dialect.name == "mysql":
            connection.exec_driver_sql("SET FOREIGN_KEY_CHECKS = 0")
        for statement in statements:
            connection.execute(statement)


def wrong(store, **options):
    return {one.what: one.text for one in examine(store, **options) if not one.fine}


def test_nothing_is_wrong_with_a_good_store(store):
    assert wrong(store) == {}


def first_id(store):
    return store.trials("full")[0]["trial_id"]


def spoil_json(store):
    table = sa.table("hps_epoch", sa.column("metrics"))
    execute(store, sa.update(table).values(metrics="{no json"))


def spoil_a_range(store):
    execute(store, sa.update(PARAMS).values(distribution_json='{"name": "Lost"}'))


def kill_the_worker(store):
    """As if the process that runs trial 2 had ended without a word."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    running = sa.select(TRIALS.c.trial_id).where(TRIALS.c.state == optuna.trial.TrialState.RUNNING)
    execute(store, sa.update(schema.trial)
            .where(schema.trial.c.trial_id.in_(running)).values(pid=gone.pid))  # fmt: skip


def abandon_a_run(store):
    with store.engine.connect() as connection:
        now = connection.execute(sa.select(clock.server_now())).scalar_one()
    long_ago = now - timedelta(hours=1)
    execute(store, sa.update(schema.run).values(ended_at=None, seen_at=long_ago))


def lose_a_trial(store):
    row = {"trial_id": 10**6, "epoch": 1, "stage": "s", "epochs": 1, "metrics": {}, "lrs": []}
    execute(store, sa.insert(schema.epoch).values(**row, recorded_at=schema.utc_now()))


def delete_the_artifact(store):
    execute(
        store,
        sa.update(schema.artifact).values(path="/no/such/model"),
        sa.update(schema.trial).values(host=socket.gethostname()[:255]),
    )


def leave_a_checkpoint(store):
    study = optuna.load_study(study_name="full", storage=store.optuna)
    study.set_user_attr("hps_uid", "0123456789ab")
    for number in (0, 2):
        (doctor.home() / "checkpoints" / "full-0123456789ab" / str(number)).mkdir(parents=True)


@pytest.mark.parametrize(
    ("harm", "what", "says"),
    [
        (kill_the_worker, "zombies", "trial 2 of full"),
        (abandon_a_run, "runs", "run "),
        (lose_a_trial, "orphans", "1 in hps_epoch"),
        (delete_the_artifact, "artifacts", "/no/such/model"),
        (leave_a_checkpoint, "checkpoints", "full-0123456789ab/0"),
    ],
)
def test_what_can_be_mended_is(store, harm, what, says):
    harm(store)
    found = wrong(store)
    assert set(found) == {what}
    assert says in found[what]
    assert "--mend" in found[what]
    assert wrong(store, mend=True) == {}
    assert wrong(store) == {}
    counts = store.table_counts()
    assert (counts["trials"], counts["hps_trial"]) == (5, 4)


def test_a_zombie_is_put_back_and_a_checkpoint_of_a_running_trial_kept(store):
    kill_the_worker(store)
    leave_a_checkpoint(store)
    examine(store, mend=True)
    assert store.studies()[0].counts == {"complete": 1, "fail": 1, "waiting": 2}
    assert [
        one.name for one in (doctor.home() / "checkpoints" / "full-0123456789ab").iterdir()
    ] == ["2"]


def count_twice(store):
    execute(store, sa.update(TRIALS).where(TRIALS.c.number == 1).values(number=0))


def lose_a_value(store):
    execute(store, sa.text("DELETE FROM trial_values"))


def end_before_start(store):
    earlier = schema.utc_now() - timedelta(days=1)
    first = TRIALS.c.trial_id == first_id(store)
    execute(store, sa.update(TRIALS).where(first).values(datetime_complete=earlier))


@pytest.mark.parametrize(
    ("harm", "what", "says"),
    [
        (count_twice, "numbers", "full"),
        (lose_a_value, "values", "trial 0 of full"),
        (end_before_start, "times", "trial 0 of full"),
    ],
)
def test_what_cannot_be_mended_is_said_and_left(store, harm, what, says):
    harm(store)
    for mend in (True, False):
        found = wrong(store, mend=mend)
        assert set(found) == {what}
        assert says in found[what]


def test_a_full_disk_is_told(store, monkeypatch):
    monkeypatch.setattr(doctor, "MIN_FREE_BYTES", 2**62)
    assert all("make room" in text for text in wrong(store).values())
    assert "disk of checkpoints" in wrong(store)


def test_the_command(tmp_path):
    status, _, err = typed(tmp_path, "doctor")
    assert (status, "There is no store" in err) == (2, True)
    assert list(tmp_path.glob("*.db")) == []
    url = f"sqlite:///{tmp_path}/store.db"
    with Store.open(url) as store:
        fill(store)
        execute(store, sa.update(schema.artifact).values(path=str(tmp_path)))
        lose_a_trial(store)
    status, out, _ = typed(tmp_path, "doctor", "--storage", url)
    assert status == 1
    assert [line for line in out.splitlines() if line.startswith("WRONG")] == [
        "WRONG  orphans             1 in hps_epoch: rows of trials or studies that were deleted; "
        "--mend removes them"
    ]
    status, out, _ = typed(tmp_path, "doctor", "--storage", url, "--mend")
    assert status == 0
    assert "mended orphans             1 in hps_epoch: removed" in out
    with sa.create_engine(url).begin() as connection:
        connection.exec_driver_sql("UPDATE hps_alembic_version SET version_num = '0001'")
    status, out, _ = typed(tmp_path, "doctor", "--storage", url)
    assert "the newest, brought there from 0001" in out.splitlines()[0]


def test_enqueue(tmp_path):
    url = f"sqlite:///{tmp_path}/store.db"
    with Store.open(url) as store:
        fill(store)
    status, _, err = typed(tmp_path, "enqueue", "full", "lr=0.01", "--storage", url)
    assert (status, "was not made by `hpsearch run`" in err) == (2, True)
