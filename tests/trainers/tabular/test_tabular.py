"""A table from the file to predictions: what is learnt, what is refused, what is the same again."""

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import save_file

import hpsearch
from hpsearch.data.cells import parse_dates
from hpsearch.errors import InputError
from hpsearch.models.predict import PredictOptions, predict_file
from hpsearch.study.defaults import builtin_folder
from hpsearch.study.spec import load_spec
from hpsearch.trainers.contract import PrepareSetup, TrialSetup
from hpsearch.trainers.tabular import train as trainer
from hpsearch.trainers.tabular.saved import load_tabular
from hpsearch.trainers.tabular.table.columns import NamedColumns, infer_columns
from hpsearch.trainers.tabular.table.preprocess import Preprocessor, Target
from hpsearch.trainers.tabular.table.split_rows import split_rows

pytestmark = pytest.mark.processor

N = 600


def frame(seed=0):
    rng = np.random.default_rng(seed)
    color = rng.choice(["red", "green", "blue"], N)
    size = rng.normal(10, 3, N)
    size[::50] = np.nan
    big = np.nan_to_num(size, nan=10.0) + 3 * (color == "red") > 11
    return pd.DataFrame(
        {"id": [f"row {i}" for i in range(N)], "color": color, "size": size,
         "doors": rng.integers(2, 6, N), "same": 1, "price": 2.0 * big + rng.normal(0, 0.1, N),
         "big": np.where(big, "yes", "no")}
    )  # fmt: skip


@pytest.fixture
def prepare(tmp_path, monkeypatch):
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    frame().to_csv(tmp_path / "table.csv", index=False)

    def call(settings=None, **data):
        return trainer.prepare(
            {"path": str(tmp_path / "table.csv"), **data},
            settings or {},
            PrepareSetup(data_path=None, device="cpu"),
        )

    return call


def fit(data, *, report=lambda _: None, checkpoint=None, keep=None, seed=0, **params):
    params = {"epochs": 8, "bs": 32, "layers": "20/10", "drop": 0.1, "lr": 0.03, **params}
    records = []

    def hear(record):
        records.append(record)
        report(record)

    result = trainer.train(
        {},
        params,
        data,
        TrialSetup(seed=seed, device="cpu", report=hear, checkpoint=checkpoint, keep=keep),
    )
    return result, records


def facts(records):
    return [(r.epoch, r.train_loss, r.valid_loss, r.metrics, r.lrs) for r in records]


def test_classes_are_learnt_and_predicted_from_any_order_of_columns(prepare, tmp_path):
    data = prepare(target="big", ignore=["price"])
    assert "predicting big (" in data.summary
    result, _ = fit(data, keep=tmp_path / "model")
    assert result.metrics["accuracy"] > 0.93
    saved, table = load_tabular(tmp_path / "model"), frame()
    made = saved.predict(table)
    assert list(made) == ["prediction", "probability", "p(no)", "p(yes)"]
    assert (made["prediction"] == table["big"]).mean() > 0.93
    turned = saved.predict(table[table.columns[::-1]].assign(more=1).drop(columns="big"))
    assert made.equals(turned)
    some = hpsearch.load_tabular(tmp_path / "model").predict(table.iloc[[7, 3]])
    pd.testing.assert_frame_equal(some, made.loc[[7, 3]])  # each with its own index
    with pytest.raises(InputError, match=r"no columns 'color', 'doors', which .* add them"):
        saved.predict(table.drop(columns=["color", "doors"]))
    # A word where numbers are taken: the row has a reason in the place of a prediction.
    odd = table.astype({"size": object}).assign(color=table.color.replace("red", "mauve"))
    odd.loc[3, "size"] = "large"
    odd.loc[5, "size"] = "n/a"
    found = saved.predict(odd)
    assert found["reason"].dropna().to_dict() == {3: "size: 'large' is no number"}
    assert found.loc[3].drop("reason").isna().all()
    assert found["prediction"].notna().sum() == len(table) - 1
    unseen = saved.encoding.preprocessor.unseen(odd)
    assert unseen == {"color": ((table.color == "red").sum(), "mauve")}
    with pytest.raises(InputError, match="The table has 2 columns 'color'"):
        saved.predict(pd.concat([table, table[["color"]]], axis=1))


