"""verify as a person types it, on a table with the real trainer."""

import json
import shlex

import optuna
import pytest
from typer.testing import CliRunner

import hpsearch
from hpsearch.cli.app import app
from hpsearch.errors import InputError

pytestmark = pytest.mark.slow

STUDY = """
name = "mine"
trainer = "tabular"
metric = "accuracy"
direction = "maximize"
[data]
path = "people.csv"
target = "left"
[space.lr]
low = 1e-6
high = 1e-1
log = true
default = 1e-2
[space.wd]
low = 1e-3
high = 1e-1
log = true
default = 1e-2
[presets.quick]
trials = 5
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HPSEARCH_DEVICE", "cpu")
    monkeypatch.delenv("HPSEARCH_STORAGE", raising=False)
    rows = [f"{i % 50},{i * 7 % 13},{'yes' if i % 50 > 25 else 'no'}" for i in range(400)]
    (tmp_path / "people.csv").write_text("\n".join(["age,visits,left", *rows]))
    (tmp_path / "study.toml").write_text(STUDY)
    return tmp_path


def verify(*arguments):
    """(exit status, standard output) of `hpsearch verify`; raises what it raises."""
    done = CliRunner().invoke(app, ["verify", *arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout


def test_a_learning_rate_that_learns_is_confirmed_against_one_that_does_not(folder):
    hpsearch.run("study.toml", preset="quick")
    contrast = ("--param", "lr", "--value", "0.01", "--against", "1e-6", "--pairs", "6")
    contrast = (*contrast, "--workers", "1")
    status, out = verify("study.toml", *contrast)
    assert status == 0
    assert "Planned and written down as verification 1: 6 pairs of lr 0.01" in out
    assert "Confirmed: `lr` 0.01 against" in out
    document = json.loads(verify("study.toml", *contrast, "--format", "json")[1])
    assert (document["schema"], document["verdict"]) == ("hpsearch.verification/1", "confirmed")
    assert len(document["gains"]) == 6
    again = hpsearch.verify("study.toml", param="lr", value=0.01, against=1e-6, pairs=2)
    assert again.trials_study == "mine-quick-verify-3"

    assert "verification 4: 6 pairs" in verify("mine-quick", *contrast)[1]  # it knows its file
    (folder / "study.toml").rename(folder / "moved.toml")
    with pytest.raises(InputError, match=r"give the path of that file"):
        verify("mine-quick", *contrast)
    (folder / "moved.toml").rename(folder / "study.toml")
    with pytest.raises(InputError, match="holds the pairs of a verification"):
        verify("mine-quick-verify-1", *contrast)
    theirs = f"sqlite:///{folder / 'theirs.db'}"
    optuna.create_study(storage=theirs, study_name="theirs")
    before = (folder / "theirs.db").read_bytes()
    with pytest.raises(InputError, match="was not made by hpsearch"):
        verify("theirs", *contrast, "--storage", theirs)
    assert (folder / "theirs.db").read_bytes() == before


def test_what_to_do_next_can_be_pasted_from_anywhere(folder):
    """With the study's file and the store that was named, in one line however narrow the screen."""
    url = f"sqlite:///{folder / 'my.db'}"
    hpsearch.run("study.toml", preset="quick", storage=url)
    done = CliRunner().invoke(app, ["explain", "--storage", url], env={"COLUMNS": "60"})
    (line,) = [one for one in done.stdout.splitlines() if one.startswith("Next: ")]
    command, _, why = line.removeprefix("Next: ").partition("  # ")
    assert why.endswith("more trials would probably tell")
    assert shlex.split(command)[:3] == ["hpsearch", "run", str(folder / "study.toml")]
    assert shlex.split(command)[-2:] == ["--storage", url]
