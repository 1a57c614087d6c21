"""What explain says about studies whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from hpsearch.analysis import explain
from hpsearch.analysis.surrogate.forest import Settings, Table, grow

PEAK = 0.35


def peak(points):
    """Two parameters matter, two do not; the first has its optimum at .35."""
    return -4 * (points[:, 0] - PEAK) ** 2 + 1.2 * points[:, 1]


@pytest.fixture(scope="module")
def explained(studies):
    study = studies.uniform(peak, 120, 4, noise=0.3, defaults={"x0": 0.9, "x1": 0.5})
    return explain(study)


def rule_for(explanation, param):
    return next((rule for rule in explanation.rules if rule.param == param), None)


def test_the_planted_optimum_is_found(explained):
    rule = rule_for(explained, "x0")
    assert explained.trusted
    assert rule.kind == "optimum"
    assert rule.low <= PEAK <= rule.high
    assert rule.value == pytest.approx(PEAK, abs=0.1)
    assert rule.gain.low <= 4 * 0.55**2 <= rule.gain.high * 1.3
    assert "use 0.3" in rule.statement
    assert "90% interval" in rule.statement


def test_of_an_optimum_at_the_edge_better_ones_may_lie_beyond(explained):
    rule = rule_for(explained, "x1")
    assert rule.kind == "edge"
    assert "the end of the range" in rule.statement
    assert "better ones may lie beyond" in rule.statement


def test_shares_are_ordered_and_sum_to_one(explained):
    shares = [i.share for i in explained.importances]
    assert sum(shares) + explained.remainder == pytest.approx(1.0)
    assert explained.importances[0].params == ("x0",)
    assert all(i.low <= i.share <= i.high for i in explained.importances)
    assert explained.quality.r2 > explained.quality.null


def test_minimising_the_negative_gives_the_same_rule(studies, explained):
    study = studies.uniform(
        lambda p: -peak(p), 120, 4, noise=0.0, direction="minimize", defaults={"x0": 0.9}
    )
    rule = rule_for(explain(study), "x0")
    assert rule.low <= PEAK <= rule.high
    assert rule.gain.value > 0


def test_same_seed_same_explanation(studies):
    study = studies.uniform(peak, 40, 3, noise=0.3)
    assert explain(study, seed=3).to_json() == explain(study, seed=3).to_json()


def test_pure_noise_gives_no_rule(studies):
    """At most one of twelve noise studies may print any rule (nominal: 5% at most)."""
    printed = 0
    for seed in range(12):
        study = studies.uniform(lambda p: np.zeros(len(p)), 30, 3, noise=1.0, seed=seed)
        printed += bool(explain(study).rules)
    assert printed <= 1


def test_twelve_trials_are_refused_kindly(studies):
    explanation = explain(studies.uniform(peak, 12, 4, noise=1.0))
    assert not explanation.trusted
    assert explanation.rules == ()
    assert explanation.reason
    assert explanation.more_trials >= 8
    assert explanation.importances


def test_renaming_and_reordering_change_nothing_but_noise(studies):
    rng = np.random.default_rng(0)
    points = rng.random((150, 3))
    values = peak(np.column_stack([points, points[:, :1]])) + 0.1 * rng.normal(size=150)
    space = dict.fromkeys(("a", "b", "c", "z", "y", "x"), studies.unit)
    plain = explain(studies.of([dict(zip("abc", p, strict=True)) for p in points], values, space))
    turned = explain(
        studies.of([dict(zip("zyx", p[::-1], strict=True)) for p in points], values, space)
    )
    shares = {i.params[0]: i.share for i in plain.main_importances}
    other = {i.params[0]: i.share for i in turned.main_importances}
    for name, renamed in zip("abc", "xyz", strict=True):
        assert other[renamed] == pytest.approx(shares[name], abs=0.02)


def test_order_of_choices_does_not_matter(studies):
    rng = np.random.default_rng(0)
    index, x = rng.integers(0, 4, 120), rng.random(120)
    values = np.array([0.0, 3.0, 1.0, 2.0])[index] + x + 0.2 * rng.normal(size=120)
    rows = [{"kind": "abcd"[i], "x": float(v)} for i, v in zip(index, x, strict=True)]
    found = []
    for choices in ("abcd", "dcba", "bdac"):
        space = {"kind": CategoricalDistribution(list(choices)), "x": studies.unit}
        explanation = explain(studies.of(rows, values, space))
        rule = rule_for(explanation, "kind")
        assert rule.value == "b"
        assert "not clearly worse" not in rule.statement
        found.append([i.share for i in explanation.main_importances])
    assert np.ptp(found, axis=0).max() < 0.02


def test_replicates_never_split():
    """Out-of-bag predictions of a memorised configuration know nothing of its replicates."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(30), 4)
    x = np.repeat(rng.random((30, 2)), 4, axis=0).astype(np.float32)
    y = np.repeat(rng.normal(size=30), 4)
    table = Table(x, y, group, np.zeros(2, np.int64))
    forest = grow(table, Settings(), rng)
    # Were one replicate in the bag, full trees would return its value: R2 would be near 1.
    assert 1 - forest.stage_errors[0] < 0.2


def test_noise_floor_comes_from_replicates(studies):
    rng = np.random.default_rng(1)
    points = np.repeat(rng.random(30), 3)
    values = 5 * points + 0.2 * rng.normal(size=90)
    study = studies.of([{"x": float(p)} for p in points], values, {"x": studies.unit})
    explanation = explain(study)
    assert explanation.noise.source == "replicates"
    assert explanation.noise.value == pytest.approx(0.2, rel=0.25)
    assert explanation.n_configurations == 30


