"""Studies of which nothing, or less, can be learned: one sentence each, with the way out."""

import math

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial
from typer.testing import CliRunner

from hpsearch.cli.app import app
from hpsearch.errors import InputError

UNIT = FloatDistribution(0, 1)
POINTS = np.random.default_rng(0).random(24).tolist()


def trial(x, value=None, state=TrialState.COMPLETE, **more):
    params = {"x": x, **more}
    space = {
        name: UNIT if isinstance(one, float) else CategoricalDistribution([one])
        for name, one in params.items()
    }
    return create_trial(state=state, value=value, params=params, distributions=space)


STUDIES = {
    "fine": [trial(x, x) for x in POINTS],
    "empty": [],
    "running": [trial(x, None, TrialState.RUNNING) for x in POINTS],
    "one": [trial(0.5, 1.0)],
    "equal": [trial(x, 1.0) for x in POINTS],
    "failed": [trial(x, None, TrialState.FAIL) for x in POINTS],
    "infinite": [trial(x, math.inf) for x in POINTS],
    "silent": [trial(x, None, TrialState.PRUNED) for x in POINTS],
    "fixed": [trial(0.5, float(i)) for i in range(24)],
    "no-params": [create_trial(value=float(i)) for i in range(24)],
    "some-infinite": [trial(x, math.inf if x > 0.8 else x) for x in POINTS],
    "some-silent": [trial(x, None, TrialState.PRUNED) if x > 0.8 else trial(x, x) for x in POINTS],
    "one-valued": [trial(x, x, k="always") for x in POINTS],
    "rare": [trial(x, x, y=x * x) if i < 3 else trial(x, x) for i, x in enumerate(POINTS)],
}


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    where = f"sqlite:///{tmp_path_factory.mktemp('bad') / 'optuna.db'}"
    for name, trials in STUDIES.items():
        optuna.create_study(storage=where, study_name=name).add_trials(trials)
    return where


def explain(url, *arguments):
    """What is printed, with its lines joined; raises what the command raises."""
    done = CliRunner().invoke(app, ["explain", *arguments, "--storage", url])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return " ".join(done.output.split())


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("empty", "has no finished trial: run more trials"),
        ("running", "has no finished trial: run more trials"),
        ("one", "has one finished trial only: run more trials"),
        ("equal", "all 24 values of study 'equal' equal 1"),
        ("failed", "all 24 trials of study 'failed' failed or have no finite value: mend"),
        ("infinite", "all 24 trials of study 'infinite' failed or have no finite value"),
        ("silent", "has no finished trial"),
        ("fixed", "no parameter of study 'fixed' takes more than one value: widen"),
        ("no-params", "no trial of study 'no-params' has a parameter"),
        ("nobody", "has no study 'nobody'"),
    ],
)
def test_what_cannot_be_explained_is_refused_in_a_sentence(url, name, says):
    with pytest.raises(InputError, match=says) as caught:
        explain(url, name)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("some-infinite", "with an infinite, enormous or undefined value count as failed"),
        ("some-silent", "pruned trials reported no value and are left out"),
        ("one-valued", "'k' was always always: nothing to learn"),
        ("rare", "Too few trials used 'y' (3) to say anything of it"),
    ],
)
def test_what_is_not_all_there_is_explained_with_a_note(url, name, says):
    assert says in explain(url, name)


def test_one_bad_study_does_not_hide_the_others(url):
    out = explain(url, "fine", "equal")
    assert "fine" in out
    assert "Error: all 24 values of study 'equal' equal 1" in out


def test_options_that_are_wrong(url):
    for arguments, says in (
        (("fine", "--metric", "loss"), "has no metric 'loss': it has value"),
        (("fine", "--level", "90"), "level is 90"),
        (("fine", "one-valued", "--trial", "3"), "A trial is of one study: name one of fine"),
        (("fine", "--output", "/no/such/folder/x.md", "--format", "md"), "cannot be written"),
    ):
        with pytest.raises(InputError, match=says):
            explain(url, *arguments)
