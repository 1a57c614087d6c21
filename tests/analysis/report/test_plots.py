"""Plots: round numbers on log scales, whole names, axes that end where the metric does."""

from __future__ import annotations

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from hpsearch.analysis import explain
from hpsearch.analysis.report.plots.style import wrapped
from hpsearch.core.words import digits, format_value, log_ticks

LONG = "learning_rate_of_the_language_model_before_the_classifier"


@pytest.fixture(scope="module")
def explained(studies):
    """An accuracy that reaches 1, a long name on a log scale, and categories."""
    rng = np.random.default_rng(0)
    space = {LONG: FloatDistribution(1e-5, 1e-1, log=True)}
    space["kind"] = CategoricalDistribution(["a", "b"])
    rows = [
        {LONG: float(10 ** rng.uniform(-5, -1)), "kind": "ab"[rng.integers(2)]} for _ in range(60)
    ]
    values = [
        min(1.0, 1.02 - 0.1 * abs(np.log10(row[LONG]) + 3) - 0.05 * (row["kind"] == "b"))
        for row in rows
    ]
    study = studies.of(rows, values, space)
    study.set_metric_names(["accuracy"])
    return explain(study)


@pytest.mark.parametrize(
    ("low", "high"), [(1e-5, 0.1), (3e-4, 6e-2), (16, 128), (1, 4), (1e-20, 1.0), (90, 1200)]
)
def test_ticks_of_a_log_scale_are_round_and_few(low, high):
    ticks = log_ticks(low, high)
    assert 3 <= len(ticks) <= 7
    assert all(0.999 * low <= tick <= 1.001 * high for tick in ticks)
    assert all(len(format_value(tick)) <= 6 for tick in ticks)


def test_numbers_are_written_in_one_style():
    assert [digits(x, 2) for x in (112.0, 0.00011, 2.5e7, -3.0, 0.0)] == [
        "110", "1.1e-4", "2.5e7", "-3", "0"
    ]  # fmt: skip
    assert [format_value(x) for x in (3e-4, 1e-5, 1e6, 1.23e7)] == [
        "3e-4", "1e-5", "1,000,000", "1.23e7"
    ]  # fmt: skip
    assert digits(0.25, sign=True) == "+0.25"
    assert digits(float("nan")) == "nan"


def test_names_are_broken_not_cut():
    lines = wrapped(LONG, 20).split("<br>")
    assert "".join(lines) == LONG
    assert max(map(len, lines)) <= 20
    assert "…" in wrapped("x" * 500, 20)
    assert "<script" not in wrapped("<script>alert(1)</script>" * 2, 20)


def test_axes_end_where_the_metric_does(explained):
    figures = [explained.plot_effect(LONG), explained.plot_history(), explained.plot_predictions()]
    assert all(figure.layout.yaxis.range[1] == 1.0 for figure in figures)


def test_a_log_axis_has_its_numbers(explained):
    axis = explained.plot_effect(LONG).layout.xaxis
    assert axis.type == "log"
    assert axis.ticktext == ("1e-5", "1e-4", "0.001", "0.01", "0.1")
    assert axis.title.text.replace("<br>", "") == LONG


def test_no_line_joins_categories(explained):
    assert {trace.mode for trace in explained.plot_effect("kind").data} == {"markers"}


def test_a_metric_without_a_name_is_that_of_its_study(studies):
    study = studies.uniform(lambda p: p[:, 0], 30, 2)
    found = explain(study)
    title = found.plot_history().layout.yaxis.title.text.replace("<br>", "")
    assert title == f"value of {study.study_name} (↑ better)"
