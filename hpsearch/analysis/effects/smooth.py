"""Curves from partial residuals, smoothed by local quadratic regression
(method.md, section 4 and 5).

A forest's own marginal is too flat, and its optimum is too uncertain. So partial residuals (see
partial_residuals.py) are smoothed along the parameter instead. Leave-one-configuration-out chooses
the bandwidth. It is then reduced until the bias is small against the scatter; else intervals miss
the optimum of skewed or narrow peaks (tests/benchmarks/bench_coverage.py). Copies of the curve on
resampled configurations give the intervals.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hpsearch.analysis.read.axes import Bools, Floats, Ints

BANDWIDTHS = (0.05, 0.07, 0.1, 0.14, 0.2, 0.28, 0.4)
WIDE_BANDWIDTHS = (0.6, 0.9)
UNDERSMOOTH = 0.7
TEST_BANDWIDTH = 0.2  # for the question whether there is an effect at all
CUT_REACH = 0.15  # how far from the cut a resample's may lie
MIN_NEIGHBOURS = 7  # configurations within one bandwidth of every point
RIDGE = 1e-6
MAX_LEVERAGE = 0.8  # a configuration that its fit follows entirely is inflated fivefold
LEVEL_PRIOR = 1.0  # trials' worth of the forest's marginal in the mean of a level


@dataclass(frozen=True)
class Scatter:
    """Partial residuals of G configurations along one axis, at m distinct positions.

    `x` (m,) on the sampling scale, `index` (G,) the position of each configuration, `r` (G,) its
    mean partial residual in the metric's unit, `w` (G,) its number of trials. Curves are not
    smoothed over `cut`, a place between two positions, which is as `likely` as this (jump.py).
    """

    x: Floats
    index: Ints
    r: Floats
    w: Floats
    cut: float | None = None
    likely: float = 1.0

    def totals(self, counts: Floats, r: Floats | None = None) -> tuple[Floats, Floats]:
        """Weight and weighted residual at each position for B resamples: (B, G) -> 2 x (B, m)."""
        size = len(self.x)
        weight = [np.bincount(self.index, row * self.w, minlength=size) for row in counts]
        values = self.w * (self.r if r is None else r)
        total = [np.bincount(self.index, row * values, minlength=size) for row in counts]
        return np.array(weight), np.array(total)


def build_scatter(x: Floats, r: Floats, group: Ints) -> Scatter:
    """From rows (n,): replicates of a configuration are averaged."""
    size = np.bincount(group).astype(np.float64)
    positions, index = np.unique(x, return_inverse=True)
    of_group = np.zeros(len(size), np.int64)
    of_group[group] = index
    return Scatter(positions, of_group, np.bincount(group, r) / size, size)


def local_quadratic(
    x: Floats, weight: Floats, total: Floats, points: Floats, bandwidth: Floats
) -> tuple[Floats, Floats]:
    """Local quadratic fits: values (B, P) at `points`, and the leverage (B, P) of a unit weight.

    `weight` and `total` (B, m) as from `Scatter.totals`; `bandwidth` (P,) of the Gaussian weights.
    """
    distance = (x[None, :] - points[:, None]) / bandwidth[:, None]
    kernel = np.exp(-0.5 * distance**2)
    powers = [kernel.T]
    for _ in range(4):
        powers.append(powers[-1] * distance.T)
    s0, s1, s2, s3, s4 = (weight @ power for power in powers)
    t0, t1, t2 = (total @ power for power in powers[:3])
    # The first row of the inverse of the 3 x 3 normal equations, for all fits at once.
    d0, d2, d4 = s0 + RIDGE, s2 + RIDGE, s4 + RIDGE
    c0, c1, c2 = d2 * d4 - s3**2, s2 * s3 - s1 * d4, s1 * s3 - s2 * d2
    determinant = d0 * c0 + s1 * c1 + s2 * c2
    return (c0 * t0 + c1 * t1 + c2 * t2) / determinant, c0 / determinant


def floor_bandwidth(scatter: Scatter, points: Floats, bandwidth: float) -> Floats:
    """`bandwidth` at each point (P,), wider where fewer than MIN_NEIGHBOURS lie within it.

    Only configurations on the point's own side of a cut are its neighbours.
    """
    width = np.empty(len(points))
    for inside, at in _sides(scatter.x, points, scatter.cut):
        width[at] = _floor(scatter.x[scatter.index[inside[scatter.index]]], points[at], bandwidth)
    return width


def _floor(x: Floats, points: Floats, bandwidth: float) -> Floats:
    ordered = np.sort(x)
    near = min(MIN_NEIGHBOURS, len(ordered))
    # The nearest ones are neighbours in the order: one of these stretches holds them.
    first = np.searchsorted(ordered, points)[:, None] - near + np.arange(near + 1)
    first = np.clip(first, 0, len(ordered) - near)
    at = points[:, None]
    reach = np.maximum(at - ordered[first], ordered[first + near - 1] - at).min(axis=1)
    return np.asarray(np.maximum(bandwidth, reach))


def _sides(x: Floats, points: Floats, cut: float | None) -> list[tuple[Bools, Bools]]:
    """Which positions and which points lie on each side of the cut; all of them without one."""
    if cut is None:
        return [(np.ones(len(x), bool), np.ones(len(points), bool))]
    return [(x <= cut, points <= cut), (x > cut, points > cut)]


def fits(
    scatter: Scatter, weight: Floats, total: Floats, points: Floats, bandwidth: float
) -> tuple[Floats, Floats]:
    """Local quadratic fits on each side of the scatter's cut: values and leverages (B, P)."""
    width = floor_bandwidth(scatter, points, bandwidth)
    values, leverage = np.empty((2, len(weight), len(points)))
    for inside, at in _sides(scatter.x, points, scatter.cut):
        values[:, at], leverage[:, at] = local_quadratic(
            scatter.x[inside], weight[:, inside], total[:, inside], points[at], width[at]
        )
    return values, leverage


