"""Which trials could have changed places."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest, qmc

from hpsearch.analysis.read.axes import Axis
from hpsearch.analysis.read.exchangeable import _evenness, drawn_evenly, strata_of
from hpsearch.analysis.read.frame import read_study

AXES = (
    Axis("rate", "float", 1e-4, 1.0, log=True),
    Axis("layers", "int", 1, 5, step=1.0),
    Axis("width", "int", 8, 512, log=True, step=1.0),
    Axis("way", "categorical", choices=("a", "b", "c")),
)


def on_the_axes(points):
    """Points (n, 4) of a search as a frame has them: on the values that the axes can take."""
    columns = [
        [axis.from_unit(one) for one in column] for axis, column in zip(AXES, points.T, strict=True)
    ]
    return np.stack([axis.to_unit(one) for axis, one in zip(AXES, columns, strict=True)], axis=1)


def test_random_and_sobol_points_look_even_in_nearly_all_studies():
    rng = np.random.default_rng(0)
    drawn = [rng.random((60, 4)) for _ in range(100)]
    assert sum(drawn_evenly(AXES, on_the_axes(points)) for points in drawn) >= 96
    even = qmc.Sobol(4, rng=np.random.default_rng(0)).random(64)
    assert drawn_evenly(AXES, on_the_axes(even))


@pytest.mark.parametrize("column", range(4))
def test_one_axis_that_is_searched_in_a_part_is_enough_to_look_uneven(column):
    points = np.random.default_rng(1).random((60, 4))
    points[20:, column] *= 0.4
    assert not drawn_evenly(AXES, on_the_axes(points))


def test_evenness_of_a_continuous_axis_is_kolmogorovs_test():
    unit = np.random.default_rng(2).beta(1.2, 1, 150)
    expected = kstest(unit, "uniform", method="asymp").pvalue
    assert _evenness(AXES[0], unit) == pytest.approx(expected)


def test_strata_hold_all_of_an_even_cohort_and_twenty_in_a_row_of_another(studies):
    rng = np.random.default_rng(3)
    crowded = 0.4 + 0.1 * rng.random((40, 2))
    points = np.concatenate([rng.random((30, 2)), crowded])
    rows = [{"x0": float(a), "x1": float(b)} for a, b in points]
    attrs = [{"hps_cohort": "design"}] * 30 + [{"hps_cohort": "exploit"}] * 40
    rows.insert(30, rows[3])  # a replicate is part of its configuration
    attrs.insert(30, {"hps_cohort": "design", "hps_replicate_of": 3})
    space = {"x0": studies.unit, "x1": studies.unit}
    frame = read_study(studies.of(rows, rng.normal(size=71), space, attrs=attrs))
    strata = strata_of(frame, frame.usable)
    assert strata.even.tolist() == [True] * 30 + [False] * 40
    assert strata.stratum.tolist() == [0] * 30 + [1] * 20 + [2] * 20
