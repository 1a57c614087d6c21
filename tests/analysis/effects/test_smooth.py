"""Left-out errors of smoothed curves are those of fits that never saw the configuration."""

from __future__ import annotations

import numpy as np
import pytest

from hpsearch.analysis.effects.smooth import (
    BANDWIDTHS,
    EVERY_BANDWIDTH,
    MIN_NEIGHBOURS,
    build_scatter,
    left_out_errors,
)

CUTS = (None, 0.35, 0.62)


def by_hand(x, y, size, cut, bandwidth):
    """One weighted parabola for each configuration, through all others on its side."""
    squares = []
    for one, at in enumerate(x):
        side = np.ones(len(x), bool) if cut is None else (x <= cut) == (at <= cut)
        nearest = np.sort(np.abs(x[side] - at))[MIN_NEIGHBOURS - 1]
        weight = np.exp(-0.5 * ((x - at) / max(bandwidth, nearest)) ** 2) * size
        others = side & (np.arange(len(x)) != one)
        parabola = np.polyfit(x[others] - at, y[others], 2, w=np.sqrt(weight[others]))
        squares.append((y[one] - parabola[2]) ** 2)
    return np.average(squares, weights=size)


@pytest.mark.parametrize("n", [40, 90])  # with 40 many points have too few neighbours
def test_all_cuts_at_once_have_the_errors_of_fits_without_the_configuration(n):
    rng = np.random.default_rng(n)
    x, size = rng.random(n), rng.integers(1, 4, n)
    y = np.where(x > 0.62, 0.0, 2 * x) + 0.1 * rng.normal(size=n)
    group = np.repeat(np.arange(n), size)
    errors = left_out_errors(build_scatter(x[group], y[group], group), CUTS)
    assert errors.shape == (len(CUTS), len(EVERY_BANDWIDTH))
    assert np.isinf(errors[0, len(BANDWIDTHS) :]).all()
    for row, cut in zip(errors, CUTS, strict=True):
        for column in (1, 4, 6) if cut is None else (1, 4, 8):
            expected = by_hand(x, y, size, cut, EVERY_BANDWIDTH[column])
            assert row[column] == pytest.approx(expected, rel=1e-3)  # there is no ridge by hand
    assert errors[2].min() < 0.9 * errors[0].min()
