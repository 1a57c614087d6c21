"""What a value of one parameter is worth given that the others are set well (method.md, section 4).

The mean over the whole space averages over settings that nobody would use. The cell that the best
values of three such means make is worse than a quarter of the cells of a factorial table. So advice
reads another curve: the mean of the best quarter of the space at each value. A model of the metric
at uniform points says which quarter that is; where the sampler went plays no part. Then each trial
is cleaned of what the model says beyond the curve, and all of them are smoothed together.

The model is a Gaussian process or the forest, whichever predicts left-out configurations better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from hpsearch.analysis.effects.grids import MIN_LEVELS_TO_SMOOTH, Grid
from hpsearch.analysis.effects.partial_residuals import Marginal, PartialResiduals
from hpsearch.analysis.gaussian_process import Process
from hpsearch.analysis.read.axes import Floats, Ints
from hpsearch.analysis.surrogate.anova import sobol_points
from hpsearch.analysis.surrogate.fit import Fit
from hpsearch.analysis.surrogate.forest import Forest, Table

BEST = 0.25  # the share of the space, at each value, that counts as set well
N_BINS = 16  # of a continuous axis; Sobol points fill each evenly, as the number is a power of 2
MAX_LEVELS = 32  # an axis with more is read in bins, too
FEW = 16  # points of a mean whose error is computed
MIN_ERRORS = 20  # left-out predictions of the better trials


class Model(Protocol):
    """A prediction of the metric that can leave each of n rows out."""

    @property
    def left_out(self) -> Floats:
        """(n,): each row as predicted without its configuration; NaN where that is impossible."""

    def predict(self, x: Floats) -> Floats:
        """The metric at points (m, d) of the sampling scale, (m,)."""

    def at(self, x: Floats) -> Predictions:
        """Everything about the predictions at points (M, d), for means of many parts of them."""


class Predictions(Protocol):
    """Predictions of a model at M points."""

    @property
    def values(self) -> Floats:
        """(M,)."""

    def means_without(self, average: Floats) -> Floats:
        """Means (K, n) with weights `average` (K, M), as predicted without the row's
        configuration."""

    def covariance_of_means(self, average: Floats) -> Floats | None:
        """The covariance (K, K) of the errors of such means, None where the model has none."""

    def errors_beside(self, point: int) -> Floats:
        """Standard errors (M,) of the differences between the value at one point and all values."""


@dataclass(frozen=True)
class ForestModel:
    """The forest; a row is left out by the trees that did not see it."""

    forest: Forest

    @property
    def left_out(self) -> Floats:
        return self.forest.out_of_bag

    def predict(self, x: Floats) -> Floats:
        return self.forest.predict(x.astype(np.float32))

    def at(self, x: Floats) -> ForestPredictions:
        forest, encoded = self.forest, self.forest.encode(x.astype(np.float32))
        of_tree = np.zeros((forest.n_trees, len(x)))
        for index, tree in enumerate(forest.trees):
            of_tree[index % forest.n_trees] += tree.predict(encoded)[:, 0]
        return ForestPredictions(forest, of_tree)


@dataclass(frozen=True)
class ForestPredictions:
    """`of_tree` (n_trees, M): the trees of all stages that share a bag, added up."""

    forest: Forest
    of_tree: Floats

    @property
    def values(self) -> Floats:
        return np.asarray(self.of_tree.mean(axis=0))

    def means_without(self, average: Floats) -> Floats:
        means, unseen = self.of_tree @ average.T, self.forest.unseen
        return np.asarray(means.T @ unseen / np.maximum(unseen.sum(axis=0), 1))

    def covariance_of_means(self, average: Floats) -> None:
        return None

    def errors_beside(self, point: int) -> Floats:
        """The root mean square of left-out errors: trees do not tell what all of them miss."""
        off = self.forest.table.y - self.forest.out_of_bag
        error = float(np.sqrt(np.nanmean(off**2))) if np.isfinite(off).any() else 0.0
        return np.where(np.arange(self.of_tree.shape[1]) == point, 0.0, error)


@dataclass(frozen=True)
class ProcessModel:
    """The Gaussian process of the configurations' mean values, read at the table's rows."""

    process: Process
    group: Ints

    @property
    def left_out(self) -> Floats:
        return np.asarray(self.process.left_out[self.group])

    def predict(self, x: Floats) -> Floats:
        return self.process.predict(self.process.covariance(x))

    def at(self, x: Floats) -> ProcessPredictions:
        return ProcessPredictions(self.process, self.group, x, self.process.covariance(x))


@dataclass(frozen=True)
class ProcessPredictions:
    """`covariance` (M, G) of the points `x` (M, d) and the configurations."""

    process: Process
    group: Ints
    x: Floats
    covariance: Floats

    @property
    def values(self) -> Floats:
        return self.process.predict(self.covariance)

    def means_without(self, average: Floats) -> Floats:
        means = self.process.means_without(average, self.covariance)
        return np.asarray(means[:, self.group])

    def covariance_of_means(self, average: Floats) -> Floats:
        """From the first FEW of the points of each mean: the cost grows with their square."""
        rows = [np.flatnonzero(row)[:FEW] for row in average]
        some = np.zeros((len(rows), sum(map(len, rows))))
        first = 0
        for mean, row in zip(some, rows, strict=True):
            mean[first : first + len(row)] = 1.0 / len(row)
            first += len(row)
        return self.process.covariance_of_means(some, self.x[np.concatenate(rows)])

    def errors_beside(self, point: int) -> Floats:
        covariance = self.process.covariance_of_means(np.eye(len(self.x)), self.x)
        own = np.diag(covariance)
        return np.asarray(np.sqrt(np.maximum(own + own[point] - 2 * covariance[point], 0.0)))


class Advice:
    """The best part of the space at each value of each parameter, as the better model sees it.

    `sign` is 1 where larger is better, else -1; `best` is the share of the space that counts as set
    well, a quarter unless said otherwise; `points` (M, d) fill the space evenly and lie on
    values that the axes can take.
    """

    def __init__(
        self, residuals: PartialResiduals, grids: Sequence[Grid], sign: float, best: float = BEST
    ) -> None:
        self.residuals, self.grids, self.sign, self.best = residuals, grids, sign, best
        self.table = residuals.table
        self.model = choose_model(residuals.fitted)
        self.points = sobol_points(self.table.n_axes).astype(np.float64)
        self.centres = [self._centres(column) for column in range(self.table.n_axes)]
        for column, tried in enumerate(self.centres):
            if self._has_few(column):
                self.points[:, column] = tried[_nearest(tried, self.points[:, column])]
        self.predictions = self.model.at(self.points)
        self.at_points = self.predictions.values
        self.regions = [self._regions(column) for column in range(self.table.n_axes)]

    def curve(self, column: int) -> Marginal:
        """The curve of an axis, with copies."""
        prior = self.model_curve(column)
        if self.residuals.bare:  # nothing is uncertain
            return Marginal(prior, prior[None], prior[None])
        found = self.residuals.smoothed(column, self.grids[column], self.partial(column), prior)
        return replace(found, covariance=self._covariance(column))

    def errors_at_best(self) -> Floats:
        """How far the best quarter of the trials lie from their predictions.

        Each is left out of its prediction, and they are the best by that. Zero where no model left
        any out.
        """
        some = self.best_left_out(BEST)
        return self.table.y[some] - self.model.left_out[some] if len(some) else np.zeros(1)

    def best_left_out(self, share: float) -> Ints:
        """The rows with the best left-out predictions, a share but at least MIN_ERRORS of them."""
        left_out = self.model.left_out
        known = np.flatnonzero(np.isfinite(left_out))
        ordered = known[np.argsort(-self.sign * left_out[known], kind="stable")]
        return ordered[: max(int(share * len(known)), MIN_ERRORS)]

    def partial(self, column: int) -> Floats:
        """What each row says of the curve of an axis, (n,); NaN where no model left it out."""
        centres, average = self.regions[column]
        means = self.predictions.means_without(average)
        x = self.table.x[:, column].astype(np.float64)
        at = np.clip(np.searchsorted(centres, x), 1, max(len(centres) - 1, 1))
        if len(centres) == 1:
            own = means[0]
        else:
            gap = centres[at] - centres[at - 1]
            part = np.clip((x - centres[at - 1]) / gap, 0.0, 1.0)
            rows = np.arange(len(x))
            own = means[at - 1, rows] * (1 - part) + means[at, rows] * part
        return np.asarray(self.table.y - self.model.left_out + own)

    def model_curve(self, column: int) -> Floats:
        """The model's own curve at the points of the axis' grid, (P,)."""
        centres, average = self.regions[column]
        return np.interp(self.grids[column].points, centres, average @ self.at_points)

    def _covariance(self, column: int) -> Floats | None:
        """That of the model's own curve at the points of the axis' grid, (P, P)."""
        centres, average = self.regions[column]
        covariance = self.predictions.covariance_of_means(average)
        if covariance is None:
            return None
        points, unit = self.grids[column].points, np.eye(len(centres))
        onto = np.stack([np.interp(points, centres, one) for one in unit], axis=1)
        return np.asarray(onto @ covariance @ onto.T)

    def _regions(self, column: int) -> tuple[Floats, Floats]:
        """Values (K,) along an axis, and weights (K, M) of the points that are set well there."""
        centres = self.centres[column]
        bins = _nearest(centres, self.points[:, column])
        order = np.lexsort((-self.sign * self.at_points, bins))
        size = np.bincount(bins, minlength=len(centres))
        start = np.cumsum(size) - size
        average = np.zeros((len(centres), len(bins)))
        for row, (first, count) in enumerate(zip(start, size, strict=True)):
            best = order[first : first + max(round(self.best * count), min(count, 1))]
            average[row, best] = 1.0 / max(len(best), 1)
        return centres[size > 0], average[size > 0]

    def _centres(self, column: int) -> Floats:
        """Where an axis is read, (K,): at the values tried, where they are few, else in bins."""
        if self.grids[column].axis.is_categorical:
            return self.grids[column].points
        if self._has_few(column):
            return np.unique(self.table.x[:, column].astype(np.float64))
        return (np.arange(N_BINS) + 0.5) / N_BINS

    def _has_few(self, column: int) -> bool:
        """Whether an axis is read at the values tried; between them nothing is known."""
        grid = self.grids[column]
        n_tried = len(np.unique(self.table.x[:, column]))
        discrete = grid.axis.n_levels or self.residuals.bare
        few = n_tried <= MAX_LEVELS if discrete else n_tried < MIN_LEVELS_TO_SMOOTH
        return grid.axis.is_categorical or few


def choose_model(fitted: Fit) -> Model:
    """The Gaussian process where it predicts left-out configurations better than the forest."""
    table, by_forest = fitted.forest.table, ForestModel(fitted.forest)
    if fitted.process is None:
        return by_forest
    by_process = ProcessModel(fitted.process, table.group)
    return by_process if _error(table, by_process) < _error(table, by_forest) else by_forest


def _error(table: Table, model: Model) -> float:
    return float(np.nanmean((table.y - model.left_out) ** 2))


def _nearest(centres: Floats, x: Floats) -> Ints:
    """Which of the centres (K,), in order, is nearest to each position (m,)."""
    return np.searchsorted((centres[1:] + centres[:-1]) / 2, x)
