"""A study in the making: whoever looks at it meanwhile sees none of ours, or a whole one."""

from contextlib import contextmanager

import optuna
import pytest
import sqlalchemy as sa
from calls import run

from hpsearch.search import join
from hpsearch.search.plan.study_record import StudyChoice, StudyRecord
from hpsearch.store import Store
from hpsearch.store.make_study import write_attrs
from hpsearch.store.queue import queue
from hpsearch.store.queue.fence import StudyGoneError, StudyRef
from hpsearch.store.tables import attributes


@contextmanager
def at_every_statement(does):
    """Call `does` before each statement of any engine, but for those that it makes itself."""
    busy = []

    def step(*_):
        if not busy:
            busy.append(True)
            try:
                does()
            finally:
                busy.clear()

    sa.event.listen(sa.Engine, "before_cursor_execute", step)
    try:
        yield
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", step)


def test_others_may_come_at_any_moment_of_a_studys_making(spec, storage, console):
    """Another `run` that starts, and a worker that wants to join, look at the study before each of
    the statements that make and plan it."""
    preset, states = spec.resolve("quick"), []
    choice = StudyChoice(spec)
    with Store.open(storage) as mine:

        def look():
            StudyRecord.open(mine, choice, preset, spec.search, console)
            found = join._find(mine, choice, console)
            states.append(found and set(found.study.user_attrs))

        with at_every_statement(look):
            run(spec, trials=1, storage=storage, console=console)
    seen = [one for one in states if one]
    assert states[0] is None
    assert len(seen) > 5
    assert all(attributes.REQUIRED.keys() <= one for one in seen)


def test_a_run_that_dies_in_a_studys_making_leaves_it_to_the_next(spec, storage, console):
    """It dies when all attributes but the last are written."""

    class PowerError(Exception):
        pass

    def die(connection, cursor, statement, parameters, *_):
        if statement.startswith("INSERT INTO study_user_attr") and "hps_uid" in str(parameters):
            raise PowerError

    sa.event.listen(sa.Engine, "before_cursor_execute", die)
    try:
        with pytest.raises(PowerError):
            run(spec, trials=1, storage=storage, console=console)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", die)
    study = run(spec, trials=1, storage=storage, console=console)
    assert study.user_attrs.keys() >= attributes.REQUIRED.keys()


@pytest.mark.parametrize("moment", range(5))
def test_no_reading_finds_a_studys_trials_without_its_attributes(storage, moment):
    """Both are written, one after the other, before one of the statements of the reading."""
    with Store.open(storage) as store, Store.open(storage) as other:
        study, left = optuna.create_study(storage=other.optuna, study_name="s"), [None] * moment

        def make():
            if left:
                left.pop()
            elif not study.user_attrs:
                write_attrs(
                    other.engine, study, {attributes.STUDY: "s", attributes.UID: "0123456789ab"}
                )
                plan = [queue.Planned("design", 7, {})]
                queue.enqueue(other.engine, StudyRef.of(study), None, {}, lambda first: plan)

        with at_every_statement(make):
            (summary,) = store.studies()
        assert summary.attrs or not summary.trials, summary


def test_attributes_are_written_over_and_beside_those_that_are_there(storage):
    with Store.open(storage) as store:
        study = optuna.create_study(storage=store.optuna, study_name="s")
        study.set_user_attr("theirs", 1)
        study.set_user_attr("hps_seed", 1)
        write_attrs(store.engine, study, {"hps_seed": 2, "hps_space": {"é": [None, 1e-3]}})
        assert study.user_attrs == {
            "theirs": 1, "hps_seed": 2, "hps_space": {"é": [None, 1e-3]}
        }  # fmt: skip
        optuna.delete_study(study_name="s", storage=store.optuna)
        with pytest.raises(StudyGoneError):
            write_attrs(store.engine, study, {"hps_seed": 3})
