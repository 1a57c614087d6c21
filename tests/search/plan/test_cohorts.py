"""The plan: cohorts, shares, replicates, seeds, and a design that covers the space evenly."""

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from scipy.stats import qmc

from hpsearch.search.plan.cohorts import History, Request, plan, sobol, trial_seed
from hpsearch.study.space import to_unit

SPACE = {
    "lr": FloatDistribution(1e-4, 1e-1, log=True),
    "wd": FloatDistribution(0.0, 0.3),
    "bs": IntDistribution(8, 64, step=8),
    "unfreeze": CategoricalDistribution([True, False]),
}
DEFAULTS = {"lr": 0.01, "wd": 0.1, "bs": 32, "unfreeze": True}
NEW = History(has_baseline=False, design=(), replicated=frozenset(), replicates=0)


def make(trials, first=0, history=NEW, **options):
    request = Request(trials, **options)
    return plan(SPACE, DEFAULTS, request, first=first, seed=3, history=history)


def after(planned, history=NEW):
    """The history that a plan leaves behind."""
    design = [
        (i, one.params)
        for i, one in enumerate(planned)
        if one.cohort == "design" and one.replicate_of is None
    ]
    copies = [one.replicate_of for one in planned if one.replicate_of is not None]
    return History(True, history.design + tuple(design), frozenset(copies), len(copies))


def cohorts(planned):
    return [one.cohort for one in planned]


def test_the_baseline_comes_first_and_once():
    first = make(12)
    assert first[0].cohort == "baseline"
    assert first[0].params == DEFAULTS
    again = make(12, first=12, history=after(first))
    assert "baseline" not in cohorts(again)
    assert make(1)[0].cohort == "baseline"


@pytest.mark.parametrize(("share", "design"), [(0.5, 6), (0.0, 0), (1.0, 11), (0.25, 3)])
def test_the_rest_is_divided_between_design_and_exploit(share, design):
    words = cohorts(make(12, design_share=share))
    assert words == ["baseline"] + ["design"] * design + ["exploit"] * (11 - design)


@pytest.mark.parametrize(("size", "copies"), [(3, 0), (4, 1), (11, 1), (22, 2), (110, 10)])
def test_one_configuration_in_ten_is_replicated(size, copies):
    planned = make(size + 1, design_share=1)
    replicates = [one for one in planned if one.replicate_of is not None]
    assert len(replicates) == copies
    assert len({one.replicate_of for one in replicates}) == copies
    for one in replicates:
        original = planned[one.replicate_of]
        assert (original.cohort, original.params) == ("design", one.params)
        assert original.seed != one.seed


def test_ten_small_runs_replicate_as_often_as_one_large():
    history, number, everything = NEW, 0, []
    for _ in range(11):
        planned = make(10, first=number, history=history, design_share=1)
        everything += planned
        number += len(planned)
        history = after(everything)
    assert history.replicates == 10
    assert len(history.replicated) == 10


def test_a_design_goes_on_where_it_stopped():
    """Two runs of 16 give the points of one of 32."""
    whole = sobol(SPACE, 7, start=0, count=32)
    assert sobol(SPACE, 7, start=0, count=16) + sobol(SPACE, 7, start=16, count=16) == whole
    assert sobol(SPACE, 8, start=0, count=32) != whole


def test_a_design_is_inside_the_ranges_and_more_even_than_chance():
    points = sobol(SPACE, 7, start=0, count=128)
    for name, distribution in SPACE.items():
        assert all(
            distribution._contains(distribution.to_internal_repr(point[name])) for point in points
        )
    # Two continuous parameters: discrepancy well below that of any of 20 random samples.
    ours = np.array(
        [[to_unit(SPACE[name], point[name]) for name in ("lr", "wd")] for point in points]
    )
    chance = [qmc.discrepancy(np.random.default_rng(seed).random((128, 2))) for seed in range(20)]
    assert qmc.discrepancy(ours) < 0.2 * min(chance)
    # A choice and a step get their equal shares, to within one point.
    assert abs(sum(point["unfreeze"] for point in points) - 64) <= 1
    assert {bs: sum(p["bs"] == bs for p in points) for bs in range(8, 65, 8)} == dict.fromkeys(
        range(8, 65, 8), 16
    )


def test_seeds_are_those_they_always_were():
    """A study that is continued next year must draw what it would have drawn today."""
    assert [trial_seed(0, number) for number in range(3)] == [1484405855, 1982462498, 1570558271]
    seeds = {trial_seed(study, number) for study in range(20) for number in range(500)}
    assert len(seeds) == 10_000
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_a_trials_seed_is_that_of_its_number():
    planned = make(8, first=5)
    assert [one.seed for one in planned] == [trial_seed(3, number) for number in range(5, 13)]


def test_exploit_trials_are_drawn_later():
    assert all(one.params == {} for one in make(12) if one.cohort == "exploit")
