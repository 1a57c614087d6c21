"""What is shown of a table, and the section that says the same again."""

import io
import tomllib

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from hpsearch.trainers.contract import PrepareSetup
from hpsearch.trainers.tabular.preview import preview
from hpsearch.trainers.tabular.table.columns import NamedColumns, infer_columns
from hpsearch.trainers.tabular.table.data_section import data_section
from hpsearch.trainers.tabular.table.prepare import class_shares


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    n = 400
    return pd.DataFrame(
        {
            'na"me': [f"customer {i}" for i in range(n)],
            "city": np.where(np.arange(n) < 40, None, rng.choice(["Bonn", "Ulm"], n, p=[0.7, 0.3])),
            "amount": np.where(rng.random(n) < 0.01, 5000.4, rng.normal(10, 1, n)),
            "joined": pd.date_range("2026-01-01", periods=n),
            "left": rng.choice(["yes", "no"], n),
        }
    )


def shown(tmp_path, frame, rows=2, **data):
    frame.to_parquet(tmp_path / "t.parquet")
    given = {"path": str(tmp_path / "t.parquet"), "target": "left", "split": {"last": 100}, **data}
    parts = preview(given, {}, PrepareSetup(data_path=None, device="cpu"), rows)
    console = Console(file=io.StringIO(), width=200)
    for part in parts:
        console.print(part, soft_wrap=True)
    return console.file.getvalue()


def line(text, start):
    return next(one for one in text.splitlines() if one.startswith(start))


def test_columns_are_shown_with_the_reason_gaps_and_content(tmp_path, frame):
    frame.loc[399, "city"] = "Rom"  # among the held-out rows only
    text = shown(tmp_path, frame)
    assert "ignored" in line(text, 'na"me')
    assert "no two cells are equal" in line(text, 'na"me')
    assert "10.0%" in line(text, "city")
    assert "Bonn 57%" in line(text, "city")
    assert "to 5,000, median 9.9" in line(text, "amount")
    assert "long tail" in line(text, "amount")
    assert "long tail" not in line(text, "city")
    assert "2026-01-01 to 2027-02-04" in line(text, "joined")
    assert "300 rows to train on, 100 held out" in text
    assert "no training row has, held out: city 1.0%" in text
    share = (frame["left"][:300] == "yes").mean()
    assert f"{share:.1%}" in line(text, "yes")


def test_a_target_of_numbers_is_shown_with_its_range(tmp_path, frame):
    text = shown(tmp_path, frame, target="amount")
    median = frame["amount"][:300].median()
    assert f"{median:.4g}" in line(text, "median")


def test_the_section_that_is_shown_takes_every_column_as_it_was_taken(tmp_path, frame):
    text = shown(tmp_path, frame, rows=0, compress_tails=False)
    data = tomllib.loads(text[text.index("[data]") :])["data"]
    assert data["ignore"] == ['na"me']
    assert data["dates"] == ["joined"]
    found = infer_columns(frame, "left")
    said = NamedColumns(*(data[kind] for kind in ("categorical", "continuous", "dates", "ignore")))
    again = infer_columns(frame, "left", said, task=data["task"])
    assert (again.categorical, again.continuous) == (found.categorical, found.continuous)
    assert data["split"] == {"last": 100}
    assert data["compress_tails"] is False


def test_a_section_can_hold_any_name_of_a_column():
    table = pd.DataFrame({'a "b" \\ \x7f\n#': [1.5, 2, 3], "é 🙂": list("xxy"), "y": list("aba")})
    columns = infer_columns(table, "y")
    data = tomllib.loads(data_section({"path": "C:\\t.csv"}, columns))["data"]
    assert data["path"] == "C:\\t.csv"
    assert [*data["continuous"], *data["categorical"]] == list(table.columns[:2])


def test_no_password_is_shown(tmp_path, frame):
    import sqlite3

    database = tmp_path / "shop.db"
    with sqlite3.connect(database) as connection:
        frame.astype({"joined": str}).to_sql("people", connection, index=False)
    url = f"sqlite:///{database}?password=hunter22"
    text = shown(tmp_path, frame, path=None, database=url, query="select * from people")
    assert "hunter22" not in text
    assert 'query = "select * from people"' in text


def test_a_rare_class_is_not_said_to_be_absent():
    assert class_shares(("fraud", "ok"), np.array([0.004, 0.996])) == "ok 100%, fraud 0.4%"
