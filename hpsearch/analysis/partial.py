"""The marginal curve of each parameter with its bootstrap copies and the test of its effect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hpsearch.analysis.anova import leaf_boxes, unseen_marginals
from hpsearch.analysis.axes import Floats
from hpsearch.analysis.effects import Grid, marginal_at
from hpsearch.analysis.refits import Fit
from hpsearch.analysis.smooth import (
    TEST_BANDWIDTH,
    Scatter,
    build_scatter,
    choose_bandwidth,
    effect_p_value,
    level_curves,
    smooth_curves,
)

N_COPIES = 400
MAX_COUNTS = 2e7  # numbers drawn for the copies: fewer copies where configurations are many


@dataclass(frozen=True)
class Curve:
    """One parameter's marginal effect in the metric's unit, at the grid's points.

    `mean` (P,); `copies` (B, P) from resampled configurations; `wide_copies` (B, P) smoothed more,
    for bounding effects that are not there; `p_value` of "no main effect".
    """

    mean: Floats
    copies: Floats
    wide_copies: Floats
    p_value: float


def partial_curves(fitted: Fit, grids: Mapping[int, Grid], rng: np.random.Generator) -> list[Curve]:
    """The curves of the axes (columns of the forest's table) in `grids`, in its order."""
    forest, table = fitted.forest, fitted.forest.table
    if not np.isfinite(forest.out_of_bag).any():
        return [_bare(fitted, column, grid) for column, grid in grids.items()]
    own = unseen_marginals(forest, leaf_boxes(forest))
    residual = table.y - forest.out_of_bag
    n_copies = int(np.clip(MAX_COUNTS / table.n_groups, 100, N_COPIES))
    curves = []
    for column, grid in grids.items():
        partial = own[:, column] + residual
        seen = np.isfinite(partial)
        _, group = np.unique(table.group[seen], return_inverse=True)
        x = table.x[seen, column].astype(np.float64)
        scatter = build_scatter(x, partial[seen], group)
        n_groups = len(scatter.r)
        counts = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), n_copies)
        curves.append(_curve(fitted, column, grid, scatter, counts.astype(np.float64), rng))
    return curves


def _curve(
    fitted: Fit,
    column: int,
    grid: Grid,
    scatter: Scatter,
    counts: Floats,
    rng: np.random.Generator,
) -> Curve:
    p_value = effect_p_value(scatter, levels=grid.levels, rng=rng)
    if grid.levels:
        prior = marginal_at(fitted.forest, fitted.anova, column, grid.points)
        mean, copies = level_curves(scatter, grid.points, prior, counts)
        return Curve(mean, copies, copies, p_value)
    bandwidth = choose_bandwidth(scatter)
    mean, copies = smooth_curves(scatter, grid.points, bandwidth, counts)
    _, wide = smooth_curves(scatter, grid.points, max(bandwidth, TEST_BANDWIDTH), counts)
    return Curve(mean, copies, wide, p_value)


def _bare(fitted: Fit, column: int, grid: Grid) -> Curve:
    """The forest's own marginal, for the exact surrogate: nothing is uncertain."""
    mean = marginal_at(fitted.forest, fitted.anova, column, grid.points)
    matters = fitted.anova.main[column] > 0
    return Curve(mean, mean[None], mean[None], 0.0 if matters else 1.0)
