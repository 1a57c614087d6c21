"""The marginal curve of each parameter with its bootstrap copies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpsearch.analysis.effects.grids import MIN_LEVELS_TO_SMOOTH, Grid, marginal_at
from hpsearch.analysis.effects.jump import with_cut
from hpsearch.analysis.effects.smooth import (
    TEST_BANDWIDTH,
    Scatter,
    build_scatter,
    choose_bandwidth,
    floor_bandwidth,
    left_out,
    level_curves,
    smooth_curves,
)
from hpsearch.analysis.read.axes import Bools, Floats
from hpsearch.analysis.surrogate.anova import leaf_boxes, restrict, unseen_marginal
from hpsearch.analysis.surrogate.fit import Fit

N_COPIES = 400
# The copies move the curve's points, not its bandwidth, and follow the errors of one forest: over
# simulated peaks, edges and plateaus the curve is off by 1.1 to 1.2 of their standard deviations.
WIDEN = 1.15
MIN_ROWS_GIVEN = 15  # configurations with the partner in a region, to say anything of it
MANY = 2000  # configurations: see _counts
MAX_COUNTS = 2e7  # numbers drawn for the copies: fewer copies where configurations are many


@dataclass(frozen=True)
class Marginal:
    """One parameter's curve in the metric's unit, at the P points of its grid.

    `mean` (P,); `copies` (B, P) from resampled configurations; `wide_copies` (B, P) smoothed more,
    which bound an effect that is not there. `sparse` (P,) says how many times the bandwidth was
    widened where trials are few: there a bend may stay unseen. `cut` is
    where the curve may jump. `covariance` (P, P) is that of the model's own curve, where a model
    knows it.
    """

    mean: Floats
    copies: Floats
    wide_copies: Floats
    sparse: Floats | float = 1.0
    cut: float | None = None
    covariance: Floats | None = None

    def widest(self) -> Floats:
        """The copies as far from the curve as other trials would be (see WIDEN), and where trials
        are few with room for what they cannot show: as much as the model says that there is, if
        one does."""
        wider = WIDEN * self.sparse
        if self.covariance is not None:
            own = np.sqrt(np.maximum(np.diag(self.covariance), 0.0))  # below 0 by rounding
            spread = self.copies.std(axis=0)
            wider = np.maximum(1.0, own / np.where(spread > 0, spread, np.inf))
        return np.asarray(self.mean + wider * (self.copies - self.mean))

    def distances(self, point: int) -> tuple[Floats, Floats]:
        """How far the curve lies from its value at one point, as uncertain as it is.

        The errors (B, P) of the copies, and the standard errors (P,): the larger of what copies and
        model say, as copies do not show what the model cannot know where other parameters interact.
        The model knows, too, what copies are widened for where there is none.
        """
        copies = self.widest() if self.covariance is None else self.copies
        errors = copies - copies[:, [point]] - (self.mean - self.mean[point])
        variance = np.mean(errors**2, axis=0)
        if self.covariance is not None:
            own = np.diag(self.covariance)
            variance = np.maximum(variance, own + own[point] - 2 * self.covariance[point])
        return errors, np.sqrt(variance)


class PartialResiduals:
    """Partial residuals of one forest: what each trial says about one parameter.

    A trial's partial residual is its value less what all other parameters explain of it. Two passes
    compute it:

    1. The forest's out-of-bag main effects explain the other parameters. They are too flat. And
       where trials fill the space evenly (Sobol points), the neighbours of a left-out trial differ
       from it in everything else, so they push its residual the wrong way: slopes come out a tenth
       too large at 50 trials.
    2. So the curves of the first residuals, each without the trial's own configuration, replace the
       forest's main effects. This is one step of backfitting (Buja, Hastie and Tibshirani 1989).
    """

    def __init__(self, fitted: Fit, rng: np.random.Generator) -> None:
        self.fitted, self.rng = fitted, rng
        self.forest, self.table = fitted.forest, fitted.forest.table
        self.boxes = leaf_boxes(self.forest)
        self.residual = self.table.y - self.forest.out_of_bag
        self.bare = not np.isfinite(self.residual).any()
        if self.bare:
            return
        columns = range(self.table.n_axes)
        self.forest_mains = np.stack(
            [unseen_marginal(self.forest, self.boxes, j) for j in columns], axis=1
        )
        self.forest_mains -= fitted.anova.mean
        self.mains = np.stack([self._left_out(j) for j in columns], axis=1)
        self.cleaned = self.residual + (self.forest_mains - self.mains).sum(axis=1)

    def marginal(self, column: int, grid: Grid) -> Marginal:
        """The curve of the axis in `column` of the forest's table."""
        if self.bare:
            return _bare(self.fitted, column, grid)
        prior = marginal_at(self.fitted.forest, self.fitted.anova, column, grid.points)
        return self.smoothed(column, grid, self.partial(column), prior)

    def partial(self, column: int) -> Floats:
        """The partial residual of each row, (n,); NaN where every tree saw the row."""
        return np.asarray(self.cleaned + self.mains[:, column] + self.fitted.anova.mean)

    def smoothed(self, column: int, grid: Grid, partial: Floats, prior: Floats) -> Marginal:
        """The curve of partial residuals (n,); means of levels are shrunk to `prior` (P,)."""
        scatter = self._scatter(column, partial, np.ones(len(partial), bool))
        return _smoothed(grid, scatter, self._counts(scatter), prior)

    def _left_out(self, column: int) -> Floats:
        """The first curve at each row, that row's configuration left out, around 0: (n,)."""
        partial = self.residual + self.forest_mains[:, column]
        seen = np.isfinite(partial)
        _, group = np.unique(self.table.group[seen], return_inverse=True)
        scatter = build_scatter(self.table.x[seen, column].astype(np.float64), partial[seen], group)
        scatter = with_cut(scatter)
        levels = self.table.levels[column] > 0 or len(scatter.x) < MIN_LEVELS_TO_SMOOTH
        found = np.full(len(partial), np.nan)
        found[seen] = left_out(scatter, levels=bool(levels))[group]
        return found

    def marginal_given(
        self, column: int, grid: Grid, partner: int, low: float, high: float
    ) -> tuple[Floats, Floats] | None:
        """The curve (P,) and copies (B, P) while the partner lies in a cell of [0, 1].

        None where fewer than MIN_ROWS_GIVEN configurations lie there.
        """
        position = self.forest.encode(self.table.x)[:, partner]
        rows = (position >= low) & (position <= high)
        if self.bare or len(np.unique(self.table.group[rows])) < MIN_ROWS_GIVEN:
            return None
        within = unseen_marginal(self.forest, restrict(self.boxes, partner, low, high), column)
        scatter = self._scatter(column, within + self.residual, rows)
        counts = self._counts(scatter)
        if grid.levels:
            prior = marginal_at(self.fitted.forest, self.fitted.anova, column, grid.points)
            return level_curves(scatter, grid.points, prior, counts)
        return smooth_curves(scatter, grid.points, choose_bandwidth(scatter), counts)

    def _scatter(self, column: int, partial: Floats, rows: Bools) -> Scatter:
        seen = np.isfinite(partial) & rows
        _, group = np.unique(self.table.group[seen], return_inverse=True)
        x = self.table.x[seen, column].astype(np.float64)
        return with_cut(build_scatter(x, partial[seen], group))

    def _counts(self, scatter: Scatter) -> Floats:
        """Bootstrap counts (B, G) of the configurations of a scatter."""
        n_groups = len(scatter.r)
        n_copies = int(np.clip(MAX_COUNTS / n_groups, 100, N_COPIES))
        if n_groups > MANY:  # the same numbers, of which one multinomial takes ten times as long
            draws = self.rng.integers(0, n_groups, (n_copies, n_groups))
            draws += n_groups * np.arange(n_copies)[:, None]
            every = np.bincount(draws.ravel(), minlength=n_copies * n_groups)
            return every.reshape(n_copies, n_groups).astype(np.float64)
        counts = self.rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), n_copies)
        return counts.astype(np.float64)


def _smoothed(grid: Grid, scatter: Scatter, counts: Floats, prior: Floats) -> Marginal:
    if grid.levels:
        mean, copies = level_curves(scatter, grid.points, prior, counts)
        return Marginal(mean, copies, copies)
    bandwidth = choose_bandwidth(scatter)
    mean, copies = smooth_curves(scatter, grid.points, bandwidth, counts)
    wide = copies
    if bandwidth < TEST_BANDWIDTH:
        _, wide = smooth_curves(scatter, grid.points, TEST_BANDWIDTH, counts)
    sparse = floor_bandwidth(scatter, grid.points, bandwidth) / bandwidth
    return Marginal(mean, copies, wide, sparse, scatter.cut)


def _bare(fitted: Fit, column: int, grid: Grid) -> Marginal:
    """The forest's own marginal, for the exact surrogate: nothing is uncertain."""
    mean = marginal_at(fitted.forest, fitted.anova, column, grid.points)
    return Marginal(mean, mean[None], mean[None])
