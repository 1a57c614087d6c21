"""What a notebook shows: short texts, tables without scripts, and every plot as a figure."""

from __future__ import annotations

import re

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

import hpsearch
from hpsearch.analysis import explain
from hpsearch.api.study_view import Study
from hpsearch.errors import InputError

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def study():
    """Two parameters that interact, one with a hostile name; a fifth of the trials fails."""
    rng = np.random.default_rng(0)
    space = {"x": FloatDistribution(0, 1), "y": FloatDistribution(1e-4, 1, log=True)}
    space[EVIL] = FloatDistribution(0, 1)
    made = optuna.create_study(study_name=f"of {EVIL}")
    for number in range(80):
        params = {"x": rng.random(), "y": 10 ** rng.uniform(-4, 0), EVIL: rng.random()}
        params = {name: float(value) for name, value in params.items()}
        if number % 20 == 1:
            params = dict(made.get_trials()[-1].params)
        failed = params["x"] > 0.8 and rng.random() < 0.8
        value = (params["x"] - 0.4) * (np.log10(params["y"]) + 2) + params[EVIL]
        made.add_trial(
            create_trial(
                params=params,
                distributions=space,
                state=TrialState.FAIL if failed else TrialState.COMPLETE,
                value=None if failed else float(value),
            )
        )
    return made


@pytest.fixture(scope="module")
def explained(study):
    return explain(study)


def test_a_study_of_several_objectives_names_them_and_its_front():
    study = optuna.create_study(directions=["minimize", "maximize"])
    for pair in ((1.0, 3.0), (2.0, 1.0), (0.5, 2.0)):
        study.add_trial(create_trial(values=pair))
    shown = Study.of(study)._repr_html_()
    assert "values_0, values_1" in shown
    assert "2 trials of 3 complete ones on the Pareto front" in shown


def test_texts_are_short_and_say_what_it_is(study, explained):
    assert len(repr(explained)) < 300
    assert "80 trials" in repr(explained)
    for rule in explained.rules:
        assert repr(rule) == f"<Rule {rule.advice}>"
    shown = Study.of(study)
    assert len(repr(shown)) < 300
    assert f"{study.best_value:.4g}" in repr(shown)
    assert shown.best_params == study.best_params


def test_tables_hold_what_was_found_and_run_nothing(study, explained):
    pages = [explained._repr_html_(), Study.of(study)._repr_html_()]
    pages += [rule._repr_html_() for rule in explained.rules]
    for page in pages:
        assert "<script" not in page
        assert len(page) < 20_000
    for rule in explained.rules:
        assert rule._repr_html_() in pages[0]
    assert f"trial {explained.best_trial}" in pages[0]
    assert len(re.findall("<tr>", pages[1])) == 5


def test_every_plot_is_a_figure(explained):
    figures = [
        explained.plot_shares(), explained.plot_effect("x"), explained.plot_pair("y", "x"),
        explained.plot_history(), explained.plot_trials(), explained.plot_predictions(),
        explained.plot_noise(), explained.plot_failures("x"),
    ]  # fmt: skip
    assert all(figure.data for figure in figures)
    pair = figures[2]
    assert (pair.layout.xaxis.title.text, pair.layout.yaxis.title.text) == ("y", "x")


@pytest.mark.parametrize(
    ("draw", "why"),
    [
        (lambda e: e.plot_effect("z"), "'z' cannot be drawn"),
        (lambda e: e.plot_pair("x", "z"), "'z' cannot be drawn"),
        (lambda e: e.plot_pair("x", "x"), "both 'x' and 'x'"),
        (lambda e: e.plot_failures("z"), "'z' cannot be drawn"),
        (lambda e: e.plot_front(), "two objectives"),
    ],
)
def test_what_cannot_be_drawn_is_said(explained, draw, why):
    with pytest.raises(InputError, match=why):
        draw(explained)


def test_the_frame_has_a_row_a_parameter(explained):
    table = explained.to_frame()
    assert set(table.index) == {"x", "y", EVIL}
    assert table["share"].is_monotonic_decreasing
    first = explained.main_importances[0]
    assert table.iloc[0]["share_low"] == first.low
    for rule in explained.rules:
        assert rule.advice in table.loc[rule.param, "rule"]


def test_pooled_rules_are_short_and_a_table():
    studies = []
    for name, best in (("one", 0.3), ("two", 0.35)):
        sampler = optuna.samplers.RandomSampler(seed=0)
        made = optuna.create_study(study_name=name, sampler=sampler)
        made.optimize(lambda t, at=best: (t.suggest_float("x", 0, 1) - at) ** 2, n_trials=40)
        studies.append(made)
    pooled = hpsearch.pool(studies)
    assert repr(pooled) == "<Pooling of one, two: 1 rule>"
    assert list(pooled.to_frame().index) == ["x"]
    assert "over 2 studies" in pooled._repr_html_()
