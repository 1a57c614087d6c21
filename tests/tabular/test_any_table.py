"""Any table either trains or gets one clear sentence, and a value has one code everywhere."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from hpsearch.data.frames import load_table
from hpsearch.data.typed import read_typed
from hpsearch.errors import HpsearchError
from hpsearch.tabular import train as trainer
from hpsearch.tabular.columns import Columns
from hpsearch.tabular.preprocess import Preprocessor
from hpsearch.tabular.saved import load_tabular
from hpsearch.tabular.values import name_of

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
            {"path": str(path), "target": "y", **more}, {}, data_path=None, device="cpu",
            progress=lambda *_: None,
        )  # fmt: skip
        result = trainer.train(
            {}, {"layers": "4", "bs": 8}, data, seed=0, device="cpu", report=lambda _: None,
            checkpoint=None, keep=folder / "model",
        )  # fmt: skip
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
