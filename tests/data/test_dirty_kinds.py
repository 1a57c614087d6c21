"""Inputs of the kinds that people's own files fail with, more than one of each kind."""

import numpy as np
import pandas as pd
import pytest

from hpsearch.core.console import silent
from hpsearch.data import load_text
from hpsearch.data.own.typed_columns import read_typed
from hpsearch.data.ratings import load_ratings
from hpsearch.errors import InputError
from hpsearch.trainers.contract import PrepareSetup
from hpsearch.trainers.tabular.table.columns import NamedColumns, infer_columns
from hpsearch.trainers.tabular.table.dates import part_names, part_prefixes
from hpsearch.trainers.tabular.table.prepare import prepare


def texts(tmp_path, *rows, header="text,label,part", **data):
    (tmp_path / "own.csv").write_text("\n".join([header, *rows]))
    given = {"path": str(tmp_path / "own.csv"), **data}
    return load_text(given, path=None, progress=silent)


def columns(tmp_path, name, *cells, sep=","):
    """What a column of a table with 30 such rows is taken for, and why."""
    rows = [f"{cells[i % len(cells)]}{sep}{i % 3}.5{sep}{'ab'[i % 2]}" for i in range(30)]
    (tmp_path / "own.csv").write_text("\n".join([f"{name}{sep}x{sep}y", *rows]))
    return infer_columns(read_typed(tmp_path / "own.csv"), "y")


@pytest.mark.parametrize(("out", "kept"), [("valid", "train"), ("yes", "no"), ("1.0", "0.0"),
                                           ("Dev", "TRAINING"), (" true", "False ")])  # fmt: skip
def test_splits_of_texts_in_other_words(tmp_path, out, kept):
    rows = [f"t{i},{'ab'[i % 2]},{out if i > 5 else kept}" for i in range(8)]
    found = texts(tmp_path, *rows, split="part")
    assert found.table["split"].tolist() == ["train"] * 6 + ["test"] * 2


@pytest.mark.parametrize("odd", ["pos ", " pos", "pos\t", '"pos "'])
def test_labels_that_differ_by_blanks_are_one_class(tmp_path, odd):
    rows = ["a,pos,", f"b,{odd},", "c,neg,", "d,neg,"]
    assert texts(tmp_path, *rows).classes == ("neg", "pos")


@pytest.mark.parametrize(
    "dates", [("date", "Date"), ("saledate", "saleDate"), ("on", "on_", "onDate")]
)
def test_parts_of_dates_never_overwrite_each_other(dates):
    others = ["onYear", "saleDay", "Month"]
    prefixes = part_prefixes(dates, others)
    parts = [part for one in dates for part in part_names(one, prefixes.get(one))]
    assert len({*parts, *others}) == len(parts) + len(others)


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ([*[f"{i}.5" for i in range(29)], "n.a.?"], "are numbers: empty such as 'n.a.?'"),
        ([*[f"2026-01-{i:02d}" for i in range(1, 30)], "0000-00-00"], "cells are dates: empty"),
        (["€ 5", "€ 7.5", "€ 9"], "amounts such as '€ 5' are no numbers here"),
        (["12%", "13%", "50%"], "amounts such as '12%'"),
        (["24 Nov 2026", "25 Nov 2026"], "dates such as '24 Nov 2026' are not read"),
        (["01/31/20", "02/28/20"], "dates such as '01/31/20'"),
    ],
)
def test_a_column_that_is_nearly_of_numbers_or_dates_says_so(tmp_path, cells, says):
    assert says in columns(tmp_path, "c", *cells).reasons["c"]


@pytest.mark.parametrize("cells", [["", "8/13/2020", "8/2/2020"], ["", "", "13/8/2020"],
                                   ["nan", "24/11/2026"]])  # fmt: skip
def test_slashed_dates_whose_first_cells_are_empty_are_dates(tmp_path, cells):
    assert columns(tmp_path, "c", *cells, *[f"{d}" for d in cells]).dates == ("c",)


@pytest.mark.parametrize("first", ["sep=;", "# made by a tool", "sep=;\n\n"])
def test_a_header_below_other_lines_with_a_comma_in_a_name(tmp_path, first):
    rows = [f"{i};{i / 2:.1f};{'ab'[i % 2]}" for i in range(30)]
    (tmp_path / "own.csv").write_text("\n".join([first, "no;size, cm;y", *rows]))
    assert list(read_typed(tmp_path / "own.csv")) == ["no", "size, cm", "y"]


def rated(tmp_path, rows, users=None, **data):
    (tmp_path / "r.csv").write_text("\n".join(rows))
    if users is not None:
        (tmp_path / "u.csv").write_text("\n".join(users))
        data["users"] = str(tmp_path / "u.csv")
    given = {"path": str(tmp_path / "r.csv"), "rating": "rating", **data}
    return load_ratings(given, path=None, progress=silent)


@pytest.mark.parametrize(("theirs", "ours"), [("1.0", "1"), ("1", "1.0"), (" 1", "1.0")])
def test_ids_that_lost_their_form_to_a_gap_are_the_same(tmp_path, theirs, ours):
    rows = ["user,item,rating", f"{ours},a,1", "2.0,a,2", ",b,3"]
    found = rated(tmp_path, rows, ["user,age", f"{theirs},30", "2.0,40", ",50"])
    assert found.users.index.tolist() == ["1", "2"]
    assert "knows none" not in (found.note or "")


@pytest.mark.parametrize(
    "times",
    [("2026-01-02", "", "2026-01-03"), ("02.01.2026", "03.01.2026", ""),
     ("13/01/2026", "", "14/01/2026"), ("1700000000", "", "1700000001")],
)  # fmt: skip
def test_times_of_ratings_are_read_like_dates_and_may_be_empty(tmp_path, times):
    rows = ["user,item,rating,time", *(f"u,i{n},1,{one}" for n, one in enumerate(times))]
    found = rated(tmp_path, rows, time="time").ratings["time"]
    filled = [found[n] for n, one in enumerate(times) if one]
    assert filled == sorted(filled)
    assert len(set(filled)) == 2
    assert found.min() == min(filled)


@pytest.mark.parametrize("cell", ["inf", "-inf", "1e39"])
def test_an_infinite_target_is_not_called_missing(tmp_path, monkeypatch, cell):
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    table = pd.DataFrame({"x": np.arange(40) % 7, "y": [str(i / 3) for i in range(40)]})
    table.loc[4, "y"] = cell
    table.to_csv(tmp_path / "t.csv", index=False)
    data = {"path": str(tmp_path / "t.csv"), "target": "y", "task": "regression"}
    with pytest.raises(InputError, match="cannot be learned"):
        prepare(data, {}, PrepareSetup(None, "cpu"))
    kept = prepare({**data, "on_error": "skip"}, {}, PrepareSetup(None, "cpu"))
    assert "row 5" in kept.note


def test_what_the_study_names_goes_before_what_columns_look_like():
    table = pd.DataFrame({"id": range(30), "y": list("ab") * 15, "z": np.arange(30) / 7})
    assert "id" in infer_columns(table, "y").ignored
    assert "id" in infer_columns(table, "y", NamedColumns(continuous=["id"])).continuous