def test_a_branch_is_explained_from_its_own_trials(studies):
    """A conditional parameter has the shares that its branch's trials alone give."""
    rng = np.random.default_rng(0)
    kind = rng.choice(["sgd", "adam"], 160)
    lr, momentum = rng.random(160), rng.random(160)
    values = lr + np.where(kind == "sgd", 3 * momentum, 1.0) + 0.1 * rng.normal(size=160)
    space = {
        "kind": CategoricalDistribution(["sgd", "adam"]),
        "lr": studies.unit,
        "momentum": studies.unit,
    }
    rows = [
        {"kind": str(k), "lr": float(a)} | ({"momentum": float(m)} if k == "sgd" else {})
        for k, a, m in zip(kind, lr, momentum, strict=True)
    ]
    whole = explain(studies.of(rows, values, space))
    sgd = kind == "sgd"
    branch_rows = [row for row, chosen in zip(rows, sgd, strict=True) if chosen]
    branch = explain(studies.of(branch_rows, values[sgd], space))
    inside = next(i for i in whole.importances if i.params == ("momentum",))
    alone = next(i for i in branch.importances if i.params == ("momentum",))
    assert inside.share == pytest.approx(alone.share)
    assert inside.active == pytest.approx(sgd.mean())
    assert inside.within == "kind = sgd"


def test_failures_concentrated_beyond_a_value_become_a_rule(studies):
    rng = np.random.default_rng(2)
    space = {"lr": FloatDistribution(1e-4, 1.0, log=True), "x": studies.unit}
    lr, x = 10 ** (-4 * rng.random(100)), rng.random(100)
    study = studies.of([], [], space)
    for a, b in zip(lr, x, strict=True):
        params = {"lr": float(a), "x": float(b)}
        if a > 0.2 and rng.random() < 0.8:
            study.add_trial(studies.failed(params, space))
        else:
            value = -((math.log10(a) + 2) ** 2) + 0.2 * rng.normal()
            study.add_trial(
                optuna.trial.create_trial(params=params, distributions=space, value=value)
            )
    explanation = explain(study)
    rule = next(rule for rule in explanation.rules if rule.kind == "avoid")
    assert rule.param == "lr"
    assert 0.1 < rule.low < 0.4
    assert rule.high == pytest.approx(1.0)
    assert "of trials fail there" in rule.statement


def test_an_optimum_that_moves_with_a_partner_is_conditional(studies):
    """On a ridge the best x0 is wherever x1 is: no single value is right."""
    study = studies.uniform(lambda p: -((p[:, 0] - p[:, 1]) ** 2), 200, 3, noise=0.3)
    rule = rule_for(explain(study), "x0")
    assert rule.kind == "conditional"
    assert rule.partner == "x1"
    assert "depends on `x1`" in rule.statement


def test_pruned_trials_are_read_at_the_full_budget(studies):
    """Pruned values are worse because they are early; that must not be taken for x's effect."""
    rng = np.random.default_rng(0)
    study = studies.of([], [], {})
    for x, z in rng.random((150, 2)):
        final = 1 - 4 * (x - 0.6) ** 2 + 0.05 * rng.normal()
        curve = {step: final - 1.0 / step for step in (1, 3, 9)}
        pruned = curve[3] < 0.2
        steps = {s: v for s, v in curve.items() if not pruned or s <= 3}
        study.add_trial(
            optuna.trial.create_trial(
                params={"x": float(x), "z": float(z)},
                distributions={"x": studies.unit, "z": studies.unit},
                state=optuna.trial.TrialState.PRUNED
                if pruned
                else optuna.trial.TrialState.COMPLETE,
                value=None if pruned else final,
                intermediate_values=steps,
            )
        )
    explanation = explain(study)
    assert explanation.n_pruned > 30
    rule = rule_for(explanation, "x")
    assert rule.low <= 0.6 <= rule.high
    assert explanation.main_importances[0].params == ("x",)


def test_few_tried_values_are_read_at_those_values(studies):
    """A grid search over a continuous range says nothing between its values."""
    rng = np.random.default_rng(0)
    x = rng.choice([0.1, 0.5, 0.9], 60)
    values = np.where(x == 0.5, 1.0, 0.0) + 0.1 * rng.normal(size=60)
    rows = [{"x": float(a), "y": float(b)} for a, b in zip(x, rng.random(60), strict=True)]
    explanation = explain(studies.of(rows, values, {"x": studies.unit, "y": studies.unit}))
    effect = next(e for e in explanation.effects if e.param == "x")
    assert effect.values == pytest.approx((0.1, 0.5, 0.9))
    assert effect.mean == pytest.approx([0, 1, 0], abs=0.1)
    assert rule_for(explanation, "x").value == pytest.approx(0.5)


def test_a_dozen_trials_of_nine_parameters_are_never_trusted():
    # However well the one that matters explains them: another may do so by luck.
    space = {f"x{j}": FloatDistribution(0, 1) for j in range(9)}
    study = optuna.create_study(direction="maximize")
    for x in np.random.default_rng(0).random((12, 9)):
        params = {f"x{j}": float(x[j]) for j in range(9)}
        trial = optuna.trial.create_trial(params=params, distributions=space, value=float(x[0]))
        study.add_trial(trial)
    explanation = explain(study)
    assert not explanation.trusted
    assert explanation.rules == ()
    assert "12 different configurations are too few to tell 9 parameters" in explanation.reason
    assert explanation.more_trials > 0
