"""The grids that curves are read on, the marginal effects and surfaces (method.md, section 4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpsearch.analysis.read.axes import Axis, Floats, Value
from hpsearch.analysis.surrogate.anova import Anova, cell_of, leaf_boxes, pair_surface
from hpsearch.analysis.surrogate.forest import Forest

N_POINTS = 101  # of a continuous axis' curve, both ends included
MIN_LEVELS_TO_SMOOTH = 7


@dataclass(frozen=True)
class Grid:
    """Where one axis' curve is computed: `points` (P,) on the sampling scale.

    `levels`: categories and axes with few values tried, whose curve is not smoothed across them.
    """

    axis: Axis
    points: Floats
    levels: bool

    @property
    def step(self) -> float:
        """How far two points of a continuous axis are apart; 0 where nothing lies between them."""
        return 0.0 if self.levels or self.axis.n_levels else 1.0 / (len(self.points) - 1)

    def values(self) -> tuple[Value, ...]:
        return tuple(self.axis.from_unit(point) for point in self.points)


@dataclass(frozen=True)
class Effect:
    """The effect of one parameter while the others are set well, in the metric's unit.

    `values` (P,) of the parameter and their positions `unit` (P,); `mean`, `low`, `high` (P,): the
    mean of the best quarter of the space at each value and its pointwise band; `whole` (P,): the
    mean of all of it. None of these leaves the metric's bounds. `best` with its interval `best_low`
    to `best_high`; `region`: the categories that may be as good as the best (level_set.py), or the
    first and the last of such numbers, which lie in `pieces`; `active`: the share of trials that
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
    whole: Floats
    best: Value
    best_low: Value
    best_high: Value
    region: tuple[Value, ...]
    pieces: tuple[tuple[Value, Value], ...]
    active: float


@dataclass(frozen=True)
class Surface:
    """The forest's joint effect of two parameters in the metric's unit: `z` (Q, P), y by x."""

    params: tuple[str, str]
    x: tuple[Value, ...]
    y: tuple[Value, ...]
    log: tuple[bool, bool]
    z: Floats


def build_grid(axis: Axis, unit: Floats) -> Grid:
    """Where to read an axis whose trials lie at `unit` (n,).

    Categories, and axes on which the trials took few values, are read at those; the others on the
    levels of a discrete axis or on an even grid.
    """
    if axis.is_categorical:
        return Grid(axis, axis.levels(), True)
    tried = np.unique(unit[~np.isnan(unit)])
    if len(tried) < MIN_LEVELS_TO_SMOOTH:
        return Grid(axis, tried, True)
    if 0 < axis.n_levels <= N_POINTS:
        return Grid(axis, axis.levels(), False)
    return Grid(axis, np.linspace(0.0, 1.0, N_POINTS), False)


def marginal_at(forest: Forest, anova: Anova, column: int, points: Floats) -> Floats:
    """The forest's own marginal of an axis at points (P,) of the sampling scale, (P,)."""
    cells = _cells_at(forest, anova.edges, column, points)
    return np.asarray(anova.marginals[column][cells])


def build_surface(forest: Forest, columns: tuple[int, int], grids: tuple[Grid, Grid]) -> Surface:
    """The forest's mean over all parameters but two, at the points of their grids."""
    boxes = leaf_boxes(forest)
    over, up = (
        _cells_at(forest, boxes.edges, column, grid.points)
        for column, grid in zip(columns, grids, strict=True)
    )
    surface = pair_surface(boxes, *columns)
    return Surface(
        params=(grids[0].axis.name, grids[1].axis.name),
        x=grids[0].values(),
        y=grids[1].values(),
        log=(grids[0].axis.log, grids[1].axis.log),
        z=surface[np.ix_(over, up)].T,
    )


def _cells_at(
    forest: Forest, edges: tuple[Floats, ...], column: int, points: Floats
) -> NDArray[np.int64]:
    x = np.zeros((len(points), forest.table.x.shape[1]), np.float32)
    x[:, column] = points
    return cell_of(edges[column], forest.encode(x)[:, column])
