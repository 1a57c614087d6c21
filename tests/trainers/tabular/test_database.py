"""A study on a SQL query: it runs, and its database's password is neither stored nor shown."""

import io
import sqlite3

import pandas as pd
import pytest
from rich.console import Console

import hpsearch
from hpsearch.core.database_urls import without_password
from hpsearch.study.spec import load_spec

STUDY = """
name = "shop"
trainer = "tabular"
metric = "accuracy"
direction = "maximize"
[data]
database = "{url}"
query = "select * from customers"
target = "left"
[settings]
layers = "8"
bs = 16
[space.lr]
low = 1e-3
high = 1e-1
default = 1e-2
[presets.quick]
trials = 2
"""


@pytest.mark.filterwarnings("ignore:Query string argument")  # SQLite has no passwords
def test_a_query_is_searched_over_without_its_password_in_the_store(tmp_path, monkeypatch):
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    table = pd.DataFrame(
        {"age": range(200), "left": ["yes", "no"] * 100, "plan": list("abcd") * 50}
    )
    with sqlite3.connect(tmp_path / "shop.db") as db:
        table.to_sql("customers", db, index=False)
    db.close()
    url = f"sqlite:///{tmp_path}/shop.db?password=s3cret"
    (tmp_path / "study.toml").write_text(STUDY.format(url=url))
    said = io.StringIO()
    for _ in range(2):  # the second run finds the study unchanged
        study = hpsearch.run(
            tmp_path / "study.toml", preset="quick", trials=1,
            console=Console(file=said, width=200), storage=f"sqlite:///{tmp_path}/store.db",
        )  # fmt: skip
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 2
    assert "password=***" in study.user_attrs["hps_data"]["declared"]["database"]
    assert "s3cret" not in said.getvalue()
    assert all(b"s3cret" not in file.read_bytes() for file in tmp_path.glob("store.db*"))


@pytest.mark.parametrize("url", ["postgresql://me:s3cret@host/db", "no url: s3cret"])
def test_a_password_is_not_shown(tmp_path, url):
    (tmp_path / "study.toml").write_text(STUDY.format(url=url))
    shown = without_password(load_spec(tmp_path / "study.toml").data)
    assert "s3cret" not in str(shown)
    assert shown["query"] == "select * from customers"
