"""An estimator as a trainer: what it measures is what scikit-learn's own cross-validation does."""

import re

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import hpsearch
from hpsearch.errors import InputError
from hpsearch.models.train import describe_epoch
from hpsearch.study.trainers import trainer_module
from hpsearch.trainers.contract import PrepareSetup, TrialSetup

TREE = "sklearn:sklearn.tree.DecisionTree"


@pytest.fixture
def table(tmp_path):
    """Two columns of numbers, one of categories, a class and a number to predict."""
    rng = np.random.default_rng(0)
    a, b, kind = rng.normal(size=120), rng.normal(size=120), rng.integers(0, 3, 120)
    label = np.where(a + 0.5 * rng.normal(size=120) > 0, "yes", "no")
    frame = pd.DataFrame({"a": a, "b": b, "kind": np.array(["x", "y", "z"])[kind], "label": label})
    frame["number"] = 3 * a + kind + 0.1 * rng.normal(size=120)
    frame.to_csv(tmp_path / "table.csv", index=False)
    return frame


def train(folder, name, data, **params):
    trainer, reports = trainer_module(name), []
    data = {"path": str(folder / "table.csv"), **data}
    prepared = trainer.prepare(data, {}, PrepareSetup(None, "cpu"))
    result = trainer.train({}, params, prepared, TrialSetup(7, "cpu", reports.append))
    assert set(prepared.metrics) == set(result.metrics)
    return result.metrics, reports


def test_a_classifier_is_measured_as_by_scikit_learn_and_reports_each_fold(tmp_path, table):
    data = {"target": "label", "ignore": ["number", "kind"], "folds": 4}
    found, reports = train(tmp_path, f"{TREE}Classifier", data, max_depth=2)
    parts = StratifiedKFold(4, shuffle=True, random_state=0)
    tree = DecisionTreeClassifier(max_depth=2, random_state=7)
    peer = cross_val_score(tree, table[["a", "b"]], table["label"], cv=parts)
    assert found["accuracy"] == pytest.approx(peer.mean())
    means = [one.metrics["accuracy"] for one in reports]
    assert means == pytest.approx(np.cumsum(peer) / np.arange(1, 5))


def test_a_regressor_is_measured_as_by_scikit_learn(tmp_path, table):
    data = {"target": "number", "ignore": ["label", "kind"]}
    found, _ = train(tmp_path, f"{TREE}Regressor", data, max_depth=3)
    tree = DecisionTreeRegressor(max_depth=3, random_state=7)
    parts = KFold(5, shuffle=True, random_state=0)
    how = {"cv": parts, "scoring": "neg_mean_squared_error"}
    peer = cross_val_score(tree, table[["a", "b"]], table["number"], **how)
    assert found["mse"] == pytest.approx(-peer.mean(), rel=1e-4)


@pytest.mark.parametrize(
    "name", ["linear_model.Ridge", "ensemble.HistGradientBoostingRegressor", "svm.SVR"]
)
def test_estimators_of_all_kinds_learn_from_categories(tmp_path, table, name):
    with_kind, _ = train(tmp_path, f"sklearn:sklearn.{name}", {"target": "number"})
    ignored = {"target": "number", "ignore": ["kind"]}
    without, _ = train(tmp_path, f"sklearn:sklearn.{name}", ignored)
    assert with_kind["mse"] < without["mse"]


def test_a_study_of_an_estimator_begins_with_its_defaults(tmp_path, table, monkeypatch):
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    (tmp_path / "study.toml").write_text(
        f'name = "tree"\ntrainer = "{TREE}Classifier"\n[data]\npath = "table.csv"\n'
        'target = "label"\n[space.min_samples_leaf]\ntype = "int"\nlow = 1\nhigh = 30\n'
    )
    storage = f"sqlite:///{tmp_path / 'store.db'}"
    study = hpsearch.run(
        tmp_path / "study.toml", trials=2, storage=storage, console=Console(quiet=True)
    )
    assert study.trials[0].params == {"min_samples_leaf": 1}  # the estimator's own
    assert study.metric_names == ["accuracy"]
    assert study.directions[0].name == "MAXIMIZE"
    assert len(study.trials[0].intermediate_values) == 5


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("sklearn:os.system", "os is no installed package"),
        ("sklearn:sklearn.svm.SVX", "is no estimator that predicts"),
        (
            "sklearn:sklearn.ensemble.RandomForestClasifier",
            "did you mean sklearn:sklearn.ensemble.RandomForestClassifier?",
        ),
        (
            "sklearn:sklearn.linear_model.logisticregression",
            "did you mean sklearn:sklearn.linear_model.LogisticRegression?",
        ),
        ("sklearn:sklearn.esemble.RandomForestClassifier", r"\(did you mean sklearn.ensemble\?\)"),
        ("sklearn:sklearn.preprocessing.StandardScaler", "is no estimator that predicts"),
        ("sklearn:no_such_package.Tree", "needs no_such_package, which is not installed"),
        ("sklearn:sklearn.ensemble.VotingClassifier", "cannot be made of its parameters alone"),
        ("sklearn:sklearn", "is no class"),
    ],
)
def test_what_is_no_estimator_is_said(name, sentence):
    with pytest.raises(InputError, match=sentence):
        trainer_module(name).check({}, ["C"])


def test_what_it_learns_from_is_said_once_with_the_parts_of_dates(tmp_path, table):
    table.assign(seen=pd.date_range("2020-01-01", periods=120)).to_csv(
        tmp_path / "table.csv", index=False
    )
    data = {"path": str(tmp_path / "table.csv"), "target": "label"}
    found = trainer_module(f"{TREE}Classifier").prepare(data, {}, PrepareSetup(None, "cpu"))
    assert found.folds[0].train.numbers.shape[1] == 5  # a, b, number, and two of the date
    assert re.fullmatch(
        r"120 rows in 5 folds, \d\d categorical and 5 continuous columns, predicting label",
        found.summary,
    )


def test_a_fold_has_no_loss_to_print(tmp_path, table):
    _, (first, *_) = train(tmp_path, f"{TREE}Classifier", {"target": "label"})
    assert "nan" not in describe_epoch(first)


def test_a_parameter_that_there_is_not_and_a_class_that_is_too_rare_are_said(tmp_path, table):
    with pytest.raises(InputError, match=r"no parameter 'max_dept' \(did you mean max_depth\?\)"):
        trainer_module(f"{TREE}Classifier").check({}, ["max_dept"])
    table.loc[0, "label"] = "perhaps"
    table.to_csv(tmp_path / "table.csv", index=False)
    with pytest.raises(InputError, match=r"A class of .* has 1 rows for 5 folds"):
        train(tmp_path, f"{TREE}Classifier", {"target": "label"})
