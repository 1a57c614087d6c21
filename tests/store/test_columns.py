"""Columns read by SQL are those of Optuna's own trials, on every database."""

import numpy as np
import optuna
from motley import motley_trials
from optuna.trial import TrialState

from hpsearch.store.bulk import add_trials
from hpsearch.store.sql_columns import read_columns


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


def test_a_study_without_trials_has_columns(store):
    study = optuna.create_study(storage=store.optuna, study_name="empty")
    found = read_columns(store.engine, study._study_id)
    assert found.params == {}
    assert found.values.shape == (0, 1)
