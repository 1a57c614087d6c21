"""Several studies together: what is pooled, what it would have cost, and what is left out."""

import json
import math

import numpy as np
import optuna
import pytest

import hpsearch
from hpsearch.analysis import explain
from hpsearch.analysis.across import pool_studies
from hpsearch.errors import InputError

CENTRES = {"one": 0.4, "two": 0.4, "three": 0.42}


@pytest.fixture(scope="module")
def explained(studies):
    """Three studies with nearly the same optimum of x0; x1 does nothing."""
    found = []
    for seed, (name, centre) in enumerate(CENTRES.items()):
        study = studies.uniform(
            lambda p, c=centre: -4 * (p[:, 0] - c) ** 2, 60, 2, noise=0.3, seed=seed
        )
        named = optuna.create_study(study_name=name, direction="maximize")
        named.add_trials(study.trials)
        found.append(explain(named))
    return found


def test_the_pooled_optimum_and_what_it_costs_in_each_study(explained):
    pooling = pool_studies(explained)
    (optimum,) = [one for one in pooling.optima if one.param == "x0"]
    assert optimum.low <= 0.41 <= optimum.high
    assert [regret.study for regret in optimum.regrets] == list(CENTRES)
    assert all(regret.loss < 0.1 for regret in optimum.regrets)
    assert 0 <= optimum.new_low < optimum.low < optimum.high < optimum.new_high <= 1
    assert all(regret.gain is None for regret in optimum.regrets)  # the studies name no default
    text = pooling.to_markdown()
    assert "| x0 | 3 |" in text
    assert "## `x0` from the other studies only" in text


def test_the_document_is_json_whatever_is_infinite(explained):
    document = json.loads(pool_studies(explained[:2]).to_json())
    assert document["schema"] == "hpsearch.pool/1"
    assert document["optima"][0]["new_high"] is None
    assert "needs 3 studies" in pool_studies(explained[:2]).to_markdown()
    assert all(math.isfinite(r["loss"]) for r in document["optima"][0]["regrets"])


def test_what_is_not_pooled_says_why(explained):
    pooling = pool_studies(explained)
    pooled = {one.param for one in pooling.optima}
    assert {param for param, _ in pooling.left_out} == {"x0", "x1"} - pooled
    assert all("studies have a rule" in reason for _, reason in pooling.left_out)


def test_the_api_takes_studies_and_explanations(explained):
    rng = np.random.default_rng(0)
    study = optuna.create_study(study_name="noise")
    space = {"x0": optuna.distributions.FloatDistribution(0, 1)}
    for x in rng.random(12):
        study.add_trial(
            optuna.create_trial(value=rng.normal(), params={"x0": x}, distributions=space)
        )
    pooling = hpsearch.pool([*explained[:2], study])
    assert pooling.studies == ("one", "two", "noise")


def test_what_cannot_be_pooled(explained):
    with pytest.raises(InputError, match="two or more studies"):
        pool_studies(explained[:1])
    with pytest.raises(InputError, match="two of the studies are called 'one'"):
        pool_studies([explained[0], explained[0]])
