"""Several studies together: what is pooled, what it would have cost, and what is left out."""

import io
import json
import re
from dataclasses import replace

import jsonschema
import numpy as np
import optuna
import pytest
from rich.console import Console

import hpsearch
from hpsearch.analysis import explain
from hpsearch.analysis.pool_studies import pool_studies
from hpsearch.analysis.report.pooling import json_schema
from hpsearch.core.words import digits, format_value
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


def printed(pooling, width):
    console = Console(file=io.StringIO(), width=width)
    console.print(pooling)
    return console.file.getvalue()


def test_every_format_says_the_same(explained):
    pooling = pool_studies(explained)
    (optimum,) = [one for one in pooling.optima if one.param == "x0"]
    markdown, html = pooling.to_markdown(), pooling.to_html()
    table = printed(pooling, 120)
    for text in (markdown, html, table):
        for part in optimum.parts:
            assert part.study in text
            assert format_value(part.without) in text
        assert format_value(optimum.value) in text
    assert optimum.statement in markdown
    assert "no default" in markdown  # the studies name none
    assert "http" not in re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)


def test_the_forest_plot_has_every_study_the_rule_and_a_new_study(explained):
    pooling = pool_studies(explained)
    lines = printed(pooling, 120).splitlines()
    drawn = [line for line in lines if "■" in line]
    assert len(drawn) == len(explained) * len(pooling.optima)
    assert sum("◆" in line for line in lines) == len(pooling.optima)
    figure = pooling.forest_plot("x0")
    rows = {y for trace in figure.data for y in trace.y}
    assert rows == {*CENTRES, "all studies", "a new study"}
    with pytest.raises(InputError, match="'x9' is not pooled: x0, x1 is"):
        pooling.forest_plot("x9")


def test_the_document_follows_its_schema(explained):
    document = json.loads(pool_studies(explained[:2]).to_json())
    jsonschema.Draft202012Validator(json_schema()).validate(document)
    (optimum,) = [one for one in document["optima"] if one["param"] == "x0"]
    assert 0 <= optimum["low"] < optimum["value"] < optimum["high"] <= 1
    assert 0 <= optimum["new_low"] < optimum["new_high"] <= 1
    assert len(optimum["cost"]) == len(optimum["values"]) == len(optimum["inside"])


@pytest.fixture(scope="module")
def differing():
    """Of five studies the best rate grows with the root of the rows: tenfold with a hundredfold."""
    found = []
    for index in range(5):
        study = optuna.create_study(
            study_name=f"study-{index}", sampler=optuna.samplers.RandomSampler(seed=index)
        )
        study.set_user_attr("rows", 1000 * 10**index)
        study.set_user_attr("preset", ["quick", "cpu"][index % 2])
        study.optimize(
            lambda t, best=-3.5 + index / 2: (
                (np.log10(t.suggest_float("a rate", 1e-5, 1, log=True)) - best) ** 2
            ),
            n_trials=40,
        )
        found.append(explain(study))
    return found


def test_what_moves_the_best_value_is_named_in_every_format(differing):
    pooling = pool_studies(differing)
    (optimum,) = pooling.optima
    rows = {one.name: one for one in optimum.moderators}["rows"]
    assert rows.slope == pytest.approx(0.5, abs=0.05)  # of logarithms
    assert rows.p_value <= 0.05
    words = rows.effect(optimum.log)
    factor = float(re.search(r"twice as much: times ([\d.]+) ", words)[1])
    assert factor == pytest.approx(2**0.5, abs=0.1)
    assert f"It moves with rows (p {digits(rows.p_value, 2)}): {words}" in optimum.statement
    assert "with preset" not in optimum.statement
    table = printed(pooling, 80)
    for text in (pooling.to_markdown(), pooling.to_html(), pooling._repr_html_(), table):
        assert words in " ".join(text.split())
        assert "study-3" in text
    assert json.loads(pooling.to_json())["optima"][0]["moderators"][0]["name"] == "rows"
    assert "…" not in table
    assert pooling.about_moderators is None


def test_why_nothing_is_said_of_what_moves_the_best_value(differing):
    four = pool_studies(differing[:4])
    assert "asked of 5 studies or more, not of 4" in " ".join(printed(four, 80).split())
    alike = [replace(one, frame=replace(one.frame, facts={})) for one in differing]
    for text in (pool_studies(alike).to_markdown(), pool_studies(alike)._repr_html_()):
        assert "study.set_user_attr" in text


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
