"""Every study enters the pooled curve, whatever its shape and metric; contributions add up."""

from __future__ import annotations

import numpy as np
import optuna
import pytest

from hpsearch.analysis import explain
from hpsearch.analysis.pool_studies import pool_studies
from hpsearch.errors import InputError


def named(study, name, **attrs):
    copy = optuna.create_study(study_name=name, direction=study.direction)
    copy.add_trials(study.trials)
    for key, value in {**study.user_attrs, **attrs}.items():
        copy.set_user_attr(key, value)
    return copy


@pytest.fixture(scope="module")
def explained(studies):
    """Three with the best x0 near .4, one that is noise; the fourth has the default there."""

    def made(name, centre, seed, noise=0.3):
        study = studies.uniform(
            lambda p: -4 * (p[:, 0] - centre) ** 2, 40, 1, noise=noise, seed=seed,
            defaults={"x0": 0.9},
        )  # fmt: skip
        return explain(named(study, name, rows=100 * 2**seed))

    return [
        made("one", 0.38, 0),
        made("two", 0.4, 1),
        made("three", 0.42, 2),
        made("flat", 0.4, 3, 9),
    ]


def test_every_study_enters_and_a_flat_one_weighs_little(explained):
    (pooled,) = pool_studies(explained).optima
    assert not explained[3].rules
    assert pooled.studies == ("one", "two", "three", "flat")
    weights = {part.study: part.weight for part in pooled.parts}
    assert sum(weights.values()) == pytest.approx(1)
    assert weights["flat"] < 0.5 * min(weights["one"], weights["two"], weights["three"])
    assert pooled.low <= 0.4 <= pooled.high
    assert pooled.high - pooled.low < 0.3


def test_the_rule_costs_least_and_is_checked_in_the_study_left_out(explained):
    pooled = pool_studies(explained[:3]).optima[0]
    assert pooled.cost[pooled.values.index(pooled.value)] == pooled.cost.min()
    assert pooled.cost_low.min() >= 0
    assert np.all(pooled.cost <= pooled.cost_new_high)
    at = int(np.argmin(np.abs(np.array(pooled.values) - 0.9)))
    assert pooled.cost[at] == pytest.approx(4 * 0.5**2, rel=0.25)  # the default is .5 away
    assert pooled.loss.low <= 0.02 <= pooled.loss.new_high + 0.02
    assert pooled.gain.low < 1 < pooled.gain.high + 0.2
    for index, part in enumerate(pooled.parts):
        rest = [one for other, one in enumerate(explained[:3]) if other != index]
        assert part.without == pytest.approx(pool_studies(rest).optima[0].value)


def test_a_best_value_at_the_edge_does_not_own_the_rule(studies, explained):
    """Its interval was of width 0, so that it had all the weight."""
    study = studies.uniform(lambda p: p[:, 0], 40, 1, noise=0.3, seed=7)
    (pooled,) = pool_studies([*explained[:3], explain(named(study, "edge"))]).optima
    edge = pooled.parts[-1]
    assert edge.best == pytest.approx(1.0, abs=0.05)
    assert edge.low < edge.best
    assert edge.weight < 0.5
    assert pooled.value < 0.7


def test_categories_are_pooled_over_those_in_common(studies):
    def made(name, choices, seed):
        rng = np.random.default_rng(seed)
        rows = [{"o": str(rng.choice(choices))} for _ in range(40)]
        values = [(row["o"] == "adam") + 0.3 * rng.normal() for row in rows]
        space = {"o": optuna.distributions.CategoricalDistribution(choices)}
        return explain(named(studies.of(rows, values, space), name))

    (pooled,) = pool_studies(
        [made("a", ["sgd", "adam"], 0), made("b", ["adam", "sgd", "lamb"], 1)]
    ).optima
    assert pooled.values == ("sgd", "adam")
    assert pooled.value == "adam"
    assert pooled.cost[0] == pytest.approx(1, abs=0.3)
    assert pooled.low is pooled.tau is None


def test_a_study_of_another_range_is_left_out_and_said(studies, explained):
    study = studies.of(
        [{"x0": x} for x in np.linspace(0.9, 1.9, 30)],
        np.linspace(0, 1, 30) + 0.1 * np.random.default_rng(0).normal(size=30),
        {"x0": optuna.distributions.FloatDistribution(0.9, 1.9)},
    )
    far = explain(named(study, "far"))
    (pooled,) = pool_studies([*explained[:3], far]).optima
    assert pooled.studies == ("one", "two", "three")
    assert pooled.notes == ("far is left out: it searched another range.",)
    (reason,) = pool_studies([explained[0], far]).left_out
    assert reason == ("x0", "the studies' ranges have too little in common")


def test_different_metrics_are_pooled_in_standard_deviations(explained, studies):
    study = studies.uniform(
        lambda p: 1000 * (p[:, 0] - 0.4) ** 2, 40, 1, noise=0.3, direction="minimize"
    )
    loss = explain(named(study, "loss"))
    (pooled,) = pool_studies([explained[0], loss]).optima
    assert pooled.unit == "standard deviations of a study's trials"
    assert pooled.low <= 0.4 <= pooled.high
    assert 0.5 < pooled.cost.max() < 10


def test_contributions_add_up_to_the_prediction(studies):
    study = studies.uniform(lambda p: p[:, 0] + 2 * p[:, 1], 60, 3, noise=0.1)
    explanation = explain(study)
    split = explanation.contributions(7)
    total = split.mean + sum(amount for _, amount in split.parts) + split.rest
    assert total == pytest.approx(split.prediction)
    assert split.prediction == pytest.approx(split.value, abs=0.5)
    main = {params[0]: amount for params, amount in split.parts if len(params) == 1}
    x1 = study.trials[7].params["x1"]
    assert np.sign(main["x1"]) == np.sign(x1 - 0.5)
    with pytest.raises(InputError, match="no finished trial 99"):
        explanation.contributions(99)
