"""Curves from partial residuals, smoothed by local quadratic regression (spec, section 4 and 5).

A forest's own marginal is too flat, and its optimum too uncertain. So each trial's value is cleaned
of what the forest says about the *other* parameters, out of bag, and what remains is smoothed along
the parameter. The bandwidth is chosen by leaving out one configuration at a time, then reduced, so
that the bias is small against the scatter: without that, intervals miss the optimum of skewed or
narrow peaks (tests/benchmarks/bench_coverage.py). Resampling configurations gives the copies from
which intervals are read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from hpsearch.analysis.axes import Floats, Ints

BANDWIDTHS = (0.05, 0.07, 0.1, 0.14, 0.2, 0.28, 0.4)
UNDERSMOOTH = 0.7
TEST_BANDWIDTH = 0.2  # for the question whether there is an effect at all
BLOCK = 20  # configurations within which residuals are shuffled
MANY = 2000  # configurations from which on they are not shuffled but drawn
MIN_NEIGHBOURS = 7  # configurations within one bandwidth of every point
RIDGE = 1e-6
MAX_LEVERAGE = 0.8  # a configuration that its fit follows entirely is inflated fivefold
LEVEL_PRIOR = 1.0  # trials' worth of the forest's marginal in the mean of a level


@dataclass(frozen=True)
class Scatter:
    """Partial residuals of G configurations along one axis, at m distinct positions.

    `x` (m,) on the sampling scale, `index` (G,) the position of each configuration, `r` (G,) its
    mean partial residual in the metric's unit, `w` (G,) its number of trials.
    """

    x: Floats
    index: Ints
    r: Floats
    w: Floats

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
    """`bandwidth` at each point (P,), wider where fewer than MIN_NEIGHBOURS lie within it."""
    ordered = np.sort(scatter.x[scatter.index])
    near = min(MIN_NEIGHBOURS, len(ordered))
    # The nearest ones are neighbours in the order: one of these stretches holds them.
    first = np.searchsorted(ordered, points)[:, None] - near + np.arange(near + 1)
    first = np.clip(first, 0, len(ordered) - near)
    at = points[:, None]
    reach = np.maximum(at - ordered[first], ordered[first + near - 1] - at).min(axis=1)
    return np.asarray(np.maximum(bandwidth, reach))


def choose_bandwidth(scatter: Scatter) -> float:
    """The bandwidth that predicts left-out configurations best, reduced to keep bias small."""
    best, best_error = BANDWIDTHS[-1], np.inf
    weight, total = scatter.totals(np.ones((1, len(scatter.index))))
    for bandwidth in BANDWIDTHS:
        width = floor_bandwidth(scatter, scatter.x, bandwidth)
        fitted, leverage = local_quadratic(scatter.x, weight, total, scatter.x, width)
        own = np.minimum(leverage[0][scatter.index] * scatter.w, 0.99)
        left_out = (scatter.r - fitted[0][scatter.index]) / (1.0 - own)
        error = float(np.average(left_out**2, weights=scatter.w))
        if error < best_error:
            best, best_error = bandwidth, error
    return best * UNDERSMOOTH


def left_out(scatter: Scatter, *, levels: bool) -> Floats:
    """The curve around 0 at each configuration without that configuration, (G,).

    Shrunk by the share of its variance that is noise, so that parameters which do nothing add none.
    """
    weight, total = scatter.totals(np.ones((1, len(scatter.index))))
    if levels:
        centre = np.average(scatter.r, weights=scatter.w)
        rest = weight[0][scatter.index] - scatter.w
        others = total[0][scatter.index] - scatter.w * scatter.r - centre * rest
        return np.asarray(others / (rest + LEVEL_PRIOR))
    width = floor_bandwidth(scatter, scatter.x, choose_bandwidth(scatter))
    fitted, leverage = local_quadratic(scatter.x, weight, total, scatter.x, width)
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
    """The curve (P,) and its copies (B, P) on resampled configurations `counts` (B, G)."""
    ones = np.ones((1, counts.shape[1]))
    weight, total = scatter.totals(ones)
    at_x = floor_bandwidth(scatter, scatter.x, bandwidth)
    fitted, leverage = local_quadratic(scatter.x, weight, total, scatter.x, at_x)
    inflated = _inflated(scatter, fitted[0][scatter.index], leverage[0][scatter.index])
    width = floor_bandwidth(scatter, points, bandwidth)
    mean, _ = local_quadratic(scatter.x, weight, total, points, width)
    weight, total = scatter.totals(np.vstack([ones, counts]), inflated)
    copies, _ = local_quadratic(scatter.x, weight, total, points, width)
    return mean[0], mean[0] + copies[1:] - copies[0]


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
    """Residuals as they would be had each configuration been left out of its own fit, (G,).

    A fit of few configurations follows each of them, so that resampling its residuals understates
    the scatter (HC3 of MacKinnon and White 1985).
    """
    own = np.minimum(leverage * scatter.w, MAX_LEVERAGE)
    return fitted + (scatter.r - fitted) / (1.0 - own)


def effect_p_value(
    scatter: Scatter, *, levels: bool, rng: np.random.Generator, n_shuffles: int = 999
) -> float:
    """Permutation test of "no main effect": residuals shuffled along the axis.

    The statistic is the variance of the curve over the configurations; `levels` tests the means of
    the levels instead of a smooth curve. The trials as they are count as one of the shuffles.

    A sampler that learns moves all parameters at the same time, so that one which does nothing
    follows those that matter; but it draws each of them by itself, given the trials so far. So
    only configurations of about the same time change places.
    """
    n = len(scatter.r)
    block = np.arange(n) * max(n // BLOCK, 1) // n
    means = np.bincount(block, scatter.r * scatter.w) / np.bincount(block, scatter.w)
    centred = scatter.r - means[block]
    weight = scatter.totals(np.ones((1, n)))[0]
    if n <= MANY:
        order = np.argsort(rng.random((n_shuffles, n)) + block, axis=1)
        shuffled = np.vstack([centred, centred[order]]) * scatter.w
        size = len(scatter.x)
        total = np.stack([np.bincount(scatter.index, row, minlength=size) for row in shuffled])
    else:  # their sums are normal, and drawn faster than shuffled
        observed = np.bincount(scatter.index, centred * scatter.w, minlength=len(scatter.x))
        spread = np.sqrt(weight[0] * np.average(centred**2 * scatter.w))
        total = np.vstack([observed, spread * rng.standard_normal((n_shuffles, len(observed)))])
    if levels:
        curves = total / weight
    else:
        width = floor_bandwidth(scatter, scatter.x, TEST_BANDWIDTH)
        curves = _linear_in_total(scatter.x, weight[0], width) @ total.T
        curves = curves.T
    share = weight[0] / weight[0].sum()
    variance = curves**2 @ share - (curves @ share) ** 2
    reached = int(np.sum(variance[1:] >= variance[0] * (1 - 1e-9)))
    return (1 + reached) / (1 + n_shuffles) if reached else _tail(variance[0], variance[1:])


def _tail(observed: float, shuffled: Floats) -> float:
    """P(shuffled >= observed) where none of the shuffles got there.

    From the scaled chi-squared distribution with their mean and variance (Satterthwaite 1946).
    """
    mean, spread = float(shuffled.mean()), float(shuffled.var())
    bound = 1.0 / (1 + len(shuffled))
    if spread <= 0:
        return bound
    return min(bound, float(chi2.sf(2 * mean * observed / spread, 2 * mean**2 / spread)))


def _linear_in_total(x: Floats, weight: Floats, width: Floats) -> Floats:
    """The local quadratic fit at the positions themselves as a matrix (m, m) on totals."""
    size = len(x)
    values, _ = local_quadratic(x, np.broadcast_to(weight, (size, size)), np.eye(size), x, width)
    return values.T