def choose_bandwidth(scatter: Scatter) -> float:
    """The bandwidth that predicts left-out configurations best, reduced to keep bias small."""
    errors = _left_out_errors(scatter)
    return _bandwidths(scatter)[int(np.argmin(errors))] * UNDERSMOOTH


def left_out_error(scatter: Scatter) -> float:
    """The mean squared error for left-out configurations with the best bandwidth."""
    return float(_left_out_errors(scatter).min())


def _bandwidths(scatter: Scatter) -> tuple[float, ...]:
    """Each side of a cut may be nearly a parabola; without a cut so wide a one hides too much."""
    return BANDWIDTHS if scatter.cut is None else (*BANDWIDTHS, *WIDE_BANDWIDTHS)


def _left_out_errors(scatter: Scatter) -> Floats:
    """For each bandwidth."""
    weight, total = scatter.totals(np.ones((1, len(scatter.index))))
    errors = []
    for bandwidth in _bandwidths(scatter):
        fitted, leverage = fits(scatter, weight, total, scatter.x, bandwidth)
        own = np.minimum(leverage[0][scatter.index] * scatter.w, 0.99)
        away = (scatter.r - fitted[0][scatter.index]) / (1.0 - own)
        errors.append(float(np.average(away**2, weights=scatter.w)))
    return np.array(errors)


def left_out(scatter: Scatter, *, levels: bool) -> Floats:
    """The curve at each configuration, fitted without that configuration, with mean 0: (G,).

    The curve is shrunk by the share of its variance that is noise, so that a parameter which does
    nothing adds nothing. `levels`: means of levels take the place of a smooth curve.
    """
    weight, total = scatter.totals(np.ones((1, len(scatter.index))))
    scatter = scatter if scatter.likely > 0.5 else replace(scatter, cut=None)
    if levels:
        centre = np.average(scatter.r, weights=scatter.w)
        rest = weight[0][scatter.index] - scatter.w
        others = total[0][scatter.index] - scatter.w * scatter.r - centre * rest
        return np.asarray(others / (rest + LEVEL_PRIOR))
    fitted, leverage = fits(scatter, weight, total, scatter.x, choose_bandwidth(scatter))
    at, own = fitted[0][scatter.index], np.minimum(leverage[0][scatter.index] * scatter.w, 0.99)
    away = (scatter.r - at) / (1.0 - own)
    noise = np.average(away**2, weights=scatter.w) * np.average(own, weights=scatter.w)
    spread = np.average((at - np.average(at, weights=scatter.w)) ** 2, weights=scatter.w)
    kept = max(1.0 - float(noise / spread), 0.0) if spread > 0 else 0.0
    found = scatter.r - away
    return np.asarray(kept * (found - np.average(found, weights=scatter.w)))


def smooth_curves(
    scatter: Scatter, points: Floats, bandwidth: float, counts: Floats
) -> tuple[Floats, Floats]:
    """The curve (P,) and its copies (B, P) on resampled configurations `counts` (B, G).

    Where a cut is likely, as many of the copies are cut, each at its own place, and the curve is
    their mean: just before a cliff it is as much lower as the cut may lie before that.
    """
    if scatter.cut is None:
        return _curves(scatter, points, bandwidth, counts)
    n_cut = round(scatter.likely * len(counts))
    uncut = replace(scatter, cut=None)
    copies = [_curves(scatter, points, bandwidth, counts[:n_cut])[1]] if n_cut else []
    if n_cut < len(counts):
        bandwidth = min(bandwidth, choose_bandwidth(uncut))
        copies.append(_curves(uncut, points, bandwidth, counts[n_cut:])[1])
    every = np.vstack(copies)
    return every.mean(axis=0), every


