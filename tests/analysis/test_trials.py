"""Trials read by SQL and one by one give the same columns, hence the same explanation."""

import math

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from hpsearch.analysis import explain
from hpsearch.analysis.frame import build_frame, read_study
from hpsearch.analysis.trials import columns_of, columns_of_trials
from hpsearch.store.bulk import add_trials


def motley_trials(n=200, *, moved=False):
    """Changed ranges and choices, branches, replicates, every state, reports, infinite values."""
    rng = np.random.default_rng(3)
    wide, narrow = FloatDistribution(1e-5, 1.0, log=True), FloatDistribution(1e-4, 0.1, log=True)
    kinds = [CategoricalDistribution(["b", "a"]), CategoricalDistribution(["a", "b", None, 3])]
    steps = IntDistribution(1, 9)
    trials = []
    for number in range(n):
        lr = narrow if number % 3 else wide
        kind = kinds[number > n // 2 and moved]
        params = {"lr": float(np.exp(rng.uniform(-9, -3))), "kind": kind.choices[number % 2]}
        space = {"lr": lr, "kind": kind}
        if params["kind"] == "a":
            params["n"], space["n"] = int(rng.integers(1, 10)), steps
        attrs = {"hps_cohort": "design", "hps_seed": number, "other": [1]}
        if number % 20 == 19:
            params, space = trials[number - 5].params, trials[number - 5].distributions
            attrs["hps_replicate_of"] = number - 5
        state = TrialState.COMPLETE
        if number % 7 == 6:
            state = (TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING)[number % 3]
        value = -((math.log(params["lr"]) + 5) ** 2) + rng.normal()
        reports = {1: value - 1, 2: math.nan if number == 6 else value}
        trials.append(
            create_trial(
                state=state, params=params, distributions=space, user_attrs=attrs,
                value=value if state == TrialState.COMPLETE else None,
                intermediate_values=reports if number % 4 else {},
            )
        )  # fmt: skip
    trials[11] = create_trial(
        value=math.inf, params=trials[11].params, distributions=trials[11].distributions
    )
    return trials


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
