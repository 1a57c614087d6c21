"""JSON is read as the same rows as CSV and Parquet: texts, tables, ratings."""

import json

import pandas as pd
import pytest

from hpsearch.data.own.typed_columns import read_typed
from hpsearch.data.own.unlabelled_texts import read_texts
from hpsearch.data.ratings import load_ratings
from hpsearch.data.texts import load_text
from hpsearch.errors import InputError

ROWS = [
    {"text": f"film {i}", "genres": [["drama"], ["war", "drama"], []][i % 3], "stars": 1 + i % 5}
    for i in range(12)
]
FORMS = {
    "films.jsonl": lambda rows: "\n".join(map(json.dumps, rows)) + "\n",
    "films.json": json.dumps,
    "other.json": lambda rows: "\n".join(map(json.dumps, rows)),
    "films.ndjson": lambda rows: "\r\n\r\n".join(map(json.dumps, rows)),
}


def silent(*_):
    pass


@pytest.mark.parametrize("name", FORMS)
def test_texts_are_those_of_a_parquet_file(tmp_path, name):
    (tmp_path / name).write_text(FORMS[name](ROWS))
    pd.DataFrame(ROWS).to_parquet(tmp_path / "films.parquet")
    for labels in ({"labels": "genres"}, {"label": "stars"}):
        ours, theirs = (
            load_text({"path": str(tmp_path / one), **labels}, path=None, progress=silent)
            for one in (name, "films.parquet")
        )
        assert ours.fingerprint == theirs.fingerprint
    assert read_texts(str(tmp_path / name), ["text"]).texts == [row["text"] for row in ROWS]


def test_a_table_has_types_gaps_and_texts(tmp_path):
    rows = [{"n": 1, "x": 0.5, "s": "a", "m": 1}, {"n": 2, "s": "b", "m": "x", "late": True}]
    (tmp_path / "t.json").write_text(json.dumps(rows))
    found = read_typed(tmp_path / "t.json", strings=["n"])
    assert found["n"].tolist() == ["1", "2"]
    assert found["x"].isna().tolist() == [False, True]
    assert found["m"].tolist() == ["1", "x"]
    assert found["late"].isna().tolist() == [True, False]


def test_ratings_are_read(tmp_path):
    rows = [{"user": u, "item": f"i{i}", "rating": 1 + i % 5} for u in range(3) for i in range(4)]
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, rows)))
    data = {"path": str(tmp_path / "r.jsonl"), "rating": "rating"}
    assert len(load_ratings(data, path=None, progress=silent).ratings) == 12


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b'{"a": 1}\n{"a": ', "line 2 is no JSON"),
        (b'[{"a": 1}, 3]', "entry 2 is no object"),
        (b"[1", "is no JSON"),
        (b"3", "line 1 is no object"),
        (b"[" * 100_000, "is no JSON"),
        (b'{"a": "\xff"}', "is not UTF-8 text"),
        (b"[]", "has a header but no rows"),
        (b"", "is empty"),
    ],
)
def test_what_is_no_rows_is_said_in_a_sentence(tmp_path, content, why):
    (tmp_path / "t.json").write_bytes(content)
    with pytest.raises(InputError, match=why):
        read_typed(tmp_path / "t.json")
