"""The scale on which a space is sampled, against Optuna's own samplers and by counting."""

import math

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from hpsearch.store.tables.space_json import space_from_json, space_to_json
from hpsearch.study.space import (
    describe,
    describe_difference,
    described,
    from_unit,
    to_unit,
)

DISTRIBUTIONS = [
    FloatDistribution(-2.0, 3.0),
    FloatDistribution(1e-5, 1e-1, log=True),
    FloatDistribution(0.0, 1.0, step=0.25),
    IntDistribution(1, 6),
    IntDistribution(2, 17, step=5),
    IntDistribution(1, 64, log=True),
    CategoricalDistribution([True, False, "auto"]),
    FloatDistribution(0.5, 0.5),
]


def test_closed_forms():
    assert from_unit(FloatDistribution(1e-4, 1e-2, log=True), 0.5) == pytest.approx(1e-3)
    assert from_unit(FloatDistribution(-2.0, 2.0), 0.25) == -1.0
    assert [from_unit(IntDistribution(1, 4), u) for u in (0, 0.24, 0.26, 0.99, 1)] == [
        1, 1, 2, 4, 4,
    ]  # fmt: skip
    assert from_unit(FloatDistribution(0, 1, step=0.25), 0.5) == 0.5
    # On the log scale 1 owns [log 0.5, log 1.5] of [log 0.5, log 4.5]: half of it.
    one = IntDistribution(1, 4, log=True)
    assert from_unit(one, math.log(3) / math.log(9) - 1e-9) == 1
    assert from_unit(one, math.log(3) / math.log(9) + 1e-9) == 2


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=str)
@settings(max_examples=200, deadline=None)
@given(u=st.floats(0, 1))
def test_every_point_of_the_unit_interval_gives_a_value_in_range(distribution, u):
    value = from_unit(distribution, u)
    assert distribution._contains(distribution.to_internal_repr(value))
    there = to_unit(distribution, value)
    assert 0 <= there <= 1
    again = from_unit(distribution, there)
    assert again == (pytest.approx(value, rel=1e-9) if isinstance(value, float) else value)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS[:-1], ids=str)
def test_uniform_points_give_what_optunas_random_sampler_gives(distribution):
    """Two samples of 4,000: the largest distance of their distribution functions stays small."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    theirs = [
        distribution.to_internal_repr(study.ask({"p": distribution}).params["p"])
        for _ in range(1500)
    ]
    points = (np.arange(4000) + 0.5) / 4000
    ours = np.array([distribution.to_internal_repr(from_unit(distribution, u)) for u in points])
    grid = np.unique(np.concatenate([theirs, ours]))
    distance = max(abs((np.array(theirs) <= g).mean() - (ours <= g).mean()) for g in grid)
    assert distance < 1.95 / math.sqrt(1500)  # Kolmogorov's bound at 0.001


def test_a_space_survives_json():
    space = {str(i): one for i, one in enumerate(DISTRIBUTIONS)}
    assert space_from_json(space_to_json(space)) == space


def test_descriptions():
    assert describe(FloatDistribution(1e-4, 0.1, log=True)) == "0.0001 to 0.1, log"
    assert describe(IntDistribution(8, 64, step=8)) == "8 to 64 in steps of 8"
    assert describe(CategoricalDistribution([True, False])) == "one of True, False"


def test_a_space_in_one_line_tells_whole_numbers_from_others():
    space = {"lr": FloatDistribution(1e-4, 1.0, log=True), "n": IntDistribution(0, 1)}
    assert described(space) == "lr 0.0001 to 1, log; n 0 to 1 (whole numbers)"


def test_differences_name_the_parameter_and_both_ranges():
    old = {"lr": FloatDistribution(1e-4, 0.1, log=True), "wd": FloatDistribution(0, 1)}
    new = {"lr": FloatDistribution(1e-5, 0.1, log=True), "bs": IntDistribution(8, 64)}
    assert describe_difference(old, old) == []
    assert describe_difference(old, new) == [
        "lr is 1e-5 to 0.1, log (was 0.0001 to 0.1, log)",
        "wd is gone (was 0 to 1)",
        "bs is new (8 to 64)",
    ]
    assert describe_difference({"n": IntDistribution(1, 4)}, {"n": FloatDistribution(1, 4)}) == [
        "n is 1 to 4 (was 1 to 4)"
    ]
