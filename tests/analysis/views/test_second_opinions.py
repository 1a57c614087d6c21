"""Permutation importance, PED-ANOVA and single-trial curves against what they must be."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

from hpsearch.analysis import explain
from hpsearch.analysis.read.frame import read_study
from hpsearch.analysis.views.second_opinions import ped_anova
from hpsearch.errors import InputError

SPACE = {
    "lr": FloatDistribution(1e-4, 1e-1, log=True),
    "layers": IntDistribution(1, 8),
    "size": IntDistribution(16, 256, log=True),
    "act": CategoricalDistribution(["relu", "gelu", "tanh"]),
}


def mixed_study(directions, n=120):
    """Two objectives of a space of every kind of distribution; `momentum` only with relu."""
    rng = np.random.default_rng(4)
    study = optuna.create_study(directions=directions)
    for _ in range(n):
        params = {
            "lr": float(10 ** rng.uniform(-4, -1)),
            "layers": int(rng.integers(1, 9)),
            "size": int(2 ** rng.uniform(4, 8)),
            "act": str(rng.choice(["relu", "gelu", "tanh"])),
        }
        space = dict(SPACE)
        if params["act"] == "relu":
            params["momentum"] = float(rng.random())
            space["momentum"] = FloatDistribution(0, 1)
        loss = (math.log10(params["lr"]) + 2) ** 2 + 0.1 * params["layers"]
        values = [loss + 0.1 * rng.normal(), params["size"] / 100 + 0.1 * rng.normal()]
        study.add_trial(
            optuna.trial.create_trial(
                params=params, distributions=space, values=values[: len(directions)]
            )
        )
    return study


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_ped_anova_is_what_optuna_says(direction):
    study = mixed_study([direction])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    assert ped_anova(read_study(study)) == pytest.approx(theirs)
    assert theirs["lr"] > 0.2


def test_ped_anova_of_one_of_two_objectives():
    """Optuna wants a target that is to be small: the second objective, turned."""
    study = mixed_study(["minimize", "maximize"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = get_param_importances(
            study, evaluator=PedAnovaImportanceEvaluator(), target=lambda t: -t.values[1]
        )
    found = ped_anova(read_study(study, "1"))
    assert found == pytest.approx(theirs)
    assert max(found, key=found.get) == "size"


def test_few_trials_have_no_best_tenth(studies):
    few = explain(studies.uniform(lambda p: p[:, 0], 40, 2))
    assert all(opinion.ped_anova is None for opinion in few.second_opinions)
    assert all(opinion.permutation is not None for opinion in few.second_opinions)


def test_shuffling_loses_twice_the_share_of_an_additive_function(studies):
    """For independent parameters and a good forest (Gregorutti et al. 2017, proposition 1)."""
    shares = np.array([9, 4, 0]) / 13
    study = studies.uniform(lambda p: 3 * p[:, 0] + 2 * p[:, 1], 400, 3, seed=1)
    found = explain(study)
    lost = np.array([o.permutation for o in found.second_opinions])
    assert [o.param for o in found.second_opinions] == ["x0", "x1", "x2"]
    assert lost == pytest.approx(2 * shares, abs=0.15)
    assert abs(lost[2]) < 0.02


def test_single_trial_curves_of_a_full_table_are_its_rows(studies):
    levels = [0.1, 0.3, 0.5, 0.7, 0.9]
    space = {name: FloatDistribution(0, 1) for name in ("a", "b")}
    rows = [{"a": a, "b": b} for a, b in itertools.product(levels, levels)]
    table = [math.sin(5 * row["a"]) * row["b"] + row["b"] ** 2 for row in rows]
    ice = explain(studies.of(rows, table, space), surrogate="exact").ice("a")
    assert ice.values == pytest.approx(levels)
    for trial, curve in zip(ice.trials, ice.curves, strict=True):
        b = rows[trial]["b"]
        assert curve == pytest.approx([math.sin(5 * a) * b + b**2 for a in levels])
    assert [table[trial] for trial in ice.trials] == sorted(table[t] for t in ice.trials)


def test_curves_of_a_parameter_that_is_not_there(studies):
    explained = explain(studies.uniform(lambda p: p[:, 0], 30, 2))
    with pytest.raises(InputError, match=r"no parameter 'lr' to explain: it has x0, x1"):
        explained.ice("lr")


def test_shares_of_the_good_region_are_those_of_the_clipped_table(studies):
    """Of a full table they can be computed from its rows and columns."""
    levels = [0.1, 0.3, 0.5, 0.7, 0.9]
    space = {name: FloatDistribution(0, 1) for name in ("a", "b")}
    rows = [{"a": a, "b": b} for a, b in itertools.product(levels, levels)]
    table = np.array([row["a"] + (100.0 if row["b"] > 0.8 else row["b"]) for row in rows])
    study = studies.of(rows, table, space, direction="minimize")
    explained = explain(study, surrogate="exact")
    assert explained.main_importances[0].params == ("b",)
    assert explained.main_importances[0].share > 0.99
    limit = np.sort(table)[9]  # 9 of 25 cells are better: the best 38% of the space end in it
    clipped = np.minimum(table, limit).reshape(5, 5)
    of_a, of_b = clipped.mean(axis=1).var(), clipped.mean(axis=0).var()
    found = explained.good_region(0.38)
    assert found.limit == pytest.approx(limit)
    assert found.shares["a",] == pytest.approx(of_a / clipped.var(), abs=1e-6)
    assert found.shares["b",] == pytest.approx(of_b / clipped.var(), abs=1e-6)
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found.shares["a",] > 0.3


def test_a_disaster_owns_the_variance_but_not_the_good_region(studies):
    """One in ten trials diverges; among the others only the other parameter counts."""
    study = studies.uniform(lambda p: p[:, 0] - 15 * (p[:, 1] > 0.9), 300, 2, seed=2)
    explained = explain(study)
    share = {i.params: i.share for i in explained.importances}
    assert share["x1",] > 0.9
    assert explained.good_region().shares["x0",] > 0.7
    with pytest.raises(InputError, match="quantile is 0: give a number above 0"):
        explained.good_region(0)
