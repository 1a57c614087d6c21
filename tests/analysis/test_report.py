"""The formats say what the explanation says."""

from __future__ import annotations

import json

import numpy as np
import pytest
from rich.console import Console

from hpsearch.analysis import explain


@pytest.fixture(scope="module")
def explained(studies):
    function = lambda p: -4 * (p[:, 0] - 0.3) ** 2  # noqa: E731
    return explain(studies.uniform(function, 80, 3, noise=0.2, defaults={"x0": 0.8}))


def printed(explanation, width=100):
    console = Console(width=width, record=True, file=None, force_terminal=False)
    with console.capture() as capture:
        console.print(explanation)
    return capture.get()


def test_table_fits_and_holds_the_rules(explained):
    text = printed(explained)
    assert all(len(line) <= 100 for line in text.splitlines())
    assert "What matters" in text
    flat = " ".join(text.split())
    for rule in explained.rules:
        assert " ".join(rule.statement.split()) in flat


def test_json_is_the_documented_schema(explained):
    document = json.loads(explained.to_json())
    assert document["schema"] == "hpsearch.explain/1"
    assert document["trusted"] is True
    assert document["trials"]["complete"] == 80
    assert [r["statement"] for r in document["rules"]] == [r.statement for r in explained.rules]
    for effect in document["effects"]:
        lengths = {len(effect[key]) for key in ("values", "unit", "mean", "low", "high")}
        assert len(lengths) == 1
    for importance in document["importances"]:
        assert set(importance) == {"params", "share", "low", "high", "active", "within"}


def test_markdown_has_rules_and_table(explained):
    text = explained.to_markdown()
    assert "## Rules" in text
    assert "| `x0` |" in text
    assert explained.rules[0].statement in text


def test_refusal_is_said_in_every_format(studies):
    noise = explain(studies.uniform(lambda p: np.zeros(len(p)), 12, 3, noise=1.0, seed=5))
    assert not noise.trusted
    assert "No rules yet." in printed(noise)
    assert "No rules yet." in noise.to_markdown()
    document = json.loads(noise.to_json())
    assert document["rules"] == []
    assert document["reason"]


def test_html_is_one_file_without_network(explained):
    page = explained.to_html()
    outside = page.replace("https://", "http://")
    for reach in ('src="http', "src='http", 'href="http', "<link", "@import"):
        assert reach not in outside.split("</style>")[0]
        assert reach not in outside.split("<body>")[1]
    assert "Rules" in page
    assert "prefers-color-scheme" in page or "color-scheme: light dark" in page


def test_html_escapes_names(studies):
    """A study or a parameter named like markup stays text."""
    evil = "</script><script>alert(1)</script>"
    rng = np.random.default_rng(0)
    rows = [{evil: float(x)} for x in rng.random(40)]
    study = studies.of(rows, [row[evil] for row in rows], {evil: studies.unit})
    body = explain(study).to_html().split("<body>")[1]
    assert evil not in body
