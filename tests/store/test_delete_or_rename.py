"""A study is deleted whole, or called otherwise, in every kind of store; not while it is run."""

import full_study
import optuna
import pytest
import sqlalchemy as sa

from hpsearch.errors import InputError
from hpsearch.store import Store
from hpsearch.store.delete_or_rename import delete_study, named, rename_study
from hpsearch.store.queue.fence import StudyRef
from hpsearch.store.queue.processes import this_worker
from hpsearch.store.tables import attributes, schema
from hpsearch.store.tables.optuna_private import study_id


def counts(store):
    """The rows of every table that has any, those about no study left out."""
    with store.engine.begin() as connection:
        connection.execute(sa.delete(schema.event).where(schema.event.c.study_id.is_(None)))
    found = store.table_counts()
    return {name: n for name, n in found.items() if n and "version" not in name}


def test_nothing_of_a_deleted_study_is_left_and_nothing_of_another_is_touched(store):
    full_study.fill(store)
    delete_study(store, named(store, "other"))
    with_one = counts(store)
    # A second study of the same trials, under other numbers.
    again = optuna.create_study(storage=store.optuna, study_name="again")
    again.enqueue_trial({"lr": 1.0})
    assert counts(store) != with_one
    delete_study(store, named(store, "again"))
    assert counts(store) == with_one
    delete_study(store, named(store, "full"))
    assert counts(store) == {}


def test_a_renamed_study_keeps_everything_and_its_verifications_know_it(store):
    full_study.fill(store)
    pairs = optuna.create_study(storage=store.optuna, study_name="full-pairs")
    pairs.set_user_attr(attributes.VERIFIES, "full")
    before = counts(store)
    rename_study(store, named(store, "full"), "naïve 模型")
    assert counts(store) == before
    assert len(store.rules("naïve 模型")) == 2
    assert named(store, "full-pairs").attrs[attributes.VERIFIES] == "naïve 模型"
    for name, says in (
        ("full-pairs", "has a study 'full-pairs' already"),
        (" ", "1 to 100"),
        ("x" * 101, "1 to 100"),
        ("a\x1b[2Jb", "holds control characters"),
        ("two\nlines", "holds control characters"),
    ):
        with pytest.raises(InputError, match=says):
            rename_study(store, named(store, "naïve 模型"), name)


def test_a_study_that_is_run_is_left_alone_until_its_run_has_ended_or_died(store):
    study = optuna.create_study(storage=store.optuna, study_name="busy")
    me = this_worker()
    ref = StudyRef(study_id(study), "busy", None)
    run_id = store.start_run(
        ref, trials=1, workers=1, engine="local", machine=me.machine, host="here", pid=me.pid
    )
    for change in (lambda: delete_study(store, named(store, "busy")),
                   lambda: rename_study(store, named(store, "busy"), "idle")):  # fmt: skip
        with pytest.raises(InputError, match=r"busy is being run \(1 run on here\): end that"):
            change()
    with store.engine.begin() as connection:  # its process is gone
        gone = sa.update(schema.run).where(schema.run.c.run_id == run_id)
        connection.execute(gone.values(pid=2**22 + 1))
    rename_study(store, named(store, "busy"), "idle")
    delete_study(store, named(store, "idle"))
    assert store.studies() == []


def test_a_whole_name_is_wanted(tmp_path):
    with Store.open(f"sqlite:///{tmp_path}/a.db") as store:
        optuna.create_study(storage=store.optuna, study_name="imdb-clas-quick")
        with pytest.raises(InputError, match=r"no study 'imdb-clas' \(did you mean imdb-clas-qu"):
            named(store, "imdb-clas")
