"""The truths that tests/benchmarks/truth holds explanations to are those of closed forms."""

import numpy as np
import pytest

import hpsearch
from hpsearch.analysis.rules import rules
from hpsearch.store.tables import attributes
from tests.benchmarks.truth.integrals import truth_of
from tests.benchmarks.truth.report import gates_of
from tests.benchmarks.truth.score import score
from tests.benchmarks.truth.shapes import SHAPES
from tests.benchmarks.truth.studies import FIRST, MOST_STUDIES, make_study, study_seed


def test_a_cliffs_optimum_level_set_and_shares():
    truth = truth_of("cliff")
    lr = truth.curves["lr"]
    assert lr.optimum("good") == pytest.approx([0.62])
    # Rising by 3 over .62, so within half of the best from .62 - .62 / 6 on.
    assert lr.within("good", 0.5).min() == pytest.approx(0.62 - 0.62 / 6, abs=0.01)
    mean = 3 * (0.62 / 2 + 0.38 * 0.1)
    variance = 9 * (0.62 / 3 + 0.38 * 0.01) - mean**2
    # A line of standard deviation .35 over 8 levels has less: their own spread is smaller.
    total = variance + 0.5**2 + 0.35**2 * (1 - 1 / 64)
    assert truth.main["lr"] == pytest.approx(variance / total, abs=0.01)
    assert truth.main["wd"] == pytest.approx(0.25 / total, abs=0.01)
    assert truth.idle() == {"drop", "bs", "act"}
    assert truth.best_value == pytest.approx(3 + np.sqrt(3) * 0.5 + np.sqrt(12) * 0.35 * 0.4375)


def test_a_rule_that_would_change_nothing_is_none(monkeypatch):
    """Of `drop`, which does nothing, no value is ruled out, its best one is not known to half of
    the range, and its default may be as good."""
    seed = study_seed("tuning", 31, "accuracy", "mix", 60)
    study = make_study(SHAPES["accuracy"], "mix", 60, seed)
    found = hpsearch.explain(study, seed=seed)
    assert found.trusted
    assert "drop" not in {rule.param for rule in found.rules}
    monkeypatch.setattr(rules, "_changes_nothing", lambda curve: False)
    assert "drop" in {rule.param for rule in hpsearch.explain(study, seed=seed).rules}


def test_a_ridges_curves_and_interaction():
    truth = truth_of("ridge")
    scale = np.sqrt(7 / 180)  # the standard deviation of (u - v)^2
    line = np.sqrt(12) * 0.7
    x0 = truth.curves["x0"]
    whole = [-(u**2 - u + 1 / 3) / scale for u in (0.0, 0.5, 1.0)]
    assert [x0.at(u, "whole") for u in (0.0, 0.5, 1.0)] == pytest.approx(whole, abs=0.01)
    assert truth.main["x0"] == pytest.approx((1 / 180) / scale**2 / (1 + 0.49), abs=0.005)
    assert truth.pairs["x0", "x1"] == pytest.approx((5 / 180) / scale**2 / 1.49, abs=0.01)
    assert truth.best_value == pytest.approx(line / 2, abs=1e-3)


def test_the_good_region_and_the_whole_space_differ_where_they_should():
    """x0 high is safe: 2.4 there whatever x1. Low is best where x1 is right: 4 in its middle."""
    x0 = truth_of("safe").curves["x0"]
    assert x0.optimum("whole").tolist() == [1.0]
    assert x0.optimum("good").tolist() == [0.0]
    middle = np.sqrt(2 * np.pi) * 0.12 * 4  # the mean over x1 at x0 = 0 (its tail cut off)
    assert x0.at(0.0, "whole") == pytest.approx(middle, abs=0.01)


