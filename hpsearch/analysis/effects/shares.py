"""Shares of variance without the forest's own bias, and their intervals (method.md, section 3).

Where trials are few and noisy, a forest flattens peaks, starves weak parameters and hardly sees
interactions: of a ridge with 48% interaction it finds a third at 100 trials. Its own ANOVA then
splits the variance as if what it missed did not exist. But what it missed is in its out-of-bag
residuals, so shares come from both:

- A main effect has the variance of the curve of its partial residuals (see smooth.py).
- Interactions are those of the forest, scaled to what the residuals confirm, plus the products of
  two parameters that the residuals show.
- Each squared estimate is too large by the variance of its noise. That variance is subtracted;
  without this, parameters that do nothing would take a share too.

Where a Gaussian process predicts better than the forest, the shares are those of functions drawn
from it (surrogate/process_anova.py). Where a sampler left parts of the space empty, these differ
there, so that an interval says what the trials do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from hpsearch.analysis.effects.grids import Grid
from hpsearch.analysis.effects.partial_residuals import WIDEN, Marginal, PartialResiduals
from hpsearch.analysis.gaussian_process import Process
from hpsearch.analysis.read.axes import Bools, Floats, Ints
from hpsearch.analysis.surrogate.anova import Anova, sobol_points
from hpsearch.analysis.surrogate.forest import Forest
from hpsearch.analysis.surrogate.process_anova import drawn_anova

ROWS_PER_TERM = 3  # fewer rows for each coefficient let the noise decide
MAX_TERMS = 200  # pairs beyond these are as strong as the forest says
MAX_ERROR = 0.03  # squared standard error of a product, in variances of the values
MAX_SCALE = 2.0  # by how much the forest's interactions may be too flat
# The roots of shares of functions drawn from a process, which are the sizes of effects, lie so many
# times too near to each other: its kernel fits no function of the benchmark exactly. Shares
# themselves would hardly be widened where they are small.
WIDEN_DRAWN = 1.8
FEW_LEVELS = 16  # an axis with more is integrated as if it were continuous
NODES = 8  # of Gauss and Legendre


@dataclass(frozen=True)
class Components:
    """Variances of all effects with B copies, in the metric's unit squared.

    `main` (d,), `main_copies` (d, B), `pair` (d, d) symmetric with a zero diagonal, `pair_copies`
    (d, d, B), `rest`, and `total` with `total_copies` (B,); no estimate is below 0. `rest` is what
    three and more parameters do together, and what parameters of branches explain.
    """

    main: Floats
    main_copies: Floats
    pair: Floats
    pair_copies: Floats
    rest: float
    total_copies: Floats

    @property
    def total(self) -> float:
        return float(self.main.sum() + self.pair.sum() / 2 + self.rest)

    def variance_of(self, axes: Bools) -> Floats:
        """The variance of all effects in which any of `axes` (d,) is, then its copies (1 + B,)."""
        first, second = np.triu_indices(len(axes), 1)
        pairs = axes[first] | axes[second]
        first, second = first[pairs], second[pairs]
        value = self.main[axes].sum() + self.pair[first, second].sum()
        copies = self.main_copies[axes].sum(axis=0) + self.pair_copies[first, second].sum(axis=0)
        return np.append(value, copies)

    def with_more(self, variance: Floats) -> Components:
        """With a variance and its copies (1 + B,) that other parameters add to the rest."""
        copies = np.resize(variance[1:], len(self.total_copies))
        return replace(
            self,
            rest=self.rest + float(variance[0]),
            total_copies=self.total_copies + copies,
        )


@dataclass(frozen=True)
class Interactions:
    """Signed variances of pairs (K,) and the rest, with copies (K, B) and (B,)."""

    pairs: Sequence[tuple[int, int]]
    value: Floats
    copies: Floats
    rest: float
    rest_copies: Floats


def components(
    residuals: PartialResiduals, marginals: Sequence[Marginal], grids: Sequence[Grid]
) -> Components:
    """Variances of all effects; `marginals` and `grids` are those of all axes."""
    n_copies = min(len(marginal.copies) for marginal in marginals)
    mains = np.array(
        [
            main_variance(one, grid.points, categorical=grid.axis.is_categorical)[: n_copies + 1]
            for one, grid in zip(marginals, grids, strict=True)
        ]
    )
    return join(mains, interactions(residuals, n_copies))


def exact_components(anova: Anova) -> Components:
    """Those of the forest itself, for tables that leave nothing uncertain."""
    return Components(
        anova.main,
        anova.main[:, None],
        anova.pair,
        anova.pair[:, :, None],
        anova.rest,
        np.array([anova.variance]),
    )


def process_components(
    process: Process, grids: Sequence[Grid], rng: np.random.Generator
) -> Components:
    """Variances of all effects in functions drawn from a process, and their means as estimates."""
    drawn = drawn_anova(process, [_nodes(grid) for grid in grids], rng)
    total, main, pair = drawn.total.mean(), drawn.main.mean(axis=1), drawn.pair.mean(axis=2)

    def widened(copies: Floats, value: Floats) -> Floats:
        size = np.sqrt(value[..., None] / total)
        sizes = size + WIDEN_DRAWN * (np.sqrt(copies / drawn.total) - size)
        return np.asarray(drawn.total * np.maximum(sizes, 0.0) ** 2)

    rest = float(total - main.sum() - pair.sum() / 2)
    copies = widened(drawn.main, main), widened(drawn.pair, pair)
    return Components(main, copies[0], pair, copies[1], max(rest, 0.0), drawn.total)


def _nodes(grid: Grid) -> tuple[Floats, Floats]:
    """Where an axis is integrated, with weights: at its values, or as Gauss and Legendre do."""
    if grid.axis.is_categorical or (grid.axis.n_levels and len(grid.points) <= FEW_LEVELS):
        return grid.points, _widths(grid.points, categorical=grid.axis.is_categorical)
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    return (nodes + 1) / 2, weights / 2


def curve_variance(curves: Floats, points: Floats, *, categorical: bool) -> Floats:
    """Variance of curves (..., P) over the sampling scale."""
    weight = _widths(points, categorical=categorical)
    mean = curves @ weight
    return np.asarray(np.maximum(curves**2 @ weight - mean**2, 0.0))


def _widths(points: Floats, *, categorical: bool) -> Floats:
    """The part of the range (P,) that is nearest to each point; categories count alike."""
    if categorical or len(points) == 1:
        return np.full(len(points), 1.0 / len(points))
    bounds = np.concatenate([[0.0], (points[1:] + points[:-1]) / 2, [1.0]])
    return np.diff(bounds)


def main_variance(marginal: Marginal, points: Floats, *, categorical: bool) -> Floats:
    """Signed variance of a main effect, then of its copies around it: (1 + B,).

    Medians of the copies, not means, correct for noise: where trials are few, some copies lie far
    out and mean nothing.
    """
    noise = curve_variance(marginal.copies - marginal.mean, points, categorical=categorical)
    found = curve_variance(marginal.mean, points, categorical=categorical)
    value = float(found) - WIDEN**2 * float(np.median(noise))
    copies = curve_variance(marginal.widest(), points, categorical=categorical)
    return np.concatenate([[value], value + copies - np.median(copies)])


def interactions(residuals: PartialResiduals, n_copies: int) -> Interactions:
    """What the trials say of interactions: least squares on values without the main effects.

    The regression has one term for each pair, the product of its two parameters (only the strongest
    pairs where rows are few), and one term for all else that the forest takes for an interaction.
    """
    forest, anova, rng = residuals.forest, residuals.fitted.anova, residuals.rng
    in_oob = forest.out_of_bag - anova.mean - residuals.forest_mains.sum(axis=1)
    response = residuals.cleaned + in_oob
    pairs = list(combinations(range(forest.table.n_axes), 2))
    strength = np.array([anova.pair[i, j] for i, j in pairs])
    seen = np.isfinite(response)
    n, n_axes = int(seen.sum()), forest.table.n_axes
    linear = n_axes if 2 * ROWS_PER_TERM * n_axes <= n else 0
    room = min(n // ROWS_PER_TERM - linear - 2, MAX_TERMS)
    if room < 1 or not pairs:
        as_found = np.repeat(strength[:, None], n_copies, axis=1)
        return Interactions(pairs, strength, as_found, anova.rest, np.full(n_copies, anova.rest))
    chosen = np.sort(np.argsort(-strength, kind="stable")[:room])
    first, second = np.array(pairs).T[:, chosen]
    unit = _standardised(forest, forest.encode(forest.table.x)[seen].astype(np.float64))
    products = unit[:, first] * unit[:, second]
    in_forest = _projections(forest, anova, first, second)
    rest = in_oob[seen] - products @ in_forest
    size = float(rest.std()) or 1.0
    terms = np.column_stack([np.ones(n), unit[:, :linear], products, rest / size])
    solution, error = _least_squares(terms, response[seen])
    solution, error = solution[1 + linear :], error[1 + linear :]
    solution[-1], error[-1] = min(max(solution[-1] / size, 0.0), MAX_SCALE), error[-1] / size
    drawn = solution[:, None] + error[:, None] * rng.standard_normal((len(error), n_copies))
    # Where a sampler left no room to see a product, the forest is believed instead.
    vague = error[:-1] ** 2 > MAX_ERROR * forest.table.y.var()
    own, own_copies = solution**2 - error**2, drawn**2 - 2 * error[:, None] ** 2
    scale, scale_copies = max(own[-1], 0.0), np.maximum(own_copies[-1], 0.0)
    own[:-1][vague], own_copies[:-1][vague] = 0.0, 0.0
    in_forest[vague] = 0.0
    strength[chosen] = np.maximum(strength[chosen] - in_forest**2, 0.0)
    value, copies = strength * scale, strength[:, None] * scale_copies
    value[chosen] += own[:-1]
    copies[chosen] += own_copies[:-1]
    return Interactions(pairs, value, copies, anova.rest * scale, anova.rest * scale_copies)


def join(mains: Floats, found: Interactions) -> Components:
    """Put signed variances together so that none is below 0 and their sum stays right.

    `mains` (d, 1 + B) come from `main_variance`: the estimate, then its copies. Noise makes some
    estimates too large and others negative, so only the signed ones have the right sum. If negative
    ones counted as 0, the total would be too large and all shares too small: by a tenth at 50 to
    100 trials with as much noise as signal. So totals are sums of signed copies.
    """
    n_axes = len(mains)
    joint = float(found.value.sum()) + found.rest
    nearest = nearest_positive(np.append(mains[:, 0], joint))
    positive = np.maximum(found.value, 0.0)
    scale = nearest[-1] / ((positive.sum() + found.rest) or 1.0)
    copies = np.maximum(found.copies, 0.0)
    pair, pair_copies = np.zeros((n_axes, n_axes)), np.zeros((n_axes, n_axes, copies.shape[1]))
    for index, (i, j) in enumerate(found.pairs):
        pair[i, j] = pair[j, i] = positive[index] * scale
        pair_copies[i, j] = pair_copies[j, i] = copies[index]
    main_copies = np.maximum(mains[:, 1:], 0.0)
    totals = mains[:, 1:].sum(axis=0) + found.copies.sum(axis=0) + found.rest_copies
    totals = np.maximum(totals, main_copies.max(axis=0))
    return Components(nearest[:-1], main_copies, pair, pair_copies, found.rest * scale, totals)


def nearest_positive(signed: Floats) -> Floats:
    """The nearest point (m,) to signed variances that has the same sum and nothing below 0.

    All are lowered by as much, and stop at 0 (Duchi et al. 2008, "Efficient projections onto the
    l1-ball", figure 1). Where the sum is not above 0, those above 0 stay as they are.
    """
    total = float(signed.sum())
    if total <= 0:
        return np.maximum(signed, 0.0)
    ordered = np.sort(signed)[::-1]
    lowered = (np.cumsum(ordered) - total) / np.arange(1, len(signed) + 1)
    last = np.flatnonzero(ordered > lowered)[-1]
    return np.asarray(np.maximum(signed - lowered[last], 0.0))


def _standardised(forest: Forest, x: Floats) -> Floats:
    """Encoded positions (m, d) -> mean 0 and variance 1 under uniform draws, (m, d)."""
    levels = forest.table.levels
    variance = np.where(levels > 0, 1 - 1 / np.maximum(levels, 1) ** 2, 1.0) / 12
    return np.asarray((x - 0.5) / np.sqrt(np.maximum(variance, 1e-12)))


def _projections(forest: Forest, anova: Anova, first: Ints, second: Ints) -> Floats:
    """Coefficients (K,) of the products of two axes in the forest itself."""
    points = sobol_points(forest.table.n_axes)
    unit = _standardised(forest, points.astype(np.float64))
    away = forest.predict_encoded(points) - anova.mean
    return np.asarray((unit[:, first] * unit[:, second]).T @ away / len(points))


def _least_squares(terms: Floats, response: Floats) -> tuple[Floats, Floats]:
    """Coefficients and their standard errors."""
    inverse = np.linalg.pinv(terms.T @ terms, hermitian=True)
    solution = inverse @ (terms.T @ response)
    freedom = max(len(response) - terms.shape[1], 1)
    spread = float(np.sum((response - terms @ solution) ** 2)) / freedom
    return solution, np.sqrt(spread * np.maximum(np.diag(inverse), 0.0))
