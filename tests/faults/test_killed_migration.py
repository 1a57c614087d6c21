"""A process killed after any of the statements with which it makes or migrates a store."""

import os
import signal
from pathlib import Path

import optuna
import pytest
import sqlalchemy as sa
from store.test_migrations import DUMPS, load
from store_databases import database

from hpsearch.store import Store
from hpsearch.store.tables import migrate

WRITES = ("CREATE", "ALTER", "INSERT", "UPDATE", "DELETE", "DROP")


def killed_after(url, count):
    """Open the store in a process that is killed after `count` statements that write: whether it
    was, and did not get to the end before."""
    child = os.fork()
    if child == 0:
        done = 0

        @sa.event.listens_for(sa.Engine, "after_cursor_execute")
        def after(connection, cursor, statement, *_):
            nonlocal done
            done += statement.lstrip().upper().startswith(WRITES)
            if done == count:
                os.kill(os.getpid(), signal.SIGKILL)

        status = 1
        try:
            Store.open(url).close()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def check_whole(url, studies):
    """The store can be used, and is what it would be without the kill."""
    with Store.open(url) as store:
        assert migrate.current(store.engine) == migrate.HEAD
        tables = set(store.table_counts())
        assert {"studies", "trials", "alembic_version", "hps_run", "hps_artifact"} <= tables
        counts = store.table_counts()
        assert (counts["alembic_version"], counts["version_info"]) == (1, 1)
        assert counts[migrate.VERSION_TABLE] == 1
        assert "job" in {one["name"] for one in sa.inspect(store.engine).get_columns("hps_run")}
        indexes = {one["name"] for one in sa.inspect(store.engine).get_indexes("hps_event")}
        assert indexes >= {"ix_hps_event_study_id", "ix_hps_event_trial_id"}
        study = optuna.create_study(storage=store.optuna, study_name="after")
        study.add_trial(optuna.create_trial(value=1.0))
        assert [one.name for one in store.studies()] == [*studies, "after"]
        optuna.delete_study(study_name="after", storage=store.optuna)


def of_a_new_store(url, first, step):
    count = first
    while killed_after(url(), count):
        check_whole(url.last, [])
        count += step
    return count


class Urls:
    """New databases: `()` gives the URL of another."""

    def __init__(self, folder):
        self.folder, self.count = folder, 0

    def __call__(self):
        self.count += 1
        self.last = f"sqlite:///{self.folder / str(self.count)}.db"
        return self.last


def test_a_new_file_whose_making_is_killed(tmp_path):
    assert of_a_new_store(Urls(tmp_path), 1, 6) > 30


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_new_database_whose_making_is_killed(kind):
    """Again and again, each time a little further: what a crowd of killed jobs does."""
    with database(kind) as url:
        kills = 0
        while killed_after(url, 1 + 7 * kills):
            kills += 1
            assert kills < 20
        assert kills >= 1
        check_whole(url, [])


@pytest.mark.parametrize("path", sorted(DUMPS.glob("*.sql")), ids=lambda path: Path(path).stem)
def test_a_migration_that_is_killed(tmp_path, path):
    kind = path.stem.split("-")[1]
    count = 1
    while True:
        if kind == "sqlite":
            url = f"sqlite:///{tmp_path}/{count}.db"
            load(url, path)
            again = killed_after(url, count)
            check_whole(url, ["full", "other"])
        else:
            with database(kind) as url:
                load(url, path)
                again = killed_after(url, count)
                check_whole(url, ["full", "other"])
        if not again:
            break
        count += 1
    assert count > 1
