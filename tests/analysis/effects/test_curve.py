"""No number that is read off a curve leaves what the metric can be."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import numpy as np
import pytest

from hpsearch.analysis import explain
from hpsearch.analysis.effects.curve import effect_of
from hpsearch.analysis.effects.partial_residuals import Marginal
from hpsearch.analysis.read.frame import read_study
from hpsearch.analysis.report.plots.figures import effect_plots
from hpsearch.study.metric_names import UNBOUNDED

N = 24  # few trials: bands are wide


def accuracies(studies, name="accuracy", unit=1.0):
    """Training collapses where x0 is large; the rest of the accuracies lie just below 1."""
    rng = np.random.default_rng(5)
    points = rng.random((N, 2))
    values = np.where(points[:, 0] > 0.75, 0.05, 0.97) + 0.02 * rng.random(N)
    rows = [{"x0": float(a), "x1": float(b)} for a, b in points]
    study = studies.of(
        rows, unit * values, {"x0": studies.unit, "x1": studies.unit},
        defaults={"x0": 0.9, "x1": 0.5},
    )  # fmt: skip
    study.set_metric_names([name])
    return study


@pytest.fixture(scope="module")
def explained(studies):
    return explain(accuracies(studies))


def numbers_of(curve):
    """All gains as (low, value, high), and the ends of the band."""
    found = [curve.gain(curve.default), curve.gain(0), curve.gain_over_worst()]
    effect = effect_of(curve)
    band = (effect.low.min(), effect.whole.min(), effect.whole.max(), effect.high.max())
    return [(one.low, one.value, one.high) for one in found], band


def test_gains_and_bands_stay_within_the_metrics_bounds(explained):
    gains, bands = zip(*(numbers_of(curve) for curve in explained.curves), strict=True)
    assert {curve.bounds for curve in explained.curves} == {(0.0, 1.0)}
    assert min(map(min, bands)) >= 0
    assert max(map(max, bands)) <= 1
    for low, value, high in chain.from_iterable(gains):
        assert -1 <= low <= value <= high <= 1


def test_a_gain_over_a_point_beside_a_jump_lies_in_its_interval(explained):
    """The jump says nothing against the point itself, which no copy chose."""
    (curve,) = (one for one in explained.curves if one.param == "x0")
    places = curve.grid.points
    free = replace(curve, bounds=UNBOUNDED)
    for cut in places[5:-5:4]:
        jumping = replace(free, marginal=replace(curve.marginal, cut=float(cut)))
        for against in range(len(places)):
            gain = jumping.gain(against)
            assert gain.low <= gain.value <= gain.high


def test_without_bounds_the_same_curves_leave_them(explained):
    """Else the test above would prove nothing."""
    free = [replace(curve, bounds=UNBOUNDED) for curve in explained.curves]
    gains, bands = zip(*(numbers_of(curve) for curve in free), strict=True)
    assert max(map(max, bands)) > 1
    assert min(map(min, bands)) < 0
    assert max(high for _, _, high in chain.from_iterable(gains)) > 1


def test_a_gain_is_at_most_what_the_other_point_leaves(explained):
    """The band of the other point says how far below 1 it may be."""
    for curve in explained.curves:
        effect = effect_of(curve)
        for against in range(0, len(effect.values), 10):
            gain = curve.gain(against)
            assert gain.high <= 1 - effect.low[against] + 1e-12
            assert gain.low >= -effect.high[against] - 1e-12


def test_bounds_change_neither_the_best_point_nor_what_is_clear(explained):
    for curve in explained.curves:
        free = replace(curve, bounds=UNBOUNDED)
        assert (curve.best, curve.worst) == (free.best, free.worst)
        assert curve.best_interval() == free.best_interval()
        for against in range(0, len(curve.grid.points), 10):
            assert (curve.gain(against).low > 0) == (free.gain(against).low > 0)


def test_what_is_predicted_stays_within_the_bounds(explained):
    advised, tuning = explained.recommendation, explained.tunability
    predicted = advised.predicted
    assert 0 <= predicted.low <= predicted.value <= predicted.high <= 1
    for number in (tuning.default, *(step.predicted for step in tuning.path)):
        assert 0 <= number <= 1
    assert all(one.alone <= 1 for one in tuning.params)


def test_axes_of_plots_end_where_the_metric_does(explained):
    drawn = {plot.title: plot for plot in effect_plots(explained)}
    assert drawn["x0"].figure.layout.yaxis.range == (0, 1)


def test_per_cent_are_bounded_by_100_and_an_unknown_metric_is_not(studies):
    assert read_study(accuracies(studies, unit=100.0)).bounds == (0, 100)
    assert read_study(accuracies(studies, "score")).bounds == UNBOUNDED


def test_the_ends_of_a_gain_lie_farther_off_than_its_copies_say(explained):
    """All copies agree on the best point, so no winner's curse: their gains over the first point
    are 10 + z, and the 90% interval is 1.15 times as wide as that of z."""
    curve = explained.curves[0]
    line = np.linspace(0, 1, len(curve.grid.points))
    z = np.linspace(-1, 1, 201)
    copies = 10 * line + z[:, None] * line
    exact = Marginal(10 * line, copies, copies, covariance=np.zeros((len(line), len(line))))
    gain = replace(curve, marginal=exact, weighed=None, bounds=UNBOUNDED).gain(0)
    assert gain.value == pytest.approx(10)
    assert [gain.low, gain.high] == pytest.approx([10 - 1.15 * 0.9, 10 + 1.15 * 0.9])
