"""Curves from partial residuals, smoothed by local quadratic regression
(method.md, section 4 and 5).

A forest's own marginal is too flat, and its optimum is too uncertain. So partial residuals (see
partial_residuals.py) are smoothed along the parameter instead. Leave-one-configuration-out chooses
the bandwidth. It is then reduced until the bias is small against the scatter; else intervals miss
the optimum of skewed or narrow peaks. Copies of the curve on resampled configurations give the
intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hpsearch.analysis.read.axes import Bools, Floats, Ints

BANDWIDTHS = (0.05, 0.07, 0.1, 0.14, 0.2, 0.28, 0.4)
EVERY_BANDWIDTH = (*BANDWIDTHS, 0.6, 0.9)
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
    `bandwidths`: those chosen without and with the cut, None before they are.
    """

    x: Floats
    index: Ints
    r: Floats
    w: Floats
    cut: float | None = None
    likely: float = 1.0
    bandwidths: tuple[float, float] | None = None

    @property
    def uncut(self) -> Scatter:
        return self if self.cut is None else replace(self, cut=None, likely=1.0)

    def totals(self, counts: Floats, r: Floats | None = None) -> tuple[Floats, Floats]:
        """Weight and weighted residual at each position for B resamples: (B, G) -> 2 x (B, m)."""
        values = self.w * (self.r if r is None else r)
        return self._at_positions(counts * self.w), self._at_positions(counts * values)

    def _at_positions(self, rows: Floats) -> Floats:
        size = len(self.x)
        if size == rows.shape[1]:  # one configuration at each
            return rows[:, np.argsort(self.index)]
        return np.array([np.bincount(self.index, row, minlength=size) for row in rows])


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
    distance = (x[:, None] - points) / bandwidth
    of_weight, of_total = _moments(distance, weight, total)
    return _solve(of_weight, of_total)


def _moments(distance: Floats, weight: Floats, total: Floats) -> tuple[list[Floats], list[Floats]]:
    """Sums over m positions of `weight` times powers 0 to 4 of the distance (m, P), and of `total`
    times powers 0 to 2, under the Gaussian weights: lists of (B, P)."""
    power = np.exp(-0.5 * distance**2)
    of_weight, of_total = [weight @ power], [total @ power]
    for degree in range(1, 5):
        power *= distance
        of_weight.append(weight @ power)
        if degree < 3:
            of_total.append(total @ power)
    return of_weight, of_total


def _solve(of_weight: Sequence[Floats], of_total: Sequence[Floats]) -> tuple[Floats, Floats]:
    """The first row of the inverse of the 3 x 3 normal equations, for all fits at once."""
    (s0, s1, s2, s3, s4), (t0, t1, t2) = of_weight, of_total
    d0, d2, d4 = s0 + RIDGE, s2 + RIDGE, s4 + RIDGE
    c0, c1, c2 = d2 * d4 - s3**2, s2 * s3 - s1 * d4, s1 * s3 - s2 * d2
    determinant = d0 * c0 + s1 * c1 + s2 * c2
    return (c0 * t0 + c1 * t1 + c2 * t2) / determinant, c0 / determinant


def floor_bandwidth(scatter: Scatter, points: Floats, bandwidth: float) -> Floats:
    """`bandwidth` at each point (P,), wider where fewer than MIN_NEIGHBOURS lie within it.

    Only configurations on the point's own side of a cut are its neighbours.
    """
    return np.asarray(np.maximum(bandwidth, _reach(scatter, points)))


def _reach(scatter: Scatter, points: Floats) -> Floats:
    """How far MIN_NEIGHBOURS configurations on the same side of the cut reach, (P,)."""
    x = np.repeat(scatter.x, np.bincount(scatter.index))  # of each configuration, in order
    reach = np.empty(len(points))
    for inside, at in _sides(x, points, scatter.cut):
        reach[at] = _reach_among(x[inside], points[at])
    return reach


def _reach_among(ordered: Floats, points: Floats) -> Floats:
    near = min(MIN_NEIGHBOURS, len(ordered))
    # The nearest ones are neighbours in the order: one of these stretches holds them.
    first = np.searchsorted(ordered, points)[:, None] - near + np.arange(near + 1)
    first = np.clip(first, 0, len(ordered) - near)
    at = points[:, None]
    reach = np.maximum(at - ordered[first], ordered[first + near - 1] - at)
    return np.asarray(reach.min(axis=1))


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
    if scatter.cut is None:
        return local_quadratic(scatter.x, weight, total, points, width)
    values, leverage = np.empty((2, len(weight), len(points)))
    for inside, at in _sides(scatter.x, points, scatter.cut):
        values[:, at], leverage[:, at] = local_quadratic(
            scatter.x[inside], weight[:, inside], total[:, inside], points[at], width[at]
        )
    return values, leverage