def test_numbers_are_predicted_in_their_own_units(prepare, tmp_path):
    data = prepare(target="price", ignore=["big"])
    result, _ = fit(data, keep=tmp_path / "model")
    assert result.metrics["r2"] > 0.8
    assert result.metrics["rmse"] == pytest.approx(result.metrics["mse"] ** 0.5)
    made = load_tabular(tmp_path / "model").predict(frame())["prediction"]
    assert np.mean((made - frame()["price"]) ** 2) == pytest.approx(result.metrics["mse"], rel=0.5)
    bounded, _ = fit(
        prepare({"y_range": [-1.0, 3.5]}, target="price", ignore=["big"]), keep=tmp_path / "b"
    )
    assert bounded.metrics["mse"] < 1
    automatic = prepare({"y_range": "auto"}, target="price", ignore=["big"])
    fit(automatic, keep=tmp_path / "auto", y_range="auto")
    prices = automatic.parts["train"].targets
    margin = (prices.max() - prices.min()) / 10
    low, high = load_tabular(tmp_path / "auto").config.bounds
    assert (low, high) == pytest.approx((prices.min() - margin, prices.max() + margin), abs=1e-5)
    with pytest.raises(InputError, match=r"'price' goes from \S+ to \S+, but y_range = \[1, 2\]"):
        prepare({"y_range": [1.0, 2.0]}, target="price", ignore=["big"])
    with pytest.raises(ValueError, match="low below high"):
        prepare({"y_range": [3.0, 1.0]}, target="price")


@pytest.mark.parametrize("killed_after", [1, 5])
def test_a_killed_trial_resumes_to_the_result_of_an_uninterrupted_one(
    prepare, tmp_path, killed_after
):
    data, seen = prepare(target="big", ignore=["price"]), []
    _, whole = fit(data)
    _, again = fit(data)
    assert facts(whole) == facts(again)

    def kill(record):
        seen.append(record)
        if len(seen) == killed_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(data, report=kill, checkpoint=tmp_path / "c")
    _, resumed = fit(data, checkpoint=tmp_path / "c")
    assert facts(resumed) == facts(whole)


def test_a_damaged_model_is_one_sentence(prepare, tmp_path):
    fit(prepare(target="big"), keep=tmp_path / "model", epochs=1)
    save_file({}, tmp_path / "model/tabular.safetensors")
    with pytest.raises(InputError, match="damaged"):
        load_tabular(tmp_path / "model")
    with pytest.raises(InputError, match="holds no tabular model"):
        load_tabular(tmp_path / "other")


def test_columns_are_told_apart():
    columns = infer_columns(frame(), "big")
    assert columns.task == "classification"
    assert columns.categorical == ("color", "doors")
    assert columns.continuous == ("size", "price")
    assert columns.ignored == ("id", "same")
    assert "no two cells are equal" in columns.reasons["id"]
    assert infer_columns(frame(), "price").task == "regression"
    with pytest.raises(InputError, match=r"'colour'.*did you mean"):
        infer_columns(frame(), "big", NamedColumns(["colour"]))
    with pytest.raises(InputError, match="two things"):
        infer_columns(frame(), "big", NamedColumns(["size"], ["size"]))


def test_codes_go_by_value_and_statistics_by_training_rows():
    train = pd.DataFrame({"k": [1, 2, 2, 1], "x": [1.0, np.nan, 3.0, 5.0], "y": list("abab")})
    columns = infer_columns(train, "y", NamedColumns(["k"], ["x"]))
    made = Preprocessor.fit(train, columns)
    assert made.n_categories == (3, 3)  # k and whether x is missing, each with code 0
    other = pd.DataFrame({"k": ["2", "1.0", "7", None], "x": [3.0, np.inf, 4.0, np.nan]})
    encoded = made.transform(other)
    assert encoded.codes.tolist() == [[2, 1], [1, 2], [0, 1], [0, 2]]
    filled = np.array([1, 3, 3, 5])  # the median of 1, 3 and 5 in the gap
    assert encoded.numbers[:, 0] == pytest.approx((np.array([3, 3, 4, 3]) - 3) / filled.std())
    again = Preprocessor.from_json(made.to_json()).transform(other)
    assert np.array_equal(again.codes, encoded.codes)
    target = Target.fit(train, columns)
    assert target.encode(pd.Series(["b", "a"])).tolist() == [1, 0]
    with pytest.raises(InputError, match="'c' in 1 rows"):
        target.encode(pd.Series(["b", "c"], name="y"))
    with pytest.raises(InputError, match="missing in 1 of 2 rows"):
        target.encode(pd.Series(["b", None], name="y"))


