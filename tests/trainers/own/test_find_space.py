"""The space that a function declares by its hints, and by what it asks its trial for."""

import functools
import sys
from typing import Annotated, Literal

import optuna
import pytest

import hpsearch
from hpsearch.errors import InputError
from hpsearch.trainers.own.call import OwnCall
from hpsearch.trainers.own.declared import hinted_space
from hpsearch.trainers.own.last_question import last_question
from hpsearch.trainers.own.suggested import suggested_space

TRAINED = []


def hinted(
    lr: Annotated[float, hpsearch.Float(1e-4, 1, log=True)],
    depth: Annotated[int, hpsearch.Int(1, 8)] = 3,
    model: Literal["svm", "tree"] = "tree",
    path: str = "x",
    mode: Literal["a", "b"] = "a",
):
    return lr


def flat(trial):
    """Asks for three, and is left before it trains."""
    lr = trial.suggest_float("lr", 1e-4, 1, log=True)
    depth, kind = (
        trial.suggest_int("depth", 1, 30),
        trial.suggest_categorical("kind", ["a", "b"]),
    )
    TRAINED.append((lr, depth, kind))
    for step in range(3):
        trial.report(lr, step)
    return lr


def svm(trial):
    return trial.suggest_float("C", 0.1, 10)


def branching(trial):
    if trial.suggest_categorical("model", ["tree", "svm", "none"]) == "svm":
        cost = svm(trial)
        if trial.suggest_categorical("kernel", ["linear", "rbf"]) == "rbf":
            trial.suggest_float("gamma", 0.1, 1)
    else:
        cost = None
    trial.suggest_categorical("scale", [True, False])
    TRAINED.append(cost)
    return 1.0


def layers(trial, width=3):
    for k in range(trial.suggest_int("n_layers", 1, 3)):
        trial.suggest_int(f"units_{k}", 4, 128)
    TRAINED.append(width)


def only_reports(trial, lr):
    TRAINED.append(lr)
    trial.report(lr, 1)
    if trial.should_prune():
        raise optuna.TrialPruned


def moving(trial):
    low = trial.suggest_categorical("low", [1, 2])
    return trial.suggest_float("x", low, 10)


def long_loop(trial):
    return [trial.suggest_float(f"x{k}", 0, 1) for k in range(trial.suggest_int("n", 1, 20))]


def inside(trial):
    def draw():
        return trial.suggest_float("x", 0, 1)

    return draw()


def raising(trial):
    {}["no such file"]
    trial.suggest_float("x", 0, 1)


def parity(trial):
    a, b = (trial.suggest_categorical(name, [0, 1]) for name in "ab")
    if a == b:
        trial.suggest_float("x", 0, 1)
    trial.suggest_float("last", 0, 1)


def found(function):
    TRAINED.clear()
    space, when = suggested_space(OwnCall("m:f", function), {}, {}, None)
    assert TRAINED == []
    return space, when


def test_hints_with_ranges_and_literals_are_the_space_but_for_settings():
    space = hinted_space(OwnCall("m:f", hinted), {"mode": "b"})
    assert {name: one.to_space() for name, one in space.items()} == {
        "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True},
        "depth": {"type": "int", "low": 1, "high": 8},
        "model": {"type": "choice", "choices": ["svm", "tree"]},
    }


def test_a_hint_whose_range_does_not_fit_its_type_is_told():
    def whole(n: Annotated[int, hpsearch.Float(1, 8)]):
        return n

    with pytest.raises(InputError, match=r"n is of type int.*write hpsearch\.Int"):
        hinted_space(OwnCall("m:f", whole), {})


def test_what_a_function_suggests_is_found_without_training():
    space, when = found(flat)
    assert space == {
        "lr": optuna.distributions.FloatDistribution(1e-4, 1, log=True),
        "depth": optuna.distributions.IntDistribution(1, 30),
        "kind": optuna.distributions.CategoricalDistribution(["a", "b"]),
    }
    assert when == {}


def test_what_is_asked_for_under_some_choices_only_is_conditional():
    space, when = found(branching)
    assert set(space) == {"model", "C", "kernel", "gamma", "scale"}
    assert when == {
        "C": {"model": ["svm"]},
        "kernel": {"model": ["svm"]},
        "gamma": {"model": ["svm"], "kernel": ["rbf"]},
    }


def test_a_number_of_layers_brings_their_parameters():
    space, when = found(layers)
    assert list(space) == ["n_layers", "units_0", "units_1", "units_2"]
    assert when == {"units_1": {"n_layers": [2, 3]}, "units_2": {"n_layers": [3]}}


def test_a_function_that_only_reports_is_not_called_at_all():
    assert found(only_reports) == ({}, {})


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (moving, "the range of 'x' depends on other parameters"),
        (long_loop, "depends on 'n', which has more than 10 values"),
        (inside, "it asks in a function inside itself"),
        (raising, "it raised KeyError: 'no such file'"),
        (parity, "no values of other parameters say when it asks for 'x'"),
        (functools.partial(flat), "its source cannot be read"),
    ],
)
def test_what_cannot_be_found_is_refused_in_one_sentence(function, why):
    with pytest.raises(InputError, match=rf"m:f asks its trial for.*{why}.*: declare the ranges"):
        suggested_space(OwnCall("m:f", function), {}, {}, None)


def test_a_tracer_that_was_there_is_there_again():
    before = sys.gettrace()
    sys.settrace(tracer := lambda *_: None)
    try:
        found(flat)
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)


def test_the_last_question_is_behind_a_loop_and_before_what_follows():
    first = layers.__code__.co_firstlineno
    assert last_question(layers) == first + 2
    assert last_question(flat) == flat.__code__.co_firstlineno + 6
