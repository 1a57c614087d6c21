"""Several objectives: the trials that no other beats in all, and every report of all objectives."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial
from optuna_dashboard import get_note
from rich.console import Console

import hpsearch
from hpsearch.analysis import explain
from hpsearch.analysis.report.json import json_schema
from hpsearch.cli.output import format_of

SPACE = {
    "x": FloatDistribution(0, 1),
    "y": FloatDistribution(1e-4, 1, log=True),
    "kind": CategoricalDistribution(["a b", "c"]),
}


def two_objectives(name="two", second=lambda x: 1 + 9 * x):
    """The gain is best at x = 0.6, seconds at x = 0: the front is all between these."""
    rng = np.random.default_rng(0)
    study = optuna.create_study(study_name=name, directions=["maximize", "minimize"])
    study.set_metric_names(["gain", "seconds"])
    for number in range(60):
        x, y = float(rng.random()), float(10 ** rng.uniform(-4, 0))
        state = TrialState.FAIL if number % 20 == 19 else TrialState.COMPLETE
        values = None if state == TrialState.FAIL else [1 - (x - 0.6) ** 2, float(second(x))]
        params = {"x": x, "y": y, "kind": ("a b", "c")[number % 2]}
        study.add_trial(
            create_trial(params=params, distributions=SPACE, values=values, state=state)
        )
    return study


@pytest.fixture(scope="module")
def study():
    return two_objectives()


@pytest.fixture(scope="module")
def explained(study):
    return explain(study)


def test_every_objective_is_explained(explained):
    assert list(explained.objectives) == ["gain", "seconds"]
    assert [(e.metric, e.maximize) for e in explained.objectives.values()] == [
        ("gain", True),
        ("seconds", False),
    ]
    alone = explained.objectives["seconds"]
    assert alone.trusted
    assert {rule.param for rule in alone.rules if rule.kind != "no-effect"} == {"x"}


def test_the_front_is_what_no_trial_beats(study, explained):
    front = explained.front
    done = {t.number: t.values for t in study.trials if t.state == TrialState.COMPLETE}

    def beaten(one):
        return any(a[0] >= one[0] and a[1] <= one[1] and a != one for a in done.values())

    assert {t.number for t in front.trials} == {n for n, v in done.items() if not beaten(v)}
    gains = [t.values[0] for t in front.trials]
    assert gains == sorted(gains, reverse=True)
    assert front.best_by("gain").number == max(done, key=lambda n: done[n][0])
    assert front.best_by("seconds").number == min(done, key=lambda n: done[n][1])
    number = front.trials[0].number
    assert front.trials[0].params == study.trials[number].params


def test_all_formats_show_the_front_and_every_objective(explained):
    console = Console(width=100)
    with console.capture() as capture:
        console.print(explained.to_table())
    best = explained.front.best_by("seconds")
    page = explained.to_html()
    for text in (" ".join(capture.get().split()), explained.to_markdown(), page):
        assert "Pareto front" in text
        assert f"seconds {best.values[1]:.4g} in trial {best.number}" in text
        assert "gain, higher is better" in text or "gain (higher is better)" in text
        assert "seconds, lower is better" in text or "seconds (lower is better)" in text
    assert page.count("<article>") == 2
    assert page.count('id="no-plots"') == 1
    document = json.loads(explained.to_json())
    jsonschema.validate(document, json_schema())
    assert document["front"]["best"]["seconds"] == best.number
    assert [one["metric"] for one in document["objectives"]] == ["seconds"]


def test_the_dashboard_gets_the_front(explained, study):
    explained.push(study)
    explained.push(study)
    note = get_note(study)
    assert note.count("## Pareto front") == 1
    assert note.count("What matters for") == 2
    attrs = study._storage.get_study_system_attrs(study._study_id)
    assert any("hpsearch-front" in key for key in attrs)


def test_an_objective_that_says_nothing_is_a_note():
    found = explain(two_objectives(second=lambda x: 3.0))
    assert list(found.objectives) == ["gain"]
    assert any(note.startswith("seconds: all 57 values") for note in found.notes)
    assert len(found.front.trials) == 1


def test_a_value_that_a_shell_would_split_is_quoted(explained):
    line = json.loads(explained.to_json())["best"]["line"]
    best = explained.best_params
    assert f"x={best['x']:.6g}" in line
    assert ("'kind=a b'" in line) == (best["kind"] == "a b")


def test_the_best_parameters_are_the_numbers_that_were_used():
    study = optuna.create_study()
    space = {"lr": FloatDistribution(1e-5, 1e-1, log=True), "wd": FloatDistribution(0, 0.3)}
    for i in range(30):
        params = {"lr": (0.003, 0.07, 2e-5)[i % 3], "wd": 0.01 * i}
        value = abs(np.log10(params["lr"]) + 2.5) + 0.001 * i
        study.add_trial(create_trial(params=params, distributions=space, value=value))
    found = explain(study)
    assert found.best_params == study.best_params == {"lr": 0.003, "wd": 0.0}
    assert found.best_trial == 0
    assert found.contributions(1).params["lr"] == 0.07
    assert explained_by_name("hps_metric", "rmse").metric == "rmse"


def explained_by_name(key, name):
    """Of a study whose objective has a name in its attributes only."""
    study = optuna.create_study()
    study.set_user_attr(key, name)
    for i in range(12):
        study.add_trial(
            create_trial(params={"x": i / 12}, distributions={"x": SPACE["x"]}, value=i)
        )
    return explain(study)


def test_rules_of_every_objective_are_kept_and_pooled_by_the_one_that_all_have(tmp_path, explained):
    url = f"sqlite:///{tmp_path / 'two.db'}"
    optuna.copy_study(from_study_name="two", from_storage=two_objectives()._storage, to_storage=url)
    hpsearch.explain("two", storage=url, keep=True)
    kept = hpsearch.rules(storage=url)
    assert {rule["metric"] for rule in kept} == {"gain", "seconds"}
    other = optuna.create_study(study_name="other")
    other.set_metric_names(["seconds"])
    for trial in two_objectives().trials:
        if trial.values is not None:
            other.add_trial(
                create_trial(
                    params=trial.params, distributions=trial.distributions, value=trial.values[1]
                )
            )
    assert {one.unit for one in hpsearch.pool([explained, explain(other)]).optima} == {"seconds"}


def test_a_trials_parts_are_doubted_where_the_forest_is(studies):
    rng = np.random.default_rng(0)
    luck = explain(studies.uniform(lambda p: rng.normal(size=len(p)), 30, 3))
    assert not luck.trusted
    assert "Do not trust this" in luck.contributions(3).to_markdown()
    assert not json.loads(luck.contributions(3).to_json())["trusted"]


@pytest.mark.parametrize(
    ("name", "format"), [("x.html", "html"), ("x.JSON", "json"), ("x.md", "md"), ("x.txt", "table")]
)
def test_the_ending_of_the_file_says_its_format(name, format):
    assert format_of(Path(name)) == format