@pytest.mark.parametrize(
    ("how", "held_out"),
    [({"rows": [2, 4]}, [2, 3]), ({"last": 3}, [7, 8, 9]), ({"column": "v"}, [1, 5]),
     ({"time": "when", "share": 0.2}, [0, 1])],
)  # fmt: skip
def test_splits_that_name_rows(how, held_out):
    when = pd.date_range("2026-01-01", periods=10)[::-1].astype(str)
    table = pd.DataFrame({"v": [i in (1, 5) for i in range(10)], "when": when})
    train, valid = split_rows(table, how, 0)
    assert valid.tolist() == held_out
    assert sorted([*train, *valid]) == list(range(10))


def test_random_splits_are_shares_of_every_group_and_folds_are_disjoint():
    table = pd.DataFrame({"y": ["a"] * 90 + ["b"] * 10})
    _, valid = split_rows(table, {"share": 0.2, "stratify": "y"}, 0)
    assert (table["y"].iloc[valid] == "a").sum() == 18
    assert (table["y"].iloc[valid] == "b").sum() == 2
    pairs = pd.DataFrame({"y": [f"c{i // 2}" for i in range(1000)]})  # no fifth of two rows
    train, valid = split_rows(pairs, {"share": 0.2, "stratify": "y"}, 0)
    assert len(valid) == pairs["y"].iloc[valid].nunique() == 200
    assert pairs["y"].iloc[train].nunique() == 500
    with pytest.raises(InputError, match="stratifies by 'x', of which no two rows have the same"):
        split_rows(pd.DataFrame({"x": range(9)}), {"share": 0.2, "stratify": "x"}, 0)
    parts = [split_rows(table, {"folds": 4, "fold": k}, 1)[1] for k in range(4)]
    assert sorted(np.concatenate(parts)) == list(range(100))
    for bad in ({}, {"share": 2}, {"rows": [5, 500]}, {"folds": 4, "fold": 4}, {"lost": 3}):
        with pytest.raises(InputError, match="split"):
            split_rows(table, bad, 0)


def test_a_table_without_the_target_is_told_before_anything_else(prepare, tmp_path):
    with pytest.raises(
        InputError, match=r"^/.*table\.csv .* has no column 'bigg' \(did you mean big"
    ):
        prepare(target="bigg", split={"column": "none"})


def test_a_long_tail_is_compressed_and_ordinary_numbers_are_only_normalised():
    rng = np.random.default_rng(0)
    amounts = np.where(rng.random(2000) < 0.05, rng.lognormal(9, 1, 2000), 0.0)
    table = pd.DataFrame(
        {"amount": amounts, "size": rng.normal(10, 3, 2000), "y": ["a", "b"] * 1000}
    )
    columns = infer_columns(table, "y")
    kept = Preprocessor.fit(table, columns, compress_tails=False).transform(table).numbers
    assert kept == pytest.approx(
        np.stack([(c - c.mean()) / c.std() for c in (amounts, table["size"].to_numpy())], 1),
        abs=1e-5,
    )
    made = Preprocessor.fit(table, columns)
    assert [one.long_tail for one in made.continuous.values()] == [True, False]
    assert made.transform(table).numbers == pytest.approx(
        np.stack([np.arcsinh(kept[:, 0]), kept[:, 1]], 1), abs=1e-5
    )


def test_texts_that_are_dates_are_dates():
    texts = pd.date_range("2026-01-01", periods=30, freq="D").strftime("%Y-%m-%d").to_numpy()
    table = pd.DataFrame({"day": texts, "code": texts, "y": ["a", "b"] * 15})
    table.loc[3, "code"] = "2026-13-01"
    table.loc[4, "day"] = None
    columns = infer_columns(table, "y")
    assert (columns.dates, columns.ignored) == (("day",), ("code",))
    said = infer_columns(table, "y", NamedColumns(["day"]))
    assert said.categorical == ("day",)
    assert said.reasons["day"] == "as the study says, not date: texts that are dates"


