"""The formats say what the explanation says."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import escape

import jsonschema
import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial
from rich.cells import cell_len
from rich.console import Console

from hpsearch.analysis import explain
from hpsearch.analysis.report.dashboard import dashboard_figures
from hpsearch.analysis.report.json import json_schema
from hpsearch.analysis.report.plots import curves
from hpsearch.analysis.report.plots.figures import plot_groups


@pytest.fixture(scope="module")
def explained(studies):
    function = lambda p: -4 * (p[:, 0] - 0.3) ** 2  # noqa: E731
    return explain(studies.uniform(function, 80, 3, noise=0.2, defaults={"x0": 0.8}))


EVIL = "</script><script>alert(1)</script>"
LONG = "a_generated_name_of_a_layer_" * 5


@pytest.fixture(scope="module")
def odd(studies):
    """Minimised; names and choices that are markup, long, or of another script; some trials fail,
    some are pruned; one parameter is used by some only."""
    rng = np.random.default_rng(0)
    choices = ("<img src=x onerror=alert(1)>", "a|`b`", None, True)
    space = {EVIL: FloatDistribution(1e-4, 1, log=True), LONG: FloatDistribution(0, 1)}
    space |= {"学習率": CategoricalDistribution(choices), "sometimes": FloatDistribution(0, 1)}
    study = studies.optuna.create_study(direction="minimize", study_name=f"<b>{EVIL}</b>")
    for _ in range(90):
        params = {
            EVIL: float(10 ** rng.uniform(-4, 0)),
            LONG: float(rng.random()),
            "学習率": choices[rng.integers(4)],
        }
        if params["学習率"] is None:
            params["sometimes"] = float(rng.random())
        x = np.log10(params[EVIL])
        value = float((x + 2) ** 2 + params[LONG] + 0.1 * rng.normal())
        failed, pruned = x > -0.5 and rng.random() < 0.7, rng.random() < 0.1
        state = TrialState.FAIL if failed else TrialState.PRUNED if pruned else TrialState.COMPLETE
        study.add_trial(
            create_trial(
                params=params,
                distributions={name: space[name] for name in params},
                state=state,
                value=value if state == TrialState.COMPLETE else None,
                intermediate_values={} if failed else {1: value + 1, 2: value},
            )
        )
    return explain(study)


def printed(explanation, width=100, **kwargs):
    console = Console(width=width, record=True, file=None, force_terminal=False)
    with console.capture() as capture:
        console.print(explanation.to_table(**kwargs))
    return capture.get()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_table_fits_and_holds_the_rules(explained, odd, width):
    for explanation in (explained, odd):
        text = printed(explanation, width)
        assert all(cell_len(line) <= width for line in text.splitlines())
        assert "What matters" in text
        flat = "".join(text.split())
        for rule in explanation.rules:
            assert "".join(rule.statement.split()) in flat


def test_table_shows_the_strongest_of_many_and_all_on_request(studies):
    study = studies.uniform(lambda p: p[:, 7] + 0.5 * p[:, 9], 80, 16, noise=0.1)
    wide = explain(study)
    brief, full = printed(wide, 80), printed(wide, 80, everything=True)
    first = next(line for line in brief.splitlines() if re.match(r"x\d+ ", line))
    assert first.startswith("x7")
    assert "and 6 more parameters" in brief
    assert "PED-ANOVA" not in brief
    for name in (f"x{j}" for j in range(16)):
        assert re.search(rf"^{name} ", full, re.MULTILINE)
    assert "R² lost" in printed(wide, 120, everything=True)


def test_piped_table_has_no_control_characters(explained):
    assert "\x1b" not in printed(explained)


def test_json_follows_its_schema(explained, odd):
    jsonschema.Draft202012Validator.check_schema(json_schema())
    for explanation in (explained, odd):
        document = json.loads(explanation.to_json())
        jsonschema.validate(document, json_schema())
        assert document["schema"] == "hpsearch.explain/1"
        statements = [rule.statement for rule in explanation.rules]
        assert [rule["statement"] for rule in document["rules"]] == statements
        for effect in document["effects"]:
            assert len({len(effect[key]) for key in ("values", "unit", "mean", "low", "high")}) == 1
            for curve in effect["ice"]["curves"]:
                assert len(curve) == len(effect["ice"]["values"])
        for surface in document["surfaces"]:
            assert len(surface["z"]) == len(surface["y"])
    assert document["direction"] == "minimize"
    assert document["failures"]["curves"]


def test_every_piece_of_an_interval_is_in_every_format(explained):
    pieces = ((0.1, 0.2), (0.5, 0.625))
    rule = replace(explained.rules[0], pieces=pieces, unit_pieces=pieces)
    explanation = replace(explained, rules=(rule,))
    page = explanation.to_html()
    for text in (printed(explanation, 200), explanation.to_markdown(), page):
        assert "0.1 to 0.2 or 0.5 to 0.625" in text
    assert page.count('class="span"') == 2
    (written,) = json.loads(explanation.to_json())["rules"]
    assert written["pieces"] == [[0.1, 0.2], [0.5, 0.625]]


def test_schema_refuses_what_it_does_not_know(explained):
    document = json.loads(explained.to_json())
    document["effects"][0]["colour"] = "blue"
    with pytest.raises(jsonschema.ValidationError, match="colour"):
        jsonschema.validate(document, json_schema())


def test_markdown_has_rules_and_table(explained):
    text = explained.to_markdown()
    assert "## Rules" in text
    assert "| `x0` |" in text
    rule = explained.rules[0]
    said = " ".join(part for part in (f"**{rule.advice}**", rule.detail, rule.evidence) if part)
    assert f"- {said}" in text
    assert "PED-ANOVA" in text


def test_markdown_keeps_its_tables_whole(odd):
    """A bar or a line break in a name would add a cell."""
    shares, best = odd.to_markdown().split("## Best values")
    for text, columns in ((shares, 5), (best, 4)):
        rows = [line for line in text.splitlines() if line.startswith("|")]
        assert len(rows) > 2
        assert {len(re.split(r"(?<!\\)\|", row)) - 2 for row in rows} == {columns}
    assert f"`{EVIL}`" in odd.to_markdown()


def test_refusal_is_said_in_every_format(studies):
    noise = explain(studies.uniform(lambda p: np.zeros(len(p)), 12, 3, noise=1.0, seed=5))
    assert not noise.trusted
    assert "No rules yet." in printed(noise)
    assert "No rules yet." in noise.to_markdown()
    assert "No rules yet." in noise.to_html()
    assert noise.next_steps
    for step in noise.next_steps:
        assert escape(step) in noise.to_html()
        assert step in noise.to_markdown()
    document = json.loads(noise.to_json())
    assert document["rules"] == []
    assert document["reason"]


def test_html_is_one_file_without_network(explained):
    page = explained.to_html()
    own = re.sub(r'<script type="text/plain" id="plotly">.*?</script>', "", page, flags=re.DOTALL)
    for reach in ("http:", "https:", "src=", "href=", "<link", "@import", "url("):
        assert reach not in own
    assert len(page) < 2_300_000


def test_html_escapes_names(odd):
    page = odd.to_html()
    assert EVIL not in page
    assert "<img src=x" not in page
    assert escape(EVIL) in page
    assert "\\u003c/script>" in page or "&lt;/script&gt;" in page


def test_every_plot_says_what_it_shows(explained, odd):
    for explanation in (explained, odd):
        plots = [plot for group in plot_groups(explanation) for plot in group.plots]
        assert all(plot.title and plot.words.endswith(".") for plot in plots)
        assert all(len(row) == len(plot.header) for plot in plots for row in plot.rows)
        titles = {plot.title for plot in plots}
        assert {"Shares of the variance", "History", "All trials at once"} <= titles
    assert any(plot.title.startswith("Failures along") for plot in plots)


def test_better_is_up_in_words_and_colours(explained, odd):
    """The best trials are the orange lines, and those end at the top, whichever way is better."""
    for explanation, word in ((explained, "higher"), (odd, "lower")):
        plots = {p.title: p for group in plot_groups(explanation) for p in group.plots}
        assert f"({word} is better)" in plots["History"].words
        best = list(plots["History"].figure.data)[-1 if explanation is explained else -2]
        assert best.name == "best so far"
        assert best.y[-1] == explanation.best_value
        *_, top = plots["All trials at once"].figure.data
        assert top.name == "best tenth"
        place = max(x for x in top.x if x is not None)  # of the axis that holds the metric
        ends = [y for x, y in zip(top.x, top.y, strict=True) if x == place]
        assert max(ends) == 1.0
        assert min(ends) > 0.5


def all_pruned(studies):
    study = studies.optuna.create_study()
    for x in np.random.default_rng(0).random(20):
        study.add_trial(
            create_trial(
                params={"x": float(x)},
                distributions={"x": studies.unit},
                state=TrialState.PRUNED,
                intermediate_values={0: float(x), 3: float(2 * x)},
            )
        )
    return explain(study)


def two_trials(studies):
    return explain(studies.of([{"x": 0.1}, {"x": 0.9}], [1.0, 2.0], {"x": studies.unit}))


def whole_table(studies):
    space = {"a": CategoricalDistribution([1, 2, 3]), "b": FloatDistribution(0, 1)}
    rows = [{"a": a, "b": b} for a in (1, 2, 3) for b in (0.125, 0.375, 0.625, 0.875)]
    return explain(studies.of(rows, [r["a"] * r["b"] for r in rows], space), surrogate="exact")


def extreme_numbers(studies):
    rng = np.random.default_rng(0)
    space = {
        "n": FloatDistribution(1e6, 1e12, log=True),
        "flag": CategoricalDistribution([True, None]),
    }
    rows = [{"n": 10 ** rng.uniform(6, 12), "flag": (True, None)[i % 2]} for i in range(40)]
    values = [1e30 if i % 9 == 0 else 1e-12 * row["n"] for i, row in enumerate(rows)]
    return explain(studies.of(rows, values, space))


@pytest.mark.parametrize("make", [all_pruned, two_trials, whole_table, extreme_numbers])
def test_every_form_stands_up_to_odd_studies(studies, make):
    explanation = make(studies)
    jsonschema.validate(json.loads(explanation.to_json()), json_schema())
    name = explanation.main_importances[0].params[0]
    assert f"`{name}`" in explanation.to_markdown()
    assert f"<h3>{name}</h3>" in explanation.to_html()
    assert re.search(rf"^{name} ", printed(explanation, 80, everything=True), re.MULTILINE)
    assert set(dashboard_figures(explanation)) == {
        "shares",
        "effects",
        "pairs",
        "failures",
        "trust",
    }


def test_many_trials_are_thinned_and_the_best_stay(explained, monkeypatch):
    monkeypatch.setattr(curves, "MAX_POINTS", 30)
    plots = {p.title: p for group in plot_groups(explained) for p in group.plots}
    said = re.search(r"(\d+) of 80 trials are drawn, the best among them", plots["x0"].words)
    trace = next(t for t in plots["x0"].figure.data if t.name == "trials")
    assert len(trace.x) == int(said[1]) <= 30
    assert max(trace.y) == explained.best_value
