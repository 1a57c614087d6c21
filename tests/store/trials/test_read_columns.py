"""Columns and trials read by SQL are those of Optuna's own trials, on every database."""

import math

import numpy as np
import optuna
import sqlalchemy as sa
from motley import motley_trials
from optuna.trial import TrialState, create_trial

from hpsearch.store.tables.optuna_tables import TRIALS, VALUES
from hpsearch.store.trials.frozen import read_trials
from hpsearch.store.trials.read_columns import _trials, read_columns
from hpsearch.store.trials.write.finished import add_trials


def test_columns_are_those_of_optunas_trials(store):
    study = optuna.create_study(storage=store.optuna, study_name="motley", direction="maximize")
    study.set_user_attr("hps_defaults", {"lr": 0.01})
    assert add_trials(store.engine, study._study_id, motley_trials(moved=True)) == 200
    found = read_columns(store.engine, study._study_id)
    trials = [trial for trial in study.trials if trial.state.is_finished()]
    assert found.study == "motley"
    assert found.study_attrs == {"hps_defaults": {"lr": 0.01}}
    assert found.number.tolist() == [trial.number for trial in trials]
    assert found.state.tolist() == [int(trial.state) for trial in trials]
    values = [np.nan if trial.values is None else trial.values[0] for trial in trials]
    np.testing.assert_array_equal(found.values[:, 0], values)
    assert np.isinf(found.values).sum() == 1
    last = [max(trial.intermediate_values.items(), default=(np.nan, np.nan)) for trial in trials]
    np.testing.assert_array_equal(found.last_step, [step for step, _ in last])
    np.testing.assert_array_equal(found.last_report, [value for _, value in last])
    for name, param in found.params.items():
        truth = {row: t.params[name] for row, t in enumerate(trials) if name in t.params}
        read = {int(row): param.distinct()[one] for row, one in zip(param.row, param.which)}  # noqa: B905
        assert read == truth
    assert found.attrs["hps_seed"] == {
        row: t.user_attrs["hps_seed"] for row, t in enumerate(trials) if t.user_attrs
    }
    assert len(trials) < len(study.trials)
    assert TrialState.RUNNING in {trial.state for trial in study.trials}


def words(trial):
    """All of a trial in words, since NaN is not equal to itself, and True is equal to 1."""
    unordered = {"_user_attrs", "_system_attrs", "intermediate_values"}
    return {
        key: repr(sorted(held.items()) if key in unordered else held)
        for key, held in vars(trial).items()
    }


def test_trials_are_those_of_optuna(store):
    study = optuna.create_study(storage=store.optuna, directions=["maximize", "minimize"])
    add_trials(store.engine, study._study_id, motley_trials(moved=True))
    study.add_trial(create_trial(values=[1.5, -math.inf], system_attrs={"a:b": {"c": None}}))
    study.enqueue_trial({"lr": 0.1})
    study.ask()  # runs, and has a time
    found, theirs = read_trials(store.engine, study._study_id), study.get_trials()
    assert len(theirs) == 202
    for one, other in zip(found, theirs, strict=True):
        assert words(one) == words(other)


def test_a_trial_that_ends_meanwhile_is_left_out_whole(store, monkeypatch):
    """All queries see one moment: what another worker ends between them belongs to no row yet."""

    study = optuna.create_study(storage=store.optuna, study_name="busy")
    study.add_trials(motley_trials(12)[:5])
    late, read_rows = study.ask(), _trials

    def slow(*arguments):
        rows = read_rows(*arguments)
        other = sa.create_engine(store.secret_url)
        with other.begin() as connection:
            connection.execute(
                sa.insert(VALUES).values(
                    trial_id=late._trial_id, objective=0, value=7.0, value_type="FINITE"
                )
            )
            connection.execute(
                sa.update(TRIALS)
                .where(TRIALS.c.trial_id == late._trial_id)
                .values(state="COMPLETE")
            )
        other.dispose()
        return rows

    monkeypatch.setattr("hpsearch.store.trials.read_columns._trials", slow)
    found = read_columns(store.engine, study._study_id)
    assert found.number.tolist() == [0, 1, 2, 3, 4]
    assert 7.0 not in found.values


def test_a_study_without_trials_has_columns(store):
    study = optuna.create_study(storage=store.optuna, study_name="empty")
    found = read_columns(store.engine, study._study_id)
    assert found.params == {}
    assert found.values.shape == (0, 1)
