"""What rules name goes well together, as far as their intervals allow."""

from __future__ import annotations

import sys

import numpy as np
import optuna
import pytest

from hpsearch.analysis import explain


def ridge(seed, noise):
    """The best x grows with y; z matters by itself."""
    rng = np.random.default_rng(seed)

    def objective(trial):
        x, y, z = (trial.suggest_float(name, 0, 1) for name in "xyz")
        return -10 * (x - 0.25 - 0.4 * y) ** 2 - (z - 0.5) ** 2 + noise * rng.normal()

    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.RandomSampler(seed=seed)
    )
    study.optimize(objective, n_trials=60)
    return study


def truth(params):
    x, y, z = (params[name] for name in "xyz")
    return -10 * (x - 0.25 - 0.4 * y) ** 2 - (z - 0.5) ** 2


def following(explanation):
    kinds = ("optimum", "edge", "threshold")
    named = {r.param: r.value for r in explanation.rules if r.kind in kinds}
    return {**explanation.best_params, **named}


@pytest.fixture(scope="module")
def both():
    """Explanations of studies as they are, and with rules that name their curves' best values."""
    studies = [ridge(seed, 0.1) for seed in range(6)]
    agreed = [explain(study) for study in studies]
    with pytest.MonkeyPatch.context() as patch:
        module = sys.modules["hpsearch.analysis.explain"]  # a function has this name, too
        patch.setattr(module, "agreed", lambda frame, found, rules, level, chance: rules)
        patch.setattr(module, "that_go_together", lambda frame, found, rules, *_: (rules, None))
        alone = [explain(study) for study in studies]
    return agreed, alone


def test_following_all_rules_costs_no_more_than_the_best_trial(both):
    """Which the best value of each curve does."""

    def lost(some):
        return sum(truth(following(one)) < truth(one.best_params) for one in some)

    agreed, alone = both
    assert lost(agreed) == 0 < lost(alone)


def test_a_rule_names_a_value_of_its_interval_and_what_that_gains(both):
    changed = 0
    for agreed, alone in zip(*both, strict=True):
        for one, other in zip(agreed.rules, alone.rules, strict=True):
            assert (one.param, one.pieces) == (other.param, other.pieces)
            if one.kind not in ("optimum", "edge"):
                continue
            assert any(low <= one.value <= high for low, high in one.pieces)
            if one.value != other.value:
                changed += 1
                assert one.gain_worst.value <= other.gain_worst.value + 0.3
                assert one.gain_worst.low <= one.gain_worst.value <= one.gain_worst.high
    assert changed


def as_branch(study):
    """The study's trials are those with a net; as many have a tree instead, worse by 3."""
    rng, whole = np.random.default_rng(0), optuna.create_study(direction="maximize")
    kind = optuna.distributions.CategoricalDistribution(["tree", "net"])
    depth = {"model": kind, "depth": optuna.distributions.FloatDistribution(0, 1)}
    for trial in study.trials:
        net = {"model": "net", **trial.params}
        whole.add_trial(
            optuna.create_trial(
                params=net, distributions={"model": kind, **trial.distributions}, value=trial.value
            )
        )
        tree = {"model": "tree", "depth": rng.random()}
        value = -3 + 0.1 * rng.normal()
        whole.add_trial(optuna.create_trial(params=tree, distributions=depth, value=value))
    return whole


def test_rules_of_a_branch_are_those_of_a_study_of_its_trials_alone(both):
    seeds = [
        seed
        for seed, (agreed, alone) in enumerate(zip(*both, strict=True))
        if [one.value for one in agreed.rules] != [one.value for one in alone.rules]
    ]
    whole = explain(as_branch(ridge(seeds[0], 0.1)))
    inside = {one.param: one for one in whole.rules if one.param != "model"}
    assert {one.param for one in both[0][seeds[0]].rules} == set(inside)
    for one in both[0][seeds[0]].rules:
        assert inside[one.param].value == one.value
        assert inside[one.param].pieces == one.pieces
        if one.gain_worst is not None:
            assert inside[one.param].gain_worst.value == pytest.approx(one.gain_worst.value)
    assert whole.recommendation.params["model"] == "net"
