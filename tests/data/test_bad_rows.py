"""Rows that cannot be used: named in a sentence, or left out with their count and numbers."""

import numpy as np
import pandas as pd
import pytest

from hpsearch.core.console import silent
from hpsearch.data import load_text
from hpsearch.data.ratings import load_ratings
from hpsearch.errors import InputError
from hpsearch.trainers.contract import PrepareSetup
from hpsearch.trainers.tabular.table.prepare import prepare

TEXTS = """text,label,split
good one,pos,train
bad one,neg,train
 ,pos,train
fine,pos,train
awful,neg,train
odd,once,train
what,pos,perhaps
torn,neg
nothing,,train
dull,neg,train
"""


def load(path, read=load_text, **data):
    return read({"path": str(path), **data}, path=None, progress=silent)


def test_texts(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text(TEXTS)
    with pytest.raises(InputError, match="row 8 has 2 columns"):
        load(path, split="split")
    kept = load(path, split="split", on_error="skip")
    assert kept.table["text"].tolist() == [
        "good one", "bad one", "fine", "awful", "nothing", "dull"
    ]  # fmt: skip
    assert kept.classes == ("neg", "pos")
    assert kept.note == (
        "1 row without a label; left out 4 rows: a split that says nothing (row 7), no text"
        " (row 3), a label that occurs once (row 6), too many or too few cells (row 8)"
    )
    path.write_text(TEXTS.replace("torn,neg\n", ""))
    with pytest.raises(InputError, match="'perhaps' in row 7"):
        load(path, split="split")
    with pytest.raises(InputError, match=r"no text in row 3.*--skip-bad-rows"):
        load(path)


def test_ratings(tmp_path):
    path = tmp_path / "own.csv"
    cells = ["1,a,5,2026-01-01", "1,b,great,2026-01-02", "2,a,1e40,2026-01-03", "2,b,3,soon",
             "3,,4,2026-01-04", "3,a,2,2026-01-05"]  # fmt: skip
    path.write_text("\n".join(["user,item,rating,time", *cells]))
    columns = {"rating": "rating", "time": "time"}
    with pytest.raises(InputError, match="'great' in row 2"):
        load(path, load_ratings, **columns)
    kept = load(path, load_ratings, on_error="skip", **columns)
    assert kept.ratings["rating"].tolist() == [5, 2]
    assert kept.note == (
        "left out 3 rows: no number in 'rating' (rows 2 and 3), no time in 'time' (row 4);"
        " left out 1 row without a user, an item or a rating"
    )


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A file of 60 rows, with what the study says of it beside `on_error`."""
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    rows = pd.DataFrame(
        {"size": [str(i / 7) for i in range(60)], "day": [f"2026-01-{1 + i % 28:02d}" for i in
         range(60)], "kind": list("ab") * 30, "price": [str(i * 1.5) for i in range(60)]}
    )  # fmt: skip

    def make(**cells):
        for name, (row, cell) in cells.items():
            rows.loc[row - 1, name] = cell
        rows.to_csv(tmp_path / "own.csv", index=False)
        given = {"path": str(tmp_path / "own.csv"), "on_error": "skip"}
        return lambda **data: prepare({**given, **data}, {}, PrepareSetup(None, "cpu"))

    return make


def test_a_table(table):
    made = table(size=(7, "big"), day=(9, "2026-02-31"), price=(11, ""))
    with pytest.raises(
        InputError, match=r"price' is missing in 1 of 60 rows \(the first is row 11\)"
    ):
        made(target="price", task="regression", on_error="stop")
    kept = made(target="price", task="regression")
    note = (
        "left out 3 rows: no number in 'size' (row 7), no date in 'day' (row 9),"
        " no 'price' (row 11)"
    )
    assert kept.note == note
    assert made(target="price", task="regression").note == note  # from the cache, too
    assert sum(len(kept.parts[name]) for name in ("train", "valid")) == 57
    # Each is a number again: nothing is lost to its one bad cell.
    assert kept.encoding.preprocessor.continuous.keys() >= {"size"}
    assert kept.encoding.preprocessor.dates == ("day",)


def test_a_table_of_classes(table):
    kept = table(kind=(5, "c"), size=(6, "x"))(target="kind")
    assert kept.encoding.target.classes == ("a", "b")
    assert kept.note == (
        "left out 2 rows: no number in 'size' (row 6), a 'kind' that occurs once (row 5)"
    )


def test_rows_are_numbered_as_in_the_file_also_behind_torn_ones(table, tmp_path):
    made = table(size=(40, "x"))
    path = tmp_path / "own.csv"
    lines = path.read_text().splitlines()
    lines.insert(3, "1,2")
    path.write_text("\n".join(lines))
    kept = made(target="price", task="regression")
    assert kept.note == (
        "left out 2 rows: no number in 'size' (row 41), too many or too few cells (row 3)"
    )
    assert np.isfinite(kept.parts["train"].numbers).all()