def test_near_failures_the_gain_is_weighed_by_the_chance_to_finish():
    """2 sqrt(3) (x - .2) / (1 + exp((x - .7) / .04)): its derivative is 0 at the optimum."""
    lr = truth_of("failures").curves["lr"]
    x = np.linspace(0, 1, 100_001)
    best = x[np.argmax((x - 0.2) / (1 + np.exp((x - 0.7) / 0.04)))]
    assert lr.optimum("good").min() - 0.01 <= best <= lr.optimum("good").max() + 0.01


def test_seeds_for_tuning_and_for_reporting_never_meet():
    first, second = (range(start, start + MOST_STUDIES) for start in FIRST.values())
    assert not set(first) & set(second)
    assert study_seed("tuning", 3, "cliff") == study_seed("tuning", 3, "cliff")
    assert study_seed("tuning", 3, "cliff") != study_seed("reporting", 3, "cliff")


def test_the_mix_has_the_cohorts_of_a_run_and_repeats_itself():
    studies = [make_study(SHAPES["branches"], "mix", 20, seed=5) for _ in range(2)]
    one, other = ([(t.params, t.value) for t in study.trials] for study in studies)
    assert one == other
    trials = studies[0].trials
    cohorts = [trial.user_attrs[attributes.COHORT] for trial in trials]
    assert cohorts == ["baseline"] + ["design"] * 10 + ["exploit"] * 9
    copies = [t for t in trials if attributes.REPLICATE_OF in t.user_attrs]
    assert copies
    for trial in copies:
        assert trial.params == trials[trial.user_attrs[attributes.REPLICATE_OF]].params
    for trial in trials:
        own = {"sgd": "momentum", "adam": "beta", "rmsprop": "alpha"}[trial.params["opt"]]
        assert trial.params.keys() == {"opt", "lr", "wd", "drop", own}


def line(*rules, **best):
    usual = {"kind": "optimum", "gain": None}
    return {"shape": "cliff", "trusted": False, "best": {"lr": 0.5} | best,
            "rules": [usual | rule for rule in rules]}  # fmt: skip


def test_a_rule_is_scored_by_what_is_true():
    """The cliff at .62 is the optimum of lr; drop does nothing; wd and width got no rule."""
    right = {"param": "lr", "at": 0.62, "pieces": [[0.6, 0.63]]}
    wrong = {"param": "lr", "at": 0.7, "pieces": [[0.64, 0.8]]}
    false = {"param": "drop", "at": 0.1, "pieces": [[0.0, 0.2]]}
    good, bad = score([line(right)]), score([line(wrong, false)])
    assert (good.mean("optimum"), bad.mean("optimum")) == (1.0, 0.0)
    assert (good.mean("power"), good.mean("false"), bad.mean("false")) == (1 / 3, 0.0, 0.5)
    assert (good.mean("follow"), bad.mean("follow")) == (1.0, 0.0)
    gates = gates_of(bad, {"sampler": "mix", "trials": 60})
    assert gates.startswith("MISS false 50")
    assert "MISS optimum 0" in gates
    assert "MISS power 33" in gates  # lr alone
    # The best trial has 3 (.5 / .62) of lr's 3; over the cliff it is .3.
    spread = truth_of("cliff").spread
    assert good.mean("best") - good.mean("regret") == pytest.approx(3 * 0.12 / 0.62 / spread)
    assert bad.mean("regret") - bad.mean("best") == pytest.approx(3 * (0.5 / 0.62 - 0.1) / spread)


def test_a_recommended_configuration_is_scored_by_its_mean_and_by_runs():
    truth = truth_of("cliff")
    value = truth.value({"lr": 0.62})
    wide, narrow = (
        {"at": {"lr": 0.62}, "predicted": [value, value - half, value + half]}
        for half in (1.645 * 0.5, 0.0)  # the noise of a trial is .5
    )
    good = score([line() | {"advised": wide}])
    assert (good.mean("ahead"), good.mean("advised")) == (
        1.0,
        (truth.best_value - value) / truth.spread,
    )
    assert 0.84 <= good.mean("run") <= 0.96  # 90% of 100 runs, two standard errors
    assert score([line() | {"advised": narrow}]).mean("run") == 0.0