def choose_bandwidth(scatter: Scatter) -> float:
    """The bandwidth that predicts left-out configurations best, reduced to keep bias small."""
    if scatter.bandwidths is not None:
        return scatter.bandwidths[scatter.cut is not None]
    return bandwidth_of(left_out_errors(scatter, [scatter.cut])[0])


def bandwidth_of(errors: Floats) -> float:
    """The bandwidth to smooth with, given the errors (W,) of one cut by `left_out_errors`."""
    return EVERY_BANDWIDTH[int(np.argmin(errors))] * UNDERSMOOTH


def left_out_errors(scatter: Scatter, cuts: Sequence[float | None]) -> Floats:
    """The mean squared error for left-out configurations by cut and bandwidth: (C, W).

    Each side of a cut may be nearly a parabola; without one (None) so wide a bandwidth as the last
    ones hides too much, and its error is infinite. All cuts share one kernel: what it sums over the
    stretches between them adds up to the sums over either side of each.
    """
    x, index = scatter.x, scatter.index
    weight, total = (one[0] for one in scatter.totals(np.ones((1, len(index)))))
    stretch = np.searchsorted(sorted(cut for cut in cuts if cut is not None), x)
    within = np.arange(stretch[-1] + 1)[:, None] == stretch
    distance, columns = _distances(scatter, cuts)
    of_weight, of_total = _moments(distance, within * weight, within * total)
    errors = np.full((len(cuts), len(EVERY_BANDWIDTH)), np.inf)
    for row, (cut, column) in enumerate(zip(cuts, columns, strict=True)):
        tried = len(BANDWIDTHS if cut is None else EVERY_BANDWIDTH)
        below = x <= (np.inf if cut is None else cut)
        inside = (within & below).any(axis=1)[:, None] == below  # each point's own side
        own_side = [
            [(one[:, column[:tried]] * inside[:, None]).sum(axis=0) for one in moments]
            for moments in (of_weight, of_total)
        ]
        fitted, leverage = _solve(*own_side)
        own = np.minimum(leverage[:, index] * scatter.w, 0.99)
        away = (scatter.r - fitted[:, index]) / (1.0 - own)
        errors[row, :tried] = np.average(away**2, axis=1, weights=scatter.w)
    return errors


def _distances(scatter: Scatter, cuts: Sequence[float | None]) -> tuple[Floats, Ints]:
    """Distances (m, K) of all positions from K points, in the bandwidths of those; and which of the
    K is that of each cut, bandwidth and position: (C, W, m).

    There is one for each bandwidth and position, and more where too few neighbours are within it.
    """
    x, widths = scatter.x, np.array(EVERY_BANDWIDTH)
    reach = np.stack([_reach(replace(scatter, cut=cut), x) for cut in cuts])
    wider = reach > widths[0]
    at = np.concatenate([np.tile(x, len(widths)), np.broadcast_to(x, reach.shape)[wider]])
    width = np.concatenate([np.repeat(widths, len(x)), reach[wider]])
    regular = np.arange(len(widths) * len(x)).reshape(len(widths), len(x))
    further = regular.size - 1 + np.cumsum(wider).reshape(wider.shape)
    columns = np.where(reach[:, None] > widths[:, None], further[:, None], regular)
    return (x[:, None] - at) / width, columns


def left_out(scatter: Scatter, *, levels: bool) -> Floats:
    """The curve at each configuration, fitted without that configuration, with mean 0: (G,).

    The curve is shrunk by the share of its variance that is noise, so that a parameter which does
    nothing adds nothing. `levels`: means of levels take the place of a smooth curve.
    """
    weight, total = scatter.totals(np.ones((1, len(scatter.index))))
    scatter = scatter if scatter.likely > 0.5 else scatter.uncut
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
    uncut = scatter.uncut
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
    size = np.bincount(scatter.index)
    reach = _reach_among(np.repeat(scatter.x[side], size[side]), points)
    width = np.maximum(bandwidth, reach)
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
