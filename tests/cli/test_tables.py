"""Trials of a store as tables: the best first, and side by side."""

import io

import optuna
import pytest
from rich.console import Console

from hpsearch.cli import tables
from hpsearch.errors import InputError
from hpsearch.store.sources import open_source

VALUES = {"low": [0.5, 0.9, 0.7], "other": [0.8]}


@pytest.fixture
def source(tmp_path):
    """Two studies of somebody's, of which the first has a failed trial, too."""
    url = f"sqlite:///{tmp_path}/trials.db"
    for name, values in VALUES.items():
        study = optuna.create_study(study_name=name, storage=url, direction="maximize")
        for i, value in enumerate(values):
            study.enqueue_trial({"lr": 0.1 / (i + 1)})
            study.optimize(lambda trial, v=value: v + 0 * trial.suggest_float("lr", 0, 1), 1)
        if name == "low":
            study.tell(study.ask(), state=optuna.trial.TrialState.FAIL)
    with open_source(url) as opened:
        yield opened


def rows(part):
    shown = Console(file=io.StringIO(), width=200)
    shown.print(part)
    return [line.split() for line in shown.file.getvalue().splitlines()]


def test_the_best_trials_come_first_and_failed_ones_not_at_all(source):
    table = rows(tables.top_trials(source, source.find_one("low"), 2))
    assert [row[:2] for row in table[2:]] == [["1", "0.9"], ["2", "0.7"]]
    assert len(rows(tables.top_trials(source, source.find_one("low"), 10))) == 2 + 3


def test_a_study_stands_for_its_best_trial_and_differences_are_marked(source):
    table = {row[0]: row[1:] for row in rows(tables.compared(source, ["low", "low:2", "other"]))}
    assert table["lr"] == ["0.05", "0.0333", "0.1", "differs"]
    assert table["value"] == ["0.9", "0.7", "0.8", "differs"]
    assert table["trials"][:4] == ["4", "finished", "4", "finished"]


@pytest.mark.parametrize(("name", "says"), [("low:9", "no trial 9: it has 4"), ("x", "no study")])
def test_what_is_not_there_is_named(source, name, says):
    with pytest.raises(InputError, match=says):
        tables.compared(source, [name])
