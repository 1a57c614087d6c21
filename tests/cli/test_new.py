"""`hpsearch new`: a study for one's own table that runs as it is written."""

import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpsearch.cli.data import new
from hpsearch.errors import InputError
from hpsearch.study.spec import load_spec
from hpsearch.trainers.contract import PrepareSetup, TrialSetup
from hpsearch.trainers.tabular import train as trainer
from hpsearch.trainers.tabular.table.columns import infer_columns
from hpsearch.trainers.tabular.table.study_template import study_text


@pytest.fixture
def folder(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    n = 200
    color = rng.choice(["red", "blue"], n)
    table = pd.DataFrame(
        {"id": [f"k{i}" for i in range(n)], "color": color, "when": "2026-01-02",
         "size": rng.normal(size=n), "warm": np.where(color == "red", "yes", "no")}
    )  # fmt: skip
    table.loc[::2, "when"] = "2026-03-01"
    table.to_csv(tmp_path / "my.csv", index=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    return tmp_path


def trained(spec):
    """The metrics of a trial with the study's defaults."""
    data = trainer.prepare(spec.data, spec.settings, PrepareSetup(data_path=None, device="cpu"))
    resolved = spec.resolve("quick")
    return trainer.train(
        resolved.settings,
        resolved.defaults,
        data,
        TrialSetup(seed=0, device="cpu", report=lambda _: None),
    ).metrics


def test_a_new_study_can_be_run_and_learns(folder):
    options = ["my-shop", "--table", "my.csv", "--target", "warm"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "300"}
    out = subprocess.run(
        [sys.executable, "-m", "hpsearch", "new", *options],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    assert "1 categorical, 1 continuous, 1 date, 1 ignored" in out
    text = (folder / "my-shop/study.toml").read_text()
    assert re.search('"id", +# no two cells are equal', text)
    assert 'path = "../my.csv"' in text
    spec = load_spec(folder / "my-shop")
    assert (spec.name, spec.metric, spec.direction) == ("my-shop", "accuracy", "maximize")
    assert spec.data["split"] == {"share": 0.2, "stratify": "warm"}
    assert spec.resolve("quick").trials == 16
    assert trained(spec)["accuracy"] > 0.9


def test_a_study_of_numbers_from_a_query(folder, capsys):
    with sqlite3.connect(folder / "shop.db") as connection:
        pd.read_csv(folder / "my.csv").to_sql("people", connection, index=False)
    query = "select color, size from people"
    new(Path("size.toml"), database="sqlite:///shop.db", query=query, target="size")
    spec = load_spec(folder / "size.toml")
    assert (spec.name, spec.metric, spec.direction) == ("size", "rmse", "minimize")
    assert spec.data["query"] == query
    assert "password" not in capsys.readouterr().out
    with_password = "sqlite:///shop.db?password=hunter22"
    new(Path("s2.toml"), database=with_password, query=query, target="size")
    out = capsys.readouterr().out
    assert "holds the database's password" in out
    assert "hunter22" not in out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "Say where the rows are"),
        ({"table": Path("my.csv")}, "Add --target, one of id, color, when, size, warm."),
        ({"table": Path("my.csv"), "target": "wram"}, "did you mean warm?"),
        ({"table": Path("gone.csv"), "target": "warm"}, "does not exist"),
        ({"table": Path("my.csv"), "target": "same"}, "nothing to learn"),
    ],
)
def test_what_is_missing_is_said_in_a_sentence(folder, options, sentence):
    if options.get("target") == "same":
        pd.read_csv("my.csv").assign(same=1).to_csv("my.csv", index=False)
    with pytest.raises(InputError, match=re.escape(sentence)):
        new(Path("x.toml"), **options)
    assert not (folder / "x.toml").exists()


def test_a_study_that_is_there_is_kept(folder):
    (folder / "x.toml").write_text("mine")
    with pytest.raises(InputError, match="is there already"):
        new(Path("x.toml"), table=Path("my.csv"), target="warm")
    assert (folder / "x.toml").read_text() == "mine"


@pytest.mark.parametrize("rows", [3, 60, 5_000, 3_000_000])
def test_the_space_fits_any_number_of_rows(rows, tmp_path):
    columns = infer_columns(pd.DataFrame({"x": [0.5, 1, 2], "y": list("aab")}), "y")
    adult = load_spec("adult")
    text = study_text("mine", {"path": "t.csv"}, columns, rows, adult.space, {"quick": 4})
    (tmp_path / "study.toml").write_text(text)
    space = load_spec(tmp_path).resolve("quick").space
    assert space["bs"].low <= space["bs"].default <= space["bs"].high
    # A thousand steps of the default trial, unless the table is too small or too large for that.
    steps = space["epochs"].default * 0.8 * rows / space["bs"].default
    assert steps <= 2500 or space["epochs"].default == 1
    assert steps >= 500 or space["epochs"].default == 20
