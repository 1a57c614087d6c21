"""A study written to a table and read back is the same study."""

import math
from datetime import datetime

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from hpsearch.errors import InputError
from hpsearch.exchange import ColumnChoice, export_study, import_trials
from hpsearch.store import Store

LR = FloatDistribution(1e-5, 0.1, log=True)
WIDER = FloatDistribution(1e-5, 1.0, log=True)
LAYERS = IntDistribution(1, 8)
WIDTH = IntDistribution(64, 512, step=64)
KIND = CategoricalDistribution([None, True, 7, "1", 0.1, "true", "", 'a, b\n"c"', " x "])
DROP = FloatDistribution(0.0, 0.5, step=0.1)


@pytest.fixture
def store(tmp_path):
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        yield opened


def motley():
    """Every distribution, state and kind of attribute, a changed range and inactive parameters."""
    study = optuna.create_study(direction="maximize", study_name="motley")
    study.set_metric_names(["accuracy"])
    study.set_user_attr("hps_defaults", {"lr": 0.01})
    rng = np.random.default_rng(0)
    for row, choice in enumerate(KIND.choices * 2):
        params = {"lr": float(np.exp(rng.uniform(-11, -3))), "kind": choice, "width": 128}
        space = {"lr": LR if row % 5 else WIDER, "kind": KIND, "width": WIDTH}
        if row % 3:
            params |= {"layers": row % 8 + 1, "drop": 0.1 * (row % 6)}
            space |= {"layers": LAYERS, "drop": DROP}
        study.add_trial(
            create_trial(
                params=params, distributions=space, value=float(rng.normal()),
                user_attrs={"n": row, "mixed": row if row % 2 else "7", "w": "NaN", "l": [1, "x"]},
                system_attrs={"constraints": [0.5, -1.0]},
                intermediate_values={1: 0.1, 2: math.inf if row == 3 else 0.2},
            )
        )  # fmt: skip
    for state in (TrialState.FAIL, TrialState.RUNNING, TrialState.WAITING):
        study.add_trial(create_trial(state=state, user_attrs={"flag": True, "none": None}))
    reports = {1: 0.5, 3: 0.25}
    study.add_trial(
        create_trial(
            state=TrialState.PRUNED, value=0.25, params={"lr": 0.1}, distributions={"lr": WIDER},
            intermediate_values=reports,
        )
    )  # fmt: skip
    study.add_trial(create_trial(value=math.inf, params={"lr": 1e-5}, distributions={"lr": WIDER}))
    return study


def content(trial):
    """All of a trial, with the types of its values."""
    params = {name: (type(value), value) for name, value in trial.params.items()}
    attrs = {key: repr(value) for key, value in trial.user_attrs.items()}
    spaces = {name: repr(one) for name, one in trial.distributions.items()}
    return (
        trial.number, trial.state, trial.values, params, spaces, attrs, trial.system_attrs,
        trial.intermediate_values, trial.datetime_start, trial.datetime_complete,
    )  # fmt: skip


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_study_comes_back_as_it_was(tmp_path, store, suffix):
    study = motley()
    file = tmp_path / f"trials.{suffix}"
    assert export_study(study, file) == len(study.trials)
    back = import_trials(store, file, "back", ColumnChoice(["accuracy"])).study
    assert back.direction == study.direction
    assert back.metric_names == ["accuracy"]
    assert back.user_attrs == study.user_attrs
    for one, other in zip(study.trials, back.trials, strict=True):
        assert content(one) == content(other)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_several_objectives_come_back(tmp_path, store, suffix):
    study = optuna.create_study(directions=["maximize", "minimize"])
    for x in (0.1, 0.2):
        params = {"params": {"x": x}, "distributions": {"x": FloatDistribution(0, 1)}}
        study.add_trial(create_trial(values=[x, 1 / x], **params))
    export_study(study, tmp_path / f"two.{suffix}")
    back = import_trials(store, tmp_path / f"two.{suffix}", "two").study
    assert [one.name for one in back.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert [trial.values for trial in back.trials] == [[0.1, 10.0], [0.2, 5.0]]


def test_other_tools_read_the_table(tmp_path):
    """pandas, which knows nothing of us, sees Optuna's own data frame."""
    import pandas as pd

    study = motley()
    export_study(study, tmp_path / "trials.csv")
    table, theirs = pd.read_csv(tmp_path / "trials.csv"), study.trials_dataframe()
    assert set(theirs.columns) - {"duration"} <= set(table.columns)
    assert np.allclose(table["params_lr"], theirs["params_lr"], rtol=0, atol=0, equal_nan=True)
    assert list(table["state"]) == list(theirs["state"])


def test_bulk_writing_equals_optunas_own(store):
    """What `add_trials` writes is what Study.add_trials writes, in every table."""
    from hpsearch.store.trials.write.finished import add_trials

    study = motley()
    theirs = optuna.create_study(storage=store.optuna, study_name="theirs")
    ours = optuna.create_study(storage=store.optuna, study_name="ours")
    theirs.add_trials(study.trials)
    add_trials(store.engine, ours._study_id, study.trials)
    for one, other in zip(theirs.trials, ours.trials, strict=True):
        assert content(one) == content(other)


def test_what_cannot_be_written_or_read_back(tmp_path, store):
    study = optuna.create_study(study_name="empty")
    with pytest.raises(InputError, match="no trials yet"):
        export_study(study, tmp_path / "x.csv")
    with pytest.raises(InputError, match=r"name a \.csv or a \.parquet"):
        export_study(motley(), tmp_path / "x.xlsx")
    export_study(motley(), tmp_path / "x.csv")
    import_trials(store, tmp_path / "x.csv", "here")
    with pytest.raises(InputError, match="has a study 'here' already"):
        import_trials(store, tmp_path / "x.csv", "here")
    with pytest.raises(InputError, match="leave out the options"):
        import_trials(store, tmp_path / "x.csv", "there", ColumnChoice(directions=["minimize"]))
    lines = (tmp_path / "x.csv").read_text().splitlines()
    (tmp_path / "y.csv").write_text("\n".join([lines[0], *lines[2:]]))
    with pytest.raises(InputError, match="keep the first row first"):
        import_trials(store, tmp_path / "y.csv", "there")
    assert [summary.name for summary in store.studies()] == ["here"]


def test_times_survive_in_the_zone_of_this_machine(tmp_path, store):
    study = optuna.create_study()
    trial = create_trial(value=1.0, params={"x": 0.5}, distributions={"x": FloatDistribution(0, 1)})
    trial.datetime_start = datetime(2026, 7, 1, 12, 0, 0, 123456)
    trial.datetime_complete = datetime(2026, 7, 1, 12, 0, 9)
    study.add_trial(trial)
    export_study(study, tmp_path / "t.parquet")
    back = import_trials(store, tmp_path / "t.parquet", "back").study.trials[0]
    assert (back.datetime_start, back.datetime_complete) == (
        trial.datetime_start,
        trial.datetime_complete,
    )
