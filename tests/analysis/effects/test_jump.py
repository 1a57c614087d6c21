"""Cliffs: the interval of an optimum at one holds it, and smooth curves are not cut."""

from __future__ import annotations

import numpy as np
import pytest

from hpsearch.analysis import explain
from hpsearch.analysis.effects.jump import with_cut
from hpsearch.analysis.effects.smooth import build_scatter, choose_bandwidth, smooth_curves
from hpsearch.analysis.surrogate import fit

POINTS = np.linspace(0.0, 1.0, 101)
ENDS_AT = 0.62


def cliff(x):
    """Better and better up to ENDS_AT, where it collapses."""
    return np.where(x <= ENDS_AT, 3 * x / ENDS_AT, 0.3)


def scatters(function, n, count, noise=0.6):
    for seed in range(count):
        rng = np.random.default_rng([7, seed])
        x = rng.random(n)
        yield build_scatter(x, function(x) + noise * rng.normal(size=n), np.arange(n))


def best_interval(scatter):
    n, rng = len(scatter.index), np.random.default_rng(0)
    counts = rng.multinomial(n, np.full(n, 1 / n), 200).astype(np.float64)
    _, copies = smooth_curves(scatter, POINTS, choose_bandwidth(scatter), counts)
    low, high = np.quantile(POINTS[np.argmax(copies, axis=1)], [0.05, 0.95])
    return low - 0.005, high + 0.005


def holds(interval):
    return interval[0] <= ENDS_AT <= interval[1]


def test_intervals_hold_a_cliff_that_smooth_curves_miss():
    smooth = [holds(best_interval(one)) for one in scatters(cliff, 120, 12)]
    cut = [holds(best_interval(with_cut(one))) for one in scatters(cliff, 120, 12)]
    assert np.mean(smooth) <= 0.3
    assert np.mean(cut) >= 0.7  # two of twelve miss an interval of 90% rather often, four hardly


def test_the_more_trials_the_nearer_and_never_past_it():
    """Twice the configurations leave half the gap in which the cliff may be."""
    widths = []
    for n in (60, 240):
        found = [best_interval(with_cut(one)) for one in scatters(cliff, n, 6, noise=0.2)]
        widths.append(np.mean([high - low for low, high in found]))
        assert sum(map(holds, found)) >= 4
    assert widths[1] < 0.5 * widths[0]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: 2.5 * np.exp(-0.5 * ((x - 0.4) / 0.2) ** 2),
        lambda x: 3 * x,
        lambda x: 0 * x,
    ],
    ids=["peak", "line", "nothing"],
)
def test_smooth_curves_are_rarely_cut(function):
    likely = [
        0.0 if (one := with_cut(scatter)).cut is None else one.likely
        for scatter in scatters(function, 100, 12)
    ]
    assert np.mean(likely) < 0.25  # on cliffs with as many trials it is above .9


def test_few_trials_on_a_side_or_few_values_are_not_cut():
    x = np.linspace(0.0, 1.0, 40)
    fall = np.where(x > 0.8, -5.0, 0.0)  # eight configurations beyond it
    assert with_cut(build_scatter(x, fall, np.arange(40))).cut is None
    steps = np.repeat(np.linspace(0.0, 1.0, 8), 10)
    values = np.where(steps > 0.5, -5.0, 0.0)
    assert with_cut(build_scatter(steps, values, np.arange(80))).cut is None


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_a_rule_says_where_the_cliff_is_and_to_stay_below(studies, direction):
    rng = np.random.default_rng(2)
    points = rng.random((150, 3))
    sign = 1.0 if direction == "maximize" else -1.0
    values = sign * (cliff(points[:, 0]) + points[:, 1] + 0.4 * rng.normal(size=150))
    rows = [{f"x{j}": float(v) for j, v in enumerate(point)} for point in points]
    space = {f"x{j}": studies.unit for j in range(3)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "N_REFITS", 19)
        rule = next(
            r
            for r in explain(studies.of(rows, values, space, direction=direction)).rules
            if r.param == "x0"
        )
    assert rule.kind == "optimum"
    assert rule.low <= ENDS_AT <= rule.high
    assert rule.high < ENDS_AT + 0.03
    assert rule.value <= ENDS_AT
    assert rule.detail.endswith("it gets worse at once: stay below.")
