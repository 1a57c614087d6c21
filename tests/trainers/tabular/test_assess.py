"""What is said of a tabular model: rows as people know them, columns that it needs, a baseline."""

import numpy as np
import pandas as pd
import pytest

from hpsearch.errors import InputError
from hpsearch.trainers.contract import PrepareSetup, TrialSetup
from hpsearch.trainers.tabular import assess, train
from hpsearch.trainers.tabular.importance import column_importance
from hpsearch.trainers.tabular.table.decode import column_places, row_text
from hpsearch.trainers.tabular.table.prepare import prepare

N = 400


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """`wage` depends on age and plan, and on nothing else."""
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "age": rng.integers(20, 60, N).astype(float),
            "plan": rng.choice(list("abc"), N),
            "seen": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(900, size=N), "D"),
            "noise": rng.normal(size=N),
        }
    )
    table["wage"] = 100 * table["age"] + 3000 * (table["plan"] == "b")
    table.loc[::7, "age"] = np.nan
    table.to_csv(tmp_path / "table.csv", index=False)
    data = {"path": str(tmp_path / "table.csv"), "target": "wage"}
    return table, prepare(data, {}, PrepareSetup(None, "cpu"))


def test_a_row_says_where_it_stands_and_what_it_holds(prepared):
    table, data = prepared
    rows = data.parts["valid"]
    for i in range(10):
        truth = table.iloc[data.rows["valid"][i]]
        text = row_text(data.encoding.preprocessor, rows.codes[i], rows.numbers[i])
        cells = dict(cell.split("=") for cell in text.split(", "))
        assert cells["plan"] == truth["plan"]
        assert ("age" in cells) == (truth["age"] == truth["age"])
        assert float(cells.get("age", 0)) == pytest.approx(np.nan_to_num(truth["age"]), abs=1e-3)
        assert cells["seen"] == str(truth["seen"].date())
        assert set(cells) <= {"age", "plan", "seen", "noise"}
        assert float(cells["noise"]) == pytest.approx(truth["noise"], abs=1e-4)


def test_the_columns_that_decide_are_the_important_ones(prepared):
    _, data = prepared
    places = column_places(data.encoding.preprocessor)
    assert set(places) == {"age", "plan", "seen", "noise"}
    assert len(places["seen"].codes) + len(places["seen"].numbers) > 5
    plan, age = places["plan"].codes[0], places["age"].numbers[0]

    def score(rows):  # what a model would be that knew the rule
        return -np.abs(
            rows.targets - rows.numbers[:, age] - 2.0 * (rows.codes[:, plan] == 2)
        ).mean()

    found = column_importance(data.parts["valid"], places, score)
    assert {name for name, _, _ in found[:2]} == {"age", "plan"}
    assert [(mean, std) for name, mean, std in found if name in ("seen", "noise")] == [
        (0.0, 0.0)
    ] * 2


def test_the_baseline_is_measured_in_units_of_the_target_and_kept(prepared, monkeypatch):
    table, data = prepared
    found = assess.baseline({}, data)
    assert found.metrics["rmse"] == pytest.approx(found.metrics["mse"] ** 0.5)
    assert 20 < found.metrics["mae"] < table["wage"].std() / 2
    monkeypatch.setattr(assess, "_baseline", None)  # or it would be called
    assert assess.baseline({}, data) == found


def test_weights_of_classes_find_the_rare_one(tmp_path, monkeypatch):
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    rng = np.random.default_rng(0)
    rare = rng.random(N) < 0.1
    cells = {"size": rng.normal(1.0 * rare), "ill": np.where(rare, "yes", "no")}
    pd.DataFrame(cells).to_csv(tmp_path / "table.csv", index=False)
    data = prepare(
        {"path": str(tmp_path / "table.csv"), "target": "ill"}, {}, PrepareSetup(None, "cpu")
    )

    def recall(weights):
        folder = tmp_path / weights
        settings = {"class_weights": weights, "epochs": 5, "layers": "8"}
        train.train(settings, {}, data, TrialSetup(0, "cpu", lambda _: None, keep=folder))
        judged = assess.assess(
            folder, data, test=False, metric="f1", device="cpu", progress=lambda *_: None
        )
        hits, of_rare = judged.confusion[1][1], sum(judged.confusion[1])
        return hits / of_rare

    assert recall("balanced") > 0.5 > recall("none")


def test_weights_of_classes_are_refused_for_numbers(prepared, tmp_path):
    data = {"path": str(tmp_path / "table.csv"), "target": "wage"}
    with pytest.raises(InputError, match="class_weights are of classes, but 'wage' is of numbers"):
        prepare(data, {"class_weights": "balanced"}, PrepareSetup(None, "cpu"))
