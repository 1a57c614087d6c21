"""Any table either trains or gets one clear sentence, and a value has one code everywhere."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from hpsearch.data.cells import name_of
from hpsearch.data.own.typed_columns import read_typed
from hpsearch.data.tables import load_table
from hpsearch.errors import HpsearchError
from hpsearch.trainers.contract import PrepareSetup, TrialSetup
from hpsearch.trainers.tabular import train as trainer
from hpsearch.trainers.tabular.saved import load_tabular
from hpsearch.trainers.tabular.table.columns import Columns, infer_columns
from hpsearch.trainers.tabular.table.dates import PARTS
from hpsearch.trainers.tabular.table.preprocess import Preprocessor, Target

SPEED = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
NUMBERS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.integers(-(10**20), 10**20),
    st.sampled_from([0, 0.0, -0.0, 1e308, -1e308, 1e-308, float("inf"), float("nan"), 3.4e38]),
)
WORDS = st.one_of(
    st.text(max_size=4),
    st.sampled_from(
        ["", " ", "nan", "NA", "1", "1.0", "01", "inf", "true", "True", "2026-11-24", "1e5", "\x00"]
    ),
)
CELLS = st.one_of(NUMBERS, WORDS, st.booleans(), st.none(), st.datetimes())
COLUMNS = st.sampled_from([NUMBERS, WORDS, st.booleans(), st.integers(0, 3), CELLS, st.just(7)])


@st.composite
def tables(draw):
    """A table of 2 to 40 rows: columns of every kind, also of several kinds in one."""
    n = draw(st.integers(2, 40))
    columns = {}
    for name in draw(st.lists(st.text(min_size=1, max_size=5), max_size=4, unique=True)):
        cells = draw(COLUMNS)
        pool = draw(st.lists(cells, min_size=1, max_size=n))
        columns[name] = [pool[i % len(pool)] for i in range(n)]
    assume("y" not in columns)
    kind = draw(st.sampled_from(["ab", "abc", "numbers", "anything"]))
    if kind in ("ab", "abc"):
        columns["y"] = [kind[i % len(kind)] for i in range(n)]
    elif kind == "numbers":
        columns["y"] = draw(st.lists(st.floats(-1e6, 1e6), min_size=n, max_size=n))
    else:
        columns["y"] = draw(st.lists(CELLS, min_size=n, max_size=n))
    return pd.DataFrame({name: pd.Series(cells) for name, cells in columns.items()})


def one_sentence(error):
    text = str(error)
    return "\n" not in text.strip() and text.endswith(".") and "Traceback" not in text


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patched:
        folder = tmp_path_factory.mktemp("any")
        patched.setenv("HPSEARCH_HOME", str(folder / "home"))
        yield folder


@SPEED
@given(tables(), st.sampled_from([{}, {"compress_tails": False}]))
def test_any_table_trains_and_predicts_or_says_why_not(folder, table, more):
    path = folder / "any.csv"
    table.to_csv(path, index=False)
    problem = None
    try:
        data = trainer.prepare(
            {"path": str(path), "target": "y", **more},
            {},
            PrepareSetup(data_path=None, device="cpu"),
        )
        result = trainer.train(
            {},
            {"layers": "4", "bs": 8},
            data,
            TrialSetup(seed=0, device="cpu", report=lambda _: None, keep=folder / "model"),
        )
    except HpsearchError as error:
        problem = error
    if problem is not None:
        assert one_sentence(problem)
        return
    for part in ("train", "valid"):
        assert np.isfinite(data.parts[part].numbers).all()
    assert all(math.isfinite(value) for value in result.metrics.values())
    made = load_tabular(folder / "model").predict(read_typed(path))
    assert len(made) == len(table)
    assert made.notna().all(axis=None)


@SPEED
@given(st.lists(CELLS, min_size=1, max_size=20), st.lists(CELLS, max_size=20), st.booleans())
def test_a_value_has_one_code_in_whatever_table_it_stands(train, other, as_category):
    """Rows that are trained on, held out, or come later, alone or among others of any type."""
    first = pd.DataFrame({"x": pd.Series(train), "y": 0.0})
    if as_category:
        first["x"] = pd.Series(train).astype(str).astype("category")
    made = Preprocessor.fit(first, Columns("y", "regression", ("x",), ()))
    known = {name: i for i, name in enumerate(made.categories["x"], start=1)}
    numbers = {number(name): i for name, i in known.items()}  # of a column of numbers only
    of_number = {} if None in numbers else numbers
    for cells in (train, other, [*other, *train]):
        codes = made.transform(pd.DataFrame({"x": pd.Series(cells, dtype=object)})).codes[:, 0]
        assert codes.tolist() == [
            0 if missing(cell) else known.get(name_of(cell), of_number.get(number(cell), 0))
            for cell in cells
        ]


def number(cell):
    try:
        return float(str(cell).replace("_", "x"))
    except ValueError:
        return None


def missing(cell):
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


IN_FILES = st.sampled_from(
    ["1", "01", "1.0", " 1", "+1", "1_0", "10", "x", "", " ", "NA", "nan", "1e3", "1000", "-0", "0",
     "true", "True", "inf", "2026-01-01", "9007199254740993", "0.1", "0.10"]
)  # fmt: skip


@settings(SPEED, max_examples=100)
@given(st.lists(IN_FILES, min_size=1, max_size=6), st.lists(IN_FILES, min_size=1, max_size=6))
@example(["9007199254740993"], ["1.0", "9007199254740993"])  # floats in the second file
@example(["9007199254740993", ""], ["9007199254740993", "x"])
def test_a_cell_has_one_code_in_whatever_file_it_stands(folder, train, other):
    """Arrow takes a column for numbers or for texts by all its cells: files differ in it."""
    for name, cells in (("train", train), ("other", other)):
        text = "\n".join(["x,y", *(f'"{cell}",1' for cell in cells), ""])
        (folder / f"{name}.csv").write_text(text)
    data = {"path": folder / "train.csv", "test": folder / "other.csv"}
    read = load_table(data, path=None, progress=lambda *_: None)
    made = Preprocessor.fit(read.table, Columns("y", "regression", ("x",), ()))
    to_predict = read_typed(folder / "other.csv", strings=made.texts)
    codes = dict(zip(train, made.transform(read.table).codes[:, 0], strict=True))
    for table in (read.test, to_predict):
        found = dict(zip(other, made.transform(table).codes[:, 0], strict=True))
        assert {cell: found[cell] for cell in found.keys() & codes.keys()} == {
            cell: codes[cell] for cell in found.keys() & codes.keys()
        }


def test_a_column_that_is_nearly_of_a_kind_says_so() -> None:
    days = [f"2024-01-{day:02d}" for day in range(1, 31)]
    table = pd.DataFrame({
        "day": ["0000-00-00", *days], "size": ["?", *map(str, range(30))], "y": [0, 1] * 15 + [0],
        "price": [f"${i}.50" for i in range(31)], "share": [f"{i}%" for i in range(31)],
        "when": [f"Jan {i % 28 + 1:02d}, 20{i % 9:02d}" for i in range(31)],
        "name": [f"n{i}" for i in range(31)],
        "late": [None, *[f"8/{i}/2020" for i in range(1, 31)]],
    })  # fmt: skip
    found = infer_columns(table, "y")
    assert "all but 1 of 31 cells are dates: empty such as '0000-00-00'" in found.reasons["day"]
    assert "all but 1 of 31 cells are numbers: empty such as '?'" in found.reasons["size"]
    assert "amounts such as '$0.50' are no numbers" in found.reasons["price"]
    assert "amounts such as '0%'" in found.reasons["share"]
    assert "dates such as 'Jan 01, 2000' are not read" in found.reasons["when"]
    assert found.reasons["name"] == "no two cells are equal, as in a name or a number of a row"
    assert found.dates == ("late",)  # 8/13/2020 shows the form, though the first cell is empty


def test_two_dates_of_nearly_one_name_keep_their_parts() -> None:
    days = pd.date_range("2024-01-01", periods=40)
    table = pd.DataFrame({
        "date": days, "Date": days + pd.Timedelta(days=400),
        "Year": [0.5, 1.5] * 20, "y": [0.5, 1.0] * 20,
    })  # fmt: skip
    made = Preprocessor.fit(table, infer_columns(table, "y"))
    again = Preprocessor.from_json(json.loads(json.dumps(made.to_json())))
    names = [*made.categories, *made.continuous]
    assert len(set(names)) == 2 * len(PARTS) + 1
    assert {"Year", "date_Year", "Date_Year"} <= set(names)
    first, second = (made.continuous[f"{name}_Elapsed"].mean for name in ("date", "Date"))
    assert second - first == 400 * 24 * 3600
    np.testing.assert_array_equal(again.transform(table).codes, made.transform(table).codes)


def test_classes_that_differ_by_blanks_are_one() -> None:
    table = pd.DataFrame({"x": [1.5, 2.5, 3.5, 4.5], "y": ["pos", "pos ", "neg", " neg"]})
    columns = infer_columns(table, "y")
    assert columns.reasons["y"] == "2 values"
    assert Target.fit(table, columns).classes == ("neg", "pos")
    assert Target.fit(table, columns).encode(table["y"]).tolist() == [1, 1, 0, 0]
