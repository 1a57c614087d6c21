"""Kinds of rules on studies made for them, what to do next, stopped trials, even designs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hpsearch.analysis import explain
from hpsearch.analysis.effects.partial_residuals import Marginal
from hpsearch.analysis.rules.rules import rule_of


def kinds(explanation):
    return {rule.param: rule.kind for rule in explanation.rules}


@pytest.fixture(scope="module")
def plateau(studies):
    """x0 changes nothing up to .5, x1 rises to the end, x2 does nothing."""
    rng = np.random.default_rng(0)
    points = np.repeat(rng.random((700, 3)), 2, axis=0)
    values = -4 * np.maximum(points[:, 0] - 0.5, 0) + points[:, 1] + 0.2 * rng.normal(size=1400)
    rows = [{f"x{j}": float(v) for j, v in enumerate(point)} for point in points]
    space = {f"x{j}": studies.unit for j in range(3)}
    defaults = {"x0": 0.5, "x1": 0.5, "x2": 0.5}
    return explain(studies.of(rows, values, space, defaults=defaults))


def test_threshold_edge_and_no_effect_each_where_it_belongs(plateau):
    assert kinds(plateau) == {"x0": "threshold", "x1": "edge", "x2": "no-effect"}
    rule = next(rule for rule in plateau.rules if rule.param == "x0")
    assert rule.low == 0.0
    assert rule.high == pytest.approx(0.5, abs=0.08)
    free = next(rule for rule in plateau.rules if rule.param == "x2")
    assert "leave it at its default (0.5)" in free.statement
    unknown = replace(free, flags=(*free.flags, "default-unknown"))  # as of somebody else's study
    assert unknown.statement.startswith("`x2`: any value does: it makes no difference.")


@pytest.mark.parametrize("given", [True, False])
def test_where_no_value_is_ruled_out_only_a_best_value_that_is_known_makes_a_rule(plateau, given):
    """No value is surely worse than the best by 1.9, and the default (.5) may be as good."""
    curve = next(one for one in plateau.curves if one.param == "x0")
    curve = replace(curve, worth=1.9, default_given=given)
    points = curve.grid.points
    best = -4 * (points - 0.3) ** 2  # at .3 it is .16 better than at .5
    others = np.abs(points - 0.3) > 0.1
    known = best + np.linspace(-0.159, 0.159, 101)[:, None] * others
    anywhere = -4 * (points - np.linspace(0, 1, 101)[:, None]) ** 2

    def rule(copies):
        exact = Marginal(best, copies, copies, covariance=np.zeros((len(points), len(points))))
        return rule_of(replace(curve, marginal=exact, weighed=None), "value", matters=True)

    assert "nothing-ruled-out" in rule(known).flags
    assert rule(known).value == pytest.approx(0.3, abs=0.02)
    assert "(90% interval of the best value 0.29" in rule(known).advice
    assert rule(anywhere) is None


def test_a_rule_says_where_it_holds_and_where_it_comes_from(plateau):
    rule = plateau.rules[0]
    assert rule.validity == {name: (0.0, 1.0) for name in ("x0", "x1", "x2") if name != rule.param}
    assert rule.provenance["study"] == plateau.study
    assert rule.provenance["trials"] == [0, 1399]
    assert "optuna" in rule.provenance["versions"]


def test_an_edge_names_the_wider_range_as_a_line_to_paste(studies):
    rng = np.random.default_rng(1)
    width = rng.integers(8, 65, 80)
    values = np.log(width) + 0.1 * rng.normal(size=80)
    space = {"width": studies.optuna.distributions.IntDistribution(8, 64, log=True)}
    explanation = explain(studies.of([{"width": int(w)} for w in width], values, space))
    assert kinds(explanation) == {"width": "edge"}
    (step,) = explanation.next_steps
    assert step.startswith('trial.suggest_int("width", 8, 181, log=True)')


def test_too_few_trials_ask_for_more_as_a_line_to_paste(studies):
    study = studies.uniform(lambda p: p[:, 0], 12, 4, noise=1.0)
    explanation = explain(study)
    (step,) = explanation.next_steps
    assert step.startswith(f"study.optimize(objective, n_trials={explanation.more_trials})")
    study.set_user_attr("hps_study", "mine")
    study.set_user_attr("hps_preset", "quick")
    (step,) = explain(study).next_steps
    assert step.startswith(f"hpsearch run mine --preset quick --trials {explanation.more_trials}")


@pytest.mark.parametrize("seed", [17, 18])  # whose 60 trials show no rule yet
def test_trials_that_crowd_round_the_best_ask_for_some_that_are_spread_which_then_do(studies, seed):
    samplers, rng = studies.optuna.samplers, np.random.default_rng(seed)

    def objective(trial):
        x, y, *_ = (trial.suggest_float(name, 0, 1) for name in ("x", "y", "z0", "z1", "z2", "z3"))
        return (x - 0.3) ** 2 + 0.1 * y**2 + 0.12 * rng.normal()

    study = studies.optuna.create_study(sampler=samplers.TPESampler(seed=seed))
    study.optimize(objective, n_trials=60)
    explanation = explain(study)
    assert explanation.trusted
    assert not explanation.rules
    step, _, why = explanation.next_steps[0].partition("  # ")
    assert why == f"{explanation.more_trials} more trials would probably tell"
    scope = {"study": study, "objective": objective, "optuna": studies.optuna}
    exec(step.replace("RandomSampler()", f"RandomSampler({seed})"), scope)  # as one would paste it
    assert len(study.trials) == 60 + explanation.more_trials
    assert "x" in kinds(explain(study))


def test_slopes_are_right_where_trials_fill_the_space_evenly(studies):
    """Of 64 Sobol points each lies among others that differ in everything else: once 1.1."""
    from scipy.stats import qmc

    ratios = []
    for seed in range(6):
        points = qmc.Sobol(6, rng=seed).random(64)
        noise = 0.1 * np.random.default_rng(seed).normal(size=64)
        values = np.exp(-0.5 * ((points[:, 0] - 0.4) / 0.2) ** 2) * 3 + points[:, 2] + noise
        rows = [{f"x{j}": float(v) for j, v in enumerate(point)} for point in points]
        study = studies.of(rows, values, {f"x{j}": studies.unit for j in range(6)})
        effect = next(e for e in explain(study).effects if e.param == "x2")
        ratios.append((effect.mean[95] - effect.mean[5]) / 0.9)
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.06)