def _curves(
    scatter: Scatter, points: Floats, bandwidth: float, counts: Floats
) -> tuple[Floats, Floats]:
    ones = np.ones((1, counts.shape[1]))
    weight, total = scatter.totals(ones)
    fitted, leverage = fits(scatter, weight, total, scatter.x, bandwidth)
    inflated = _inflated(scatter, fitted[0][scatter.index], leverage[0][scatter.index])
    mean, _ = fits(scatter, weight, total, points, bandwidth)
    weight, total = scatter.totals(np.vstack([ones, counts]), inflated)
    if scatter.cut is None:
        copies, _ = fits(scatter, weight, total, points, bandwidth)
    else:
        copies = _cut_anew(scatter, (weight, total), points, bandwidth, fitted[0])
    return mean[0], mean[0] + copies[1:] - copies[0]


def _cut_anew(
    scatter: Scatter,
    totals: tuple[Floats, Floats],
    points: Floats,
    bandwidth: float,
    fitted: Floats,
) -> Floats:
    """Curves (B, P) of resamples that are cut each where it fits best; the first where it was.

    The cut is where the step between both sides' curves, carried on beyond the cut, fits with the
    smallest squares. Any place up to the next configuration of the resample fits as well.
    """
    weight, total = totals
    x, cut = scatter.x, float(scatter.cut or 0.0)
    last = int(np.searchsorted(x, cut)) - 1
    low, high = fitted.copy(), fitted.copy()
    low[last + 1 :], high[: last + 1] = fitted[last], fitted[last + 1]
    better = np.cumsum(weight * (high**2 - low**2) - 2 * total * (high - low), axis=1)
    near = np.flatnonzero(np.abs(x[:-1] - cut) <= CUT_REACH)
    near = near[(near >= MIN_NEIGHBOURS - 1) & (near < len(x) - MIN_NEIGHBOURS)]
    near = np.union1d(near, [last])
    chosen = near[np.argmax(better[:, near], axis=1)]
    chosen[0] = last
    copies = np.empty((len(weight), len(points)))
    for after in np.unique(chosen):
        rows = np.flatnonzero(chosen == after)
        # Evenly over the gap, which is wider where a copy lacks the configurations beside it.
        there = weight[rows] > 0
        start = np.where(there, x, -np.inf)[:, : after + 1].max(axis=1)
        end = np.where(there, x, np.inf)[:, after + 1 :].min(axis=1)
        start, end = np.maximum(start, x[0]), np.minimum(end, x[-1])
        part = (np.arange(len(rows)) + 0.5) / len(rows)
        at = np.where(rows == 0, cut, start + (end - start) * part)
        below, above = (
            _one_side(scatter, side, weight[rows], total[rows], points, bandwidth)
            for side in (x <= x[after], x > x[after])
        )
        copies[rows] = np.where(points <= at[:, None], below, above)
    return copies


def _one_side(
    scatter: Scatter,
    side: Bools,
    weight: Floats,
    total: Floats,
    points: Floats,
    bandwidth: float,
) -> Floats:
    """Fits (B, P) to the positions of one side alone, at all points."""
    width = _floor(scatter.x[scatter.index[side[scatter.index]]], points, bandwidth)
    return local_quadratic(scatter.x[side], weight[:, side], total[:, side], points, width)[0]


def level_curves(
    scatter: Scatter, points: Floats, prior: Floats, counts: Floats
) -> tuple[Floats, Floats]:
    """Means of the levels at `points` (P,) and their copies (B, P), shrunk to `prior` (P,)."""
    ones = np.ones((1, counts.shape[1]))
    at = np.argmin(np.abs(scatter.x[:, None] - points[None, :]), axis=1)
    place = np.eye(len(points))[at]

    def means(of: Floats, r: Floats) -> tuple[Floats, Floats]:
        weight, total = scatter.totals(of, r)
        size = weight @ place + LEVEL_PRIOR
        return (total @ place + LEVEL_PRIOR * prior) / size, size

    mean, size = means(ones, scatter.r)
    level = at[scatter.index]
    inflated = _inflated(scatter, mean[0][level], 1.0 / size[0][level])
    copies, _ = means(np.vstack([ones, counts]), inflated)
    return mean[0], mean[0] + copies[1:] - copies[0]


def _inflated(scatter: Scatter, fitted: Floats, leverage: Floats) -> Floats:
    """Partial residuals spread as if each configuration had been left out of its own fit, (G,).

    A fit of few configurations follows each of them closely. Its residuals are then too small, and
    resampling them understates the scatter (HC3 of MacKinnon and White 1985).
    """
    own = np.minimum(leverage * scatter.w, MAX_LEVERAGE)
    return fitted + (scatter.r - fitted) / (1.0 - own)
