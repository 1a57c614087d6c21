"""A prior: what rules of earlier studies become on another study's scale, and what is tried."""

import json
import math

import numpy as np
import optuna
import pytest
from calls import run
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from hpsearch.errors import InputError
from hpsearch.search.plan.prior import Belief, Expected, Prior, belief, believe, read_file

LR = FloatDistribution(1e-4, 1.0, log=True)
KIND = CategoricalDistribution(["a", "b", "c"])


def expected(param="lr", value=0.01, low=0.001, high=0.1, **more):
    return Expected(param=param, value=value, low=low, high=high, level=0.9, **more)


def test_an_interval_becomes_a_normal_distribution_on_the_scale_of_the_parameter():
    """0.001 to 0.1 is half of four decades; 90% of a normal distribution is 2 * 1.6449 wide."""
    found = belief(LR, expected(studies=3))
    assert found.best == pytest.approx(0.5)
    assert found.spread == pytest.approx(0.5 / (2 * 1.6449), rel=1e-4)


def test_one_study_alone_is_believed_less_than_its_interval_says():
    narrow = {"low": 0.0099, "high": 0.0101}
    assert belief(LR, expected(**narrow)).spread == 0.15
    assert belief(LR, expected(**narrow, studies=4)).spread == 0.05


def test_of_choices_those_not_clearly_worse_share_half():
    rule = expected("kind", "b", None, None, also=("b", "c", "z"))
    assert belief(KIND, rule).weights == (0.0, 0.75, 0.25)


@pytest.mark.parametrize(
    ("distribution", "rule"),
    [
        (FloatDistribution(2.0, 9.0), expected()),  # the whole interval lies outside
        (LR, expected(value="high", low=None, high=None)),  # there it was a choice
        (LR, expected(value=-1.0, low=-2.0, high=0.0)),  # no logarithm
        (KIND, expected("kind", "d", None, None)),
    ],
)
def test_a_rule_that_says_nothing_of_this_range_is_left_out(distribution, rule):
    assert belief(distribution, rule) is None


def test_draws_follow_the_truncated_normal():
    """Mean 0.2 - 0.1 * 0 by symmetry within [0, 0.4]; here of N(0.2, 0.1) cut at 0: mean 0.2055."""
    drawn = [
        Belief(0.2, 0.2, 0.1).draw(generator) for generator in [np.random.default_rng(0)] * 4000
    ]
    density = math.exp(-2.0) / math.sqrt(2 * math.pi)
    mean = 0.2 + 0.1 * density / (0.5 * (1 + math.erf(2 / math.sqrt(2))))
    assert np.mean(drawn) == pytest.approx(mean, abs=3 * 0.1 / math.sqrt(4000))
    assert min(drawn) >= 0


def test_the_pooled_rule_counts_before_that_of_one_study():
    found = believe({"lr": LR}, [expected(value=1.0, high=1.0), expected(studies=3)])
    assert found["lr"].best == pytest.approx(0.5)


def test_the_first_has_the_rules_values_among_the_defaults():
    space = {"lr": LR, "n": IntDistribution(1, 8)}
    prior = Prior(space, believe(space, [expected()]))
    first, *drawn = prior.configurations(50, {"lr": 1.0, "n": 3}, np.random.default_rng(0))
    assert first == {"lr": pytest.approx(0.01), "n": 3}
    assert {tuple(one) for one in drawn} == {("lr",), ()}  # n is the sampler's, lr now and then


@pytest.fixture
def rules_file(tmp_path):
    rule = {"kind": "optimum", "level": 0.9, "alternatives": []}
    rules = [
        {**rule, "param": "lr", "value": 0.05, "low": 0.04, "high": 0.06},
        {**rule, "param": "kind", "value": "b", "low": None, "high": None},
        {**rule, "kind": "avoid", "param": "x", "value": 1.0, "low": 0.5, "high": 1.0},
        {**rule, "param": "elsewhere", "value": 1.0, "low": 0.5, "high": 1.0},
    ]
    file = tmp_path / "rules.json"
    file.write_text(json.dumps({"schema": "hpsearch.explain/1", "rules": rules}))
    return str(file)


def test_a_quarter_of_the_exploit_trials_starts_from_the_rules(spec, storage, console, rules_file):
    given = {"storage": storage, "console": console}
    study = run(spec, trials=16, search={"prior": rules_file}, **given)
    cohorts = [trial.user_attrs["hps_cohort"] for trial in study.trials]
    assert cohorts[:3] == ["baseline", "prior", "prior"]
    assert cohorts.count("prior") == 2
    assert cohorts.count("design") == 8
    assert study.trials[1].params == {"x": 0.5, "lr": 0.05, "depth": 3, "kind": "b"}
    more = run(spec, trials=8, search={"prior": rules_file, "fix": {"lr": 0.001}}, **given)
    added = [t for t in more.trials[16:] if t.user_attrs["hps_cohort"] == "prior"]
    assert [trial.params["lr"] for trial in added] == [0.001]
    assert "lr near 0.05, kind near b" in console.file.getvalue()


def tried_at(places):
    """Complete trials of (x - 0.4)^2."""
    return [
        optuna.trial.create_trial(
            value=(x - 0.4) ** 2,
            params={"x": x},
            distributions={"x": FloatDistribution(-1.0, 1.0)},
        )
        for x in map(float, places)
    ]


def test_all_other_studies_of_the_store_are_a_prior(spec, storage, console):
    with pytest.raises(InputError, match="holds no other study"):
        run(spec, trials=1, storage=storage, search={"prior": "rules"}, console=console)
    with pytest.raises(InputError, match="has no such study"):
        run(spec, trials=1, storage=storage, search={"prior": "nope"}, console=console)
    for name in ("one", "two"):
        old = optuna.create_study(study_name=name, storage=storage)
        old.add_trials(tried_at(np.linspace(-1, 1, 40)))
    study = run(spec, trials=9, storage=storage, search={"prior": "rules"}, console=console)
    assert study.trials[1].user_attrs["hps_cohort"] == "prior"
    assert study.trials[1].params["x"] == pytest.approx(0.4, abs=0.15)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "it cannot be read"),
        ("{", "it is no JSON file"),
        ("[]", "no file of hpsearch explain"),
        ('{"schema": "hpsearch.rules/1", "rules": []}', "no file of hpsearch explain"),
    ],
)
def test_a_file_that_holds_no_rules_is_refused(tmp_path, content, says):
    file = tmp_path / "some.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(InputError, match=says):
        read_file(file)
