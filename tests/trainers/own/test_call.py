"""How a user's function is called, and what is made of what it returns."""

import re

import numpy as np
import pytest

from hpsearch.errors import InputError
from hpsearch.trainers.own.call import FunctionError, OwnCall, metrics_of


def call(function, settings=None, params=None, **given):
    return OwnCall("m:f", function)(settings or {}, params or {}, given)


def test_parameters_go_before_settings_and_both_before_what_is_given():
    def function(lr, bs, seed, extra=7):
        return lr, bs, seed, extra

    assert call(function, {"lr": 1, "bs": 2}, {"lr": 3}, seed=9, device="cpu") == (3, 2, 9, 7)
    assert call(function, {"lr": 1, "bs": 2}, {"seed": 4}, seed=9) == (1, 2, 4, 7)


def test_a_parameter_that_the_trial_does_not_have_is_its_default_or_none():
    assert call(lambda model, degree, gamma=3: (model, degree, gamma), params={"model": "a"}) == (
        "a", None, 3
    )  # fmt: skip


def test_keywords_that_are_open_take_everything():
    assert call(lambda **all: all, {"a": 1}, {"b": 2}, seed=3) == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("function", "settings", "space", "sentence"),
    [
        (lambda lr: lr, {}, ["rl"], "no parameter 'rl' (did you mean lr?)"),
        (lambda trial: trial, {"epochs": 3}, ["lr"], "no parameter 'epochs'"),
        (lambda lr, wd: lr, {}, ["lr"], "needs 'wd', which is neither searched nor set"),
        (lambda lr, /: lr, {}, ["lr"], "takes lr by place only"),
    ],
)
def test_names_that_do_not_fit_are_told(function, settings, space, sentence):
    with pytest.raises(InputError, match=re.escape(sentence)):
        OwnCall("m:f", function).check(settings, space)


def test_generators_and_coroutines_are_refused():
    def generator(x):
        yield x

    async def later(x):
        return x

    for function, word in ((generator, "yields"), (later, "async")):
        with pytest.raises(InputError, match=word):
            OwnCall("m:f", function).check({}, ["x"])


def test_numbers_of_every_library_are_numbers():
    torch = pytest.importorskip("torch")
    for value in (2, 2.0, np.float32(2), np.int64(2), np.array(2.0), torch.tensor(2.0)):
        assert metrics_of(value, ["loss"]) == {"loss": 2.0}
    assert metrics_of((1, 2, 3), ["loss", "size"]) == {"loss": 1.0, "size": 2.0, "value_3": 3.0}
    assert metrics_of({"loss": 1, "size": 2}, ["loss"]) == {"loss": 1.0, "size": 2.0}


@pytest.mark.parametrize("value", [True, "1", None, [], object(), np.zeros(2), {"loss": "low"}])
def test_what_is_no_number_is_told(value):
    with pytest.raises(FunctionError, match="the objective returned"):
        metrics_of(value, ["loss"])


def test_too_few_numbers_are_told_with_what_is_missing():
    with pytest.raises(FunctionError, match="2 objectives: return loss, size"):
        metrics_of(1.0, ["loss", "size"])
