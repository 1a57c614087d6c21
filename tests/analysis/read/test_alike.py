"""Choices that print alike (None and "None", 1 and "1") are told apart wherever they are shown."""

import json

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution

import hpsearch
from hpsearch.core.words import Quoted, Shown, format_value, told_apart
from hpsearch.study.space import describe
from hpsearch.verification import Contrast
from hpsearch.verification.plan import parse_contrast

ALIKE = {
    "none": [None, "None", "x"],
    "one": [1, "1"],
    "yes": [True, "True", False],
    "half": [0.5, "0.5", 0.25],
}


@pytest.fixture(scope="module")
def explanation():
    """Of a study in which the texts, not what prints like them, are best."""
    rng = np.random.default_rng(0)
    study = optuna.create_study()
    space = {name: CategoricalDistribution(choices) for name, choices in ALIKE.items()}
    for _ in range(120):
        params = {name: choices[rng.integers(len(choices))] for name, choices in ALIKE.items()}
        loss = sum(not isinstance(value, str) for value in params.values())
        loss += (params["none"] == "x") + rng.normal(scale=0.05)
        trial = optuna.trial.create_trial(params=params, distributions=space, value=loss)
        study.add_trial(trial)
    return hpsearch.explain(study)


@pytest.mark.parametrize("name", ALIKE)
def test_a_rule_says_which_of_two_choices_it_means(explanation, name):
    rule = next(rule for rule in explanation.rules if rule.param == name)
    text = ALIKE[name][1]
    assert rule.value == text
    assert isinstance(rule.value, str)
    assert f'use "{text}"' in rule.statement
    assert f'"{text}"' in explanation.to_markdown()
    assert f'"{text}"' in explanation.to_html().replace("&quot;", '"').replace("&#34;", '"')
    # A machine reads the text itself.
    found = {one["param"]: one["value"] for one in json.loads(explanation.to_json())["rules"]}
    assert found[name] == text


def test_only_choices_that_print_alike_are_quoted():
    shown = [format_value(one) for one in told_apart(["a", 1, 2.5, True, None])]
    assert shown == ["a", "1", "2.5", "True", "None"]
    assert describe(CategoricalDistribution([1, "1", "b"])) == 'one of 1, "1", b'
    assert describe(CategoricalDistribution(["1", "b"])) == "one of 1, b"


@pytest.mark.parametrize(
    ("given", "means"),
    [(Shown("1"), 1), (Shown('"1"'), "1"), ("1", "1"), (1, 1), (Quoted("1"), "1")],
)
def test_verify_takes_a_value_as_it_was_shown(given, means):
    space = {"one": CategoricalDistribution([1, "1", None])}
    found = parse_contrast(space, Contrast("one", given, Shown("None")))
    assert (type(found.value), found.value) == (type(means), means)
    assert found.against is None
