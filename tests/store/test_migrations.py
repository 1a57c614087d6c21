"""A store of every earlier schema, kept as SQL in dumps/, becomes one of today's, whole."""

from pathlib import Path

import pymysql
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from optuna.trial import TrialState
from store_databases import database

from hpsearch.store import Store
from hpsearch.store.queue import queue
from hpsearch.store.queue.processes import this_worker
from hpsearch.store.tables import migrate, schema

DUMPS = Path(__file__).parent / "dumps"
KINDS = ("sqlite", "postgresql", "mariadb")


def revisions():
    folder = str(Path(migrate.__file__).parent / "migrations")
    return [one.revision for one in ScriptDirectory(folder).walk_revisions()]


def load(url, path):
    """Run the statements of a dump in an empty database."""
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool, connect_args=_several(url))
    raw = engine.raw_connection()
    text = path.read_text()
    if url.startswith("sqlite"):
        raw.executescript(text)
    else:
        cursor = raw.cursor()
        cursor.execute(("SET FOREIGN_KEY_CHECKS = 0;" if "mysql" in url else "") + text)
        while "mysql" in url and cursor.nextset():
            pass
        raw.commit()
    raw.close()


def _several(url):
    flags = pymysql.constants.CLIENT.MULTI_STATEMENTS
    return {"client_flag": flags} if "mysql" in url else {}


def everything(url):
    """Every row of every table but the versions, as the database itself knows them."""
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    found = sa.MetaData()
    found.reflect(engine)
    with engine.connect() as connection:
        return {
            name: [dict(row) for row in connection.execute(sa.select(table)).mappings()]
            for name, table in found.tables.items()
            if name != migrate.VERSION_TABLE
        }


@pytest.fixture(params=sorted(DUMPS.glob("*.sql")), ids=lambda path: path.stem)
def old_store(request, tmp_path):
    """The URL of a database that holds a store of an earlier schema."""
    kind = request.param.stem.split("-")[1]
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path}/old.db"
        load(url, request.param)
        yield url
        return
    with database(kind) as url:
        load(url, request.param)
        yield url


def test_every_revision_but_the_newest_is_kept_for_every_kind():
    earlier = set(revisions()) - {migrate.HEAD}
    kept = {path.stem for path in DUMPS.glob("*.sql")}
    missing = {f"{revision}-{kind}" for revision in earlier for kind in KINDS} - kept
    assert not missing, "make them with tests/store/make_dumps.py of the commit before"


def test_an_old_store_is_migrated_without_loss_and_can_be_used(old_store):
    before = everything(old_store)
    assert all(before[table] for table in ("trials", "hps_trial", "hps_epoch", "hps_rule"))
    with Store.open(old_store, create=False) as store:
        assert migrate.current(store.engine) == migrate.HEAD
        with store.engine.connect() as connection:
            context = MigrationContext.configure(
                connection,
                opts={
                    "include_name": lambda name, kind, _: kind != "table" or name.startswith("hps"),
                    "version_table": migrate.VERSION_TABLE,
                },
            )
            assert compare_metadata(context, schema.metadata) == []
        after = everything(old_store)
        for table, rows in before.items():
            assert [
                {key: new[key] for key in old} for old, new in zip(rows, after[table], strict=True)
            ] == rows
        (study,) = [one.ref for one in store.studies() if one.name == "full"]
        claim = queue.claim(store.engine, study, this_worker(), None)
        assert claim is not None
        store.optuna.set_trial_state_values(claim.trial_id, TrialState.COMPLETE, [1.0, 2.0])
        run_id = store.start_run(
            study, trials=1, workers=1, engine="local", machine="m", host="h", pid=1, job={"a": 1}
        )
        assert run_id > 1