def test_dates_with_the_day_first_are_dates():
    days = pd.date_range("2026-01-01", periods=30, freq="D")
    table = pd.DataFrame({"day": days.strftime("%d.%m.%Y"), "y": ["a", "b"] * 15})
    assert infer_columns(table, "y").dates == ("day",)
    assert parse_dates(table["day"]).tolist() == days.tolist()
    assert parse_dates(pd.Series(["24.11.2026 13:05"])).tolist() == [
        pd.Timestamp(2026, 11, 24, 13, 5)
    ]


def test_a_target_whose_classes_have_a_row_each_is_no_target():
    table = pd.DataFrame({"x": np.arange(40) % 7, "y": [f"${i},00" for i in range(40)]})
    with pytest.raises(InputError, match=r"40 classes, most of them in one row only.*1234\.5"):
        infer_columns(table, "y")
    table["y"] = [f"class {i % 30}" for i in range(40)]
    with pytest.raises(InputError, match="30 classes"):
        infer_columns(table, "y")
    table["y"] = [f"class {i % 20}" for i in range(40)]
    assert infer_columns(table, "y").task == "classification"


def test_a_column_that_counts_the_rows_or_splits_them_is_not_learnt_from(prepare, tmp_path):
    table = frame().assign(id=range(5, N + 5), held=np.arange(N) % 4 == 0)
    columns = infer_columns(table, "big")
    assert columns.reasons["id"].startswith("no two of its whole numbers are equal")
    assert "id" in columns.ignored
    # Rows that were left out, another order and an empty cell make no amounts of it ...
    shuffled = table.sample(frac=0.5, random_state=0)
    assert "id" in infer_columns(shuffled, "big").ignored
    assert (
        "id" in infer_columns(shuffled.assign(id=shuffled.id.where(shuffled.id > 9)), "big").ignored
    )
    # ... but numbers that lie far apart, or of which two are equal, are.
    assert "id" in infer_columns(table.assign(id=table.id**2), "big").continuous
    assert "id" in infer_columns(table.assign(id=[*range(N - 1), 7]), "big").continuous
    table.to_csv(tmp_path / "table.csv", index=False)
    learnt = prepare(target="big", split={"column": "held"}).encoding.preprocessor
    assert "held" not in learnt.categories
    said = prepare(target="big", split={"column": "held"}, categorical=["held"])
    assert "held" in said.encoding.preprocessor.categories


def test_what_cannot_be_measured_or_bounded_is_said_before_training(prepare, tmp_path):
    frame().drop(columns="big").to_csv(tmp_path / "test.csv", index=False)
    with pytest.raises(InputError, match="test rows have no column 'big'"):
        prepare(target="big", test=str(tmp_path / "test.csv"))
    with pytest.raises(InputError, match="y_range bounds numbers, but 'big' is of classes"):
        prepare({"y_range": [0.0, 1.0]}, target="big")
    with pytest.raises(InputError, match="is not a number, and so 2 other values: empty"):
        prepare(target="big", continuous=["color"])


def test_a_file_to_predict_that_looks_like_numbers_is_read_as_the_training_file_was(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    table = pd.DataFrame({"code": ["01", "1", "x1", "02"] * 50, "y": ["a", "b", "b", "a"] * 50})
    table.to_csv(tmp_path / "table.csv", index=False)
    data = trainer.prepare(
        {"path": str(tmp_path / "table.csv"), "target": "y"},
        {},
        PrepareSetup(data_path=None, device="cpu"),
    )
    fit(data, keep=tmp_path / "model", drop=0.0)
    (tmp_path / "new.csv").write_text("code\n01\n1\n02\n")
    _, made = predict_file(
        tmp_path / "model", str(tmp_path / "new.csv"), PredictOptions(),
        progress=lambda *_: None, say=print,
    )  # fmt: skip
    assert made["prediction"].tolist() == ["a", "b", "a"]


def test_a_second_file_is_looked_for_beside_the_study(tmp_path):
    text = (builtin_folder() / "adult/study.toml").read_text()
    text = text.replace('source = "adult"', 'path = "mine.csv"\ntest = "later.csv"')
    (tmp_path / "study.toml").write_text(text)
    data = load_spec(tmp_path).data
    assert (data["path"], data["test"]) == (str(tmp_path / "mine.csv"), str(tmp_path / "later.csv"))
