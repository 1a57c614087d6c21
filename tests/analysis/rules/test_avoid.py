"""Regions to avoid are found among trials that have the parameter, each for its own sake."""

from __future__ import annotations

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution

from hpsearch.analysis import explain
from hpsearch.analysis.effects.failures import read_failures
from hpsearch.analysis.read.frame import read_study
from hpsearch.analysis.rules.avoid import failure_rules
from hpsearch.analysis.surrogate import fit


def branching(studies, seed, n=200):
    """Under kind a, gamma above .7 fails; C, also under a, does nothing, nor does depth under b."""
    rng = np.random.default_rng(seed)
    space = {"kind": CategoricalDistribution(["a", "b"])}
    space |= dict.fromkeys(("C", "gamma", "depth", "x"), studies.unit)
    rows, dead = [], []
    for kind, c, gamma, depth, x in zip(
        rng.choice(["a", "b"], n), *rng.random((4, n)), strict=True
    ):
        own = {"C": c, "gamma": gamma} if kind == "a" else {"depth": depth}
        rows.append({"kind": str(kind), "x": x, **own})
        dead.append(kind == "a" and gamma > 0.7)
    alive = [row for row, failed in zip(rows, dead, strict=True) if not failed]
    study = studies.of(alive, rng.normal(size=len(alive)), space)
    study.add_trials(
        [studies.failed(r, space) for r, failed in zip(rows, dead, strict=True) if failed]
    )
    return read_study(study)


@pytest.mark.parametrize("seed", range(8))
def test_only_what_fails_is_avoided_inside_a_branch(studies, seed):
    """Not the branch either, which fails more often than the other for this reason alone."""
    frame = branching(studies, seed)
    rules = failure_rules(frame, 0.9, np.random.SeedSequence(seed))
    assert [rule.param for rule in rules] == ["gamma"]
    (rule,) = rules
    assert rule.low == pytest.approx(0.7, abs=0.05)
    assert rule.high == 1.0
    assert "% of trials that have `gamma` fail there, " in rule.detail
    assert rule.n_trials == sum("a" in str(frame.axes[0].from_unit(u)) for u in frame.unit[:, 0])


def test_the_curve_of_failures_is_that_of_the_branch(studies):
    curves = read_failures(branching(studies, 0), np.random.SeedSequence(0)).curves
    assert set(curves) == {"kind", "x", "C", "gamma"}  # under b nothing fails
    assert curves["gamma"][-1] == pytest.approx(1.0, abs=0.05)
    assert curves["gamma"][0] == pytest.approx(0.0, abs=0.05)


def test_two_reasons_to_fail_are_both_found(studies):
    rng = np.random.default_rng(0)
    points = rng.random((200, 3))
    dead = (points[:, 0] > 0.8) | (points[:, 1] < 0.15)
    rows = [{f"x{j}": float(v) for j, v in enumerate(point)} for point in points]
    space = {f"x{j}": studies.unit for j in range(3)}
    study = studies.of([rows[i] for i in np.flatnonzero(~dead)], rng.random((~dead).sum()), space)
    study.add_trials([studies.failed(rows[i], space) for i in np.flatnonzero(dead)])
    rules = failure_rules(read_study(study), 0.9, np.random.SeedSequence(0))
    assert {rule.param: (rule.low == 0.0, rule.high == 1.0) for rule in rules} == {
        "x0": (False, True),
        "x1": (True, False),
    }


def test_a_category_to_avoid_is_named_once(studies):
    rng = np.random.default_rng(0)
    space = {"kind": CategoricalDistribution(["a", "b", "c"])}
    rows = [{"kind": str(kind)} for kind in rng.choice(["a", "b", "c"], 90)]
    alive = [row for row in rows if row["kind"] != "b"]
    study = studies.of(alive, rng.random(len(alive)), space)
    study.add_trials([studies.failed(row, space) for row in rows if row["kind"] == "b"])
    (rule,) = failure_rules(read_study(study), 0.9, np.random.SeedSequence(0))
    assert rule.advice == "`kind`: avoid b."


def test_no_rule_names_a_value_where_trials_fail(studies):
    """The metric rises to the end of the range, where nine trials of ten fail."""
    rng = np.random.default_rng(0)
    points = rng.random((120, 2))
    dead = (points[:, 0] > 0.7) & (rng.random(120) < 0.9)
    values = 3 * points[:, 0] + 0.3 * rng.normal(size=120)
    rows = [{"lr": float(lr), "x": float(x)} for lr, x in points]
    space = {"lr": studies.unit, "x": studies.unit}
    alive = np.flatnonzero(~dead)
    study = studies.of([rows[i] for i in alive], values[alive], space)
    study.add_trials([studies.failed(rows[i], space) for i in np.flatnonzero(dead)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "N_REFITS", 19)
        found = explain(study)
    avoid, use = (rule for rule in found.rules if rule.param == "lr")
    assert (avoid.kind, use.kind) == ("avoid", "optimum")
    assert use.value <= avoid.low
    assert use.high <= avoid.low + 0.01
    assert found.effects[0].best == use.value
    assert found.next_steps == ()  # not to widen the range where trials fail
