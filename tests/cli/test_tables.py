"""Trials of a store as tables: the best first, and side by side."""

import io

import optuna
import pytest
from rich.console import Console
from typed import typed

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


def test_every_command_shows_all_objectives_of_somebodys_study(tmp_path):
    """Of the points (1, 3), (2, 1), (2, 3), (0.5, inf) all but (2, 3) are on the front."""
    url = f"sqlite:///{tmp_path}/two.db"
    study = optuna.create_study(study_name="two", storage=url, directions=["minimize"] * 2)
    lr = optuna.distributions.FloatDistribution(0, 1)
    for pair in ((1.0, 3.0), (2.0, 1.0), (2.0, 3.0), (0.5, float("inf"))):
        study.add_trial(
            optuna.trial.create_trial(params={"lr": 0.5}, distributions={"lr": lr}, values=pair)
        )
    study.tell(study.ask(), state=optuna.trial.TrialState.FAIL)
    optuna.create_study(study_name="none", storage=url, directions=["minimize", "maximize"])
    with open_source(url) as source:
        one = source.find_one("two")
        listed = {row[0]: row[1:] for row in rows(tables.stored_studies(source)) if row}
        assert listed["two"] == ["4", "complete,", "1", "fail", "0.5", "/", "1", "3", "/", "1"]
        assert listed["none"] == ["none"]
        front = "3 trials of 4 complete ones on the Pareto front"
        for part in (tables.describe_stored(source, one), tables.top_trials(source, one, 2)):
            assert front in " ".join(word for row in rows(part) for word in row)
        top = rows(tables.top_trials(source, one, 2))
        assert top[2][:3] == ["trial", "values_0", "values_1"]
        assert [row[:3] for row in top[3:]] == [["3", "0.5", "inf"], ["0", "1", "3"]]
    status, shown, _ = typed(tmp_path, "show", "two", "--storage", url)
    assert (status, "best values_1 1 (trial 1)" in shown, "0 to 1" in shown) == (0, True, True)
    for command in (("run", "two"), ("worker", "two"), ("train", "two", "--output", "m")):
        status, _, said = typed(tmp_path, *command, "--storage", url)
        assert (status, "was not made by `hpsearch run`" in said) == (2, True), said


@pytest.mark.parametrize(
    ("choices", "shown"),
    [
        ([None, "None"], ["None", '"None"']),
        (["1", 1, 2], ['"1"', "1", "2"]),
        ([True, "True"], ["True", '"True"']),
        (["a", "a ", "b"], ['"a"', '"a', "b"]),  # parted at the blank
    ],
)
def test_choices_that_print_alike_are_told_apart(tmp_path, choices, shown):
    url = f"sqlite:///{tmp_path}/alike.db"
    study = optuna.create_study(study_name="alike", storage=url)
    kind = optuna.distributions.CategoricalDistribution(choices)
    for place, choice in enumerate(choices):
        study.add_trial(
            optuna.trial.create_trial(
                params={"k": choice}, distributions={"k": kind}, value=float(place)
            )
        )
    with open_source(url) as source:
        table = rows(tables.top_trials(source, source.find_one("alike"), 5))
    assert [row[3] for row in table[2:]] == shown


@pytest.mark.parametrize(("name", "says"), [("low:9", "no trial 9: it has 4"), ("x", "no study")])
def test_what_is_not_there_is_named(source, name, says):
    with pytest.raises(InputError, match=says):
        tables.compared(source, [name])
