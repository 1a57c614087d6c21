"""Trials read by SQL and one by one give the same columns, hence the same explanation."""

import numpy as np
import optuna
import pytest
from motley import motley_trials
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial

from hpsearch.analysis import explain
from hpsearch.analysis.read.frame import build_frame, read_study
from hpsearch.store.trials.read_columns import columns_of, columns_of_trials
from hpsearch.store.trials.write.finished import add_trials


@pytest.fixture(scope="module")
def motley(tmp_path_factory):
    """The same study in a database, in a journal and in memory."""
    folder = tmp_path_factory.mktemp("motley")
    journal = optuna.storages.journal.JournalFileBackend(str(folder / "journal.log"))
    storages = {
        "sqlite": f"sqlite:///{folder / 'trials.db'}",
        "journal": optuna.storages.JournalStorage(journal),
        "memory": None,
    }
    trials, studies = motley_trials(), {}
    for name, storage in storages.items():
        study = optuna.create_study(study_name="motley", storage=storage, direction="maximize")
        study.add_trials(trials)
        study.set_user_attr("hps_defaults", {"lr": 0.01})
        studies[name] = study
    return studies


def same(left, right):
    for name in left.__dataclass_fields__:
        one, other = getattr(left, name), getattr(right, name)
        if isinstance(one, np.ndarray):
            np.testing.assert_array_equal(one, other)
        else:
            assert one == other, name


@pytest.mark.parametrize("other", ["journal", "memory"])
def test_every_storage_gives_the_same_frame(motley, other):
    same(read_study(motley["sqlite"]), read_study(motley[other]))


def test_sql_equals_optunas_trials(motley):
    study = motley["sqlite"]
    ours, theirs = columns_of(study), columns_of_trials(study)
    assert list(ours.params) == list(theirs.params)
    np.testing.assert_array_equal(ours.seconds, theirs.seconds)
    np.testing.assert_array_equal(ours.values, theirs.values)
    np.testing.assert_array_equal(ours.last_report, theirs.last_report)
    assert ours.attrs == theirs.attrs
    same(build_frame(ours), build_frame(theirs))
    by_number = {t.number: t for t in study.trials}
    for name, param in ours.params.items():
        values = [param.distinct()[which] for which in param.which]
        for row, value in zip(param.row, values, strict=True):
            truth = by_number[int(ours.number[row])].params[name]
            assert value == truth
            assert type(value) is type(truth)


def test_the_explanation_is_the_same(motley):
    one, other = explain(motley["sqlite"]), explain(motley["memory"])
    assert one.to_json() == other.to_json()


def test_choices_that_moved_are_one_value(tmp_path):
    """Optuna forbids it, databases have it: 'a' was the second choice, then the first."""
    study = optuna.create_study(storage=f"sqlite:///{tmp_path / 'moved.db'}", direction="maximize")
    add_trials(study._storage._backend.engine, study._study_id, motley_trials(moved=True))
    frame = build_frame(columns_of(study))
    same(frame, build_frame(columns_of_trials(study)))
    kind = next(axis for axis in frame.axes if axis.name == "kind")
    assert sorted(map(str, kind.choices)) == ["3", "None", "a", "b"]
    assert len(columns_of(study).params["kind"].distinct()) == 2
    rows = {int(number): row for row, number in enumerate(frame.number)}
    assert frame.group[rows[39]] == frame.group[rows[34]]


def test_other_studies_of_the_database_stay_out(motley, tmp_path):
    url = f"sqlite:///{tmp_path / 'two.db'}"
    first = optuna.create_study(study_name="first", storage=url)
    second = optuna.create_study(study_name="second", storage=url, directions=["minimize"] * 2)
    engine = second._storage._backend.engine
    add_trials(engine, first._study_id, motley_trials(30))
    space = {"x": FloatDistribution(0, 1)}
    add_trials(
        engine, second._study_id,
        [create_trial(values=[x, -x], params={"x": x}, distributions=space) for x in (0.1, 0.2)],
    )  # fmt: skip
    columns = columns_of(second)
    assert list(columns.params) == ["x"]
    assert columns.values.tolist() == [[0.1, -0.1], [0.2, -0.2]]
    assert len(columns_of(first).params) == 3
