"""The marginal curve of each parameter with its bootstrap copies and the test of its effect."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpsearch.analysis.anova import leaf_boxes, restrict, unseen_marginal
from hpsearch.analysis.axes import Bools, Floats
from hpsearch.analysis.effects import MIN_LEVELS_TO_SMOOTH, Grid, marginal_at
from hpsearch.analysis.refits import Fit
from hpsearch.analysis.smooth import (
    MANY,
    TEST_BANDWIDTH,
    Scatter,
    build_scatter,
    choose_bandwidth,
    effect_p_value,
    floor_bandwidth,
    left_out,
    level_curves,
    smooth_curves,
)

N_COPIES = 400
# The copies move the curve's points, not its bandwidth, and follow the errors of one forest: over
# bench_coverage's shapes the curve is off by 1.1 to 1.2 of their standard deviations.
WIDEN = 1.15
MIN_ROWS_GIVEN = 15  # configurations with the partner in a region, to say anything of it
MAX_COUNTS = 2e7  # numbers drawn for the copies: fewer copies where configurations are many


@dataclass(frozen=True)
class Curve:
    """One parameter's marginal effect in the metric's unit, at the grid's points.

    `mean` (P,); `copies` (B, P) from resampled configurations; `wide_copies` (B, P) smoothed more,
    for bounding effects that are not there; `p_value` of "no main effect"; `sparse` (P,) how much
    wider than elsewhere the curve was smoothed where trials are few: in there it may bend unseen.
    """

    mean: Floats
    copies: Floats
    wide_copies: Floats
    p_value: float
    sparse: Floats | float = 1.0

    def wider(self) -> Floats:
        """The copies as far from the curve as other trials would be: see WIDEN."""
        return np.asarray(self.mean + WIDEN * (self.copies - self.mean))

    def widest(self) -> Floats:
        """The same where trials are few with room for what they cannot show."""
        return np.asarray(self.mean + WIDEN * self.sparse * (self.copies - self.mean))


class Partials:
    """Partial residuals of one forest: what each trial says about one parameter.

    They are taken twice. First each trial's value is cleaned of what the forest says about the
    other parameters, out of bag. But the forest is too flat; and where trials fill the space evenly
    (Sobol points), those beside a left-out trial differ from it in everything else, so that they
    say the opposite and its residual becomes too large: slopes by a tenth at 50 trials. So the
    curves of these residuals, each trial left out of its own, then take the place of the forest's
    main effects (one step of backfitting; Buja, Hastie and Tibshirani 1989).
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

    def curve(self, column: int, grid: Grid) -> Curve:
        """The curve of the axis in `column` of the forest's table."""
        if self.bare:
            return _bare(self.fitted, column, grid)
        everywhere = np.ones(len(self.table.y), bool)
        scatter = self._scatter(
            column, self.cleaned + self.mains[:, column] + self.fitted.anova.mean, everywhere
        )
        return _curve(self.fitted, column, grid, scatter, self._counts(scatter), self.rng)

    def _left_out(self, column: int) -> Floats:
        """The first curve at each row, that row's configuration left out, around 0: (n,)."""
        partial = self.residual + self.forest_mains[:, column]
        seen = np.isfinite(partial)
        _, group = np.unique(self.table.group[seen], return_inverse=True)
        scatter = build_scatter(self.table.x[seen, column].astype(np.float64), partial[seen], group)
        levels = self.table.levels[column] > 0 or len(scatter.x) < MIN_LEVELS_TO_SMOOTH
        found = np.full(len(partial), np.nan)
        found[seen] = left_out(scatter, levels=bool(levels))[group]
        return found

    def curve_given(
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
        return build_scatter(x, partial[seen], group)

    def _counts(self, scatter: Scatter) -> Floats:
        """Bootstrap counts (B, G) of the configurations of a scatter."""
        n_groups = len(scatter.r)
        n_copies = int(np.clip(MAX_COUNTS / n_groups, 100, N_COPIES))
        if n_groups > MANY:  # the same numbers, of which one multinomial takes ten times as long
            draws = (self.rng.integers(0, n_groups, n_groups) for _ in range(n_copies))
            return np.array([np.bincount(draw, minlength=n_groups) for draw in draws], np.float64)
        counts = self.rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), n_copies)
        return counts.astype(np.float64)


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
    sparse = floor_bandwidth(scatter, grid.points, bandwidth) / bandwidth
    return Curve(mean, copies, wide, p_value, sparse)


def _bare(fitted: Fit, column: int, grid: Grid) -> Curve:
    """The forest's own marginal, for the exact surrogate: nothing is uncertain."""
    mean = marginal_at(fitted.forest, fitted.anova, column, grid.points)
    matters = fitted.anova.main[column] > 0
    return Curve(mean, mean[None], mean[None], 0.0 if matters else 1.0)
