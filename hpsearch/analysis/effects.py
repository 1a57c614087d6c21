"""Marginal curves of the parameters, smoothed, on common grids (spec "explain", section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpsearch.analysis.anova import Anova
from hpsearch.analysis.axes import Axis, Floats, Value
from hpsearch.analysis.forest import Forest

N_CELLS = 64  # a continuous axis' marginal is averaged over this many cells, then smoothed
N_OUT = 101  # points of a continuous axis' smoothed curve, both ends included
BANDWIDTH = 0.12  # of the range: standard deviation of the smoother's Gaussian weights
MIN_LEVELS_TO_SMOOTH = 7


@dataclass(frozen=True)
class Grid:
    """Where one axis' curve is computed and shown.

    `cells` (C,) are the sampling-scale positions of the raw marginal, `points` (P,) those of the
    curve shown, and `smoother` (P, C) maps the first to the second.
    """

    axis: Axis
    cells: Floats
    points: Floats
    smoother: Floats

    def values(self) -> tuple[Value, ...]:
        return tuple(self.axis.from_unit(point) for point in self.points)


@dataclass(frozen=True)
class Effect:
    """The marginal effect of one parameter, in the metric's unit.

    `values` (P,) of the parameter and their positions `unit` (P,); `mean`, `low`, `high` (P,): the
    curve and its pointwise band; `best` with its interval `best_low` to `best_high`; `region`: the
    values whose curve lies within the noise floor of the best; `active`: the share of trials that
    used the parameter.
    """

    param: str
    log: bool
    categorical: bool
    values: tuple[Value, ...]
    unit: Floats
    mean: Floats
    low: Floats
    high: Floats
    best: Value
    best_low: Value
    best_high: Value
    region: tuple[Value, ...]
    active: float


def build_grid(axis: Axis) -> Grid:
    """The grid of an axis; few levels and categories are shown as they are."""
    levels = axis.levels()
    if axis.n_levels and (axis.is_categorical or axis.n_levels < MIN_LEVELS_TO_SMOOTH):
        return Grid(axis, levels, levels, np.eye(len(levels)))
    cells = (np.arange(N_CELLS) + 0.5) / N_CELLS
    if 0 < axis.n_levels <= N_OUT:
        return Grid(axis, cells, levels, smoother_matrix(cells, levels, BANDWIDTH))
    points = np.linspace(0.0, 1.0, N_OUT)
    return Grid(axis, cells, points, smoother_matrix(cells, points, BANDWIDTH))


def smoother_matrix(cells: Floats, points: Floats, bandwidth: float) -> Floats:
    """Local quadratic regression with Gaussian weights: (P, C), rows sum to 1."""
    rows = []
    for point in points:
        distance = cells - point
        weight = np.exp(-0.5 * (distance / bandwidth) ** 2)
        basis = np.stack([np.ones_like(distance), distance, distance**2], axis=1)
        gram = basis.T @ (weight[:, None] * basis)
        rows.append(np.linalg.solve(gram, basis.T * weight)[0])
    return np.array(rows)


def cell_curves(forest: Forest, anova: Anova, grids: Sequence[Grid]) -> list[Floats]:
    """The raw marginal of each axis at its grid's cells, one (C,) each."""
    curves = []
    for column, grid in enumerate(grids):
        edges, marginal = anova.edges[column], anova.marginals[column]
        if column in forest.ranks:
            at = (forest.ranks[column] + 0.5) / len(grid.cells)
            curves.append(marginal[np.searchsorted(edges, at) - 1])
        elif len(grid.cells) == N_CELLS and len(grid.smoother) != N_CELLS:
            integral = np.concatenate([[0.0], np.cumsum(marginal * np.diff(edges))])
            bounds = np.linspace(0.0, 1.0, N_CELLS + 1)
            curves.append(np.diff(np.interp(bounds, edges, integral)) * N_CELLS)
        else:
            curves.append(marginal[np.searchsorted(edges, grid.cells) - 1])
    return curves
