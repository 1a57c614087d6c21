"""One parameter's curve with all that rules and reports read off it (method.md, section 5)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hpsearch.analysis.effects.conditional import ConditionalOptimum
from hpsearch.analysis.effects.grids import Effect, Grid
from hpsearch.analysis.effects.level_set import level_set, stretches, without_gaps
from hpsearch.analysis.effects.partial_residuals import Marginal
from hpsearch.analysis.effects.smooth import CUT_REACH
from hpsearch.analysis.estimates import Estimate
from hpsearch.analysis.read.axes import Bools, Floats, Ints, Value
from hpsearch.study.metric_names import UNBOUNDED

WIDEN_GAINS = 1.15  # copies keep the good region of one model, which other trials would move
BESIDE = 0.05  # of the range: as near to a jump is beside it
UNKNOWN = 0.5  # of the range: whoever cannot say better where the jump is says nothing of it


@dataclass(frozen=True)
class Curve:
    """One parameter's effect as n trials show it.

    `marginal` holds the curve and its bootstrap copies, in the metric's unit: what a value is worth
    while the other parameters are set well (advice.py); `whole` is the mean over the whole space.
    `sign` is 1 where larger is better, else -1. `share` is that of the variance, `worth` the
    smallest difference worth having. `p_value` is of "no main effect" over the whole space.
    `default` is an index into the grid's points, `default_value` the value itself. `conditional`
    says how the optimum moves with the strongest partner, or is None. `bounds` are the least and
    the greatest value of the metric: numbers for people stay within them, while points are compared
    by the curve as it is. Where trials fail at some values, `weighed` is the curve times the chance
    to finish (failures.py), by which points are then chosen; none of those that are `failing` (P,),
    where surely more than half of the runs fail, counts as good.
    """

    grid: Grid
    marginal: Marginal
    whole: Marginal
    sign: float
    share: Estimate
    worth: float
    p_value: float
    level: float
    default: int
    default_value: Value
    default_given: bool
    active: float
    n_trials: int
    conditional: ConditionalOptimum | None = None
    weighed: Marginal | None = None
    failing: Bools | None = None
    bounds: tuple[float, float] = UNBOUNDED

    @property
    def param(self) -> str:
        return self.grid.axis.name

    @property
    def score(self) -> Floats:
        """The curve (P,) turned so that larger is better."""
        return self.sign * self.marginal.mean

    @property
    def chosen_by(self) -> Marginal:
        """The curve whose best point is advised: what values are worth, failed runs counted."""
        return self.marginal if self.weighed is None else self.weighed

    @property
    def best(self) -> int:
        return int(np.argmax(self.sign * self.chosen_by.mean))

    @property
    def worst(self) -> int:
        return int(np.argmin(self.score))

    @property
    def best_of_mean(self) -> int:
        """Where the mean over the whole space is best."""
        return int(np.argmax(self.sign * self.whole.mean))

    @property
    def span(self) -> float:
        """How much better the best of the curve is than its worst."""
        return float(np.ptp(self.chosen_by.mean))

    def best_interval(self) -> tuple[float, float]:
        """Sampling-scale interval of the optimum: percentiles of the copies' optima.

        Between points nothing is computed, so on a continuous axis it reaches half a step further.
        """
        best = self.grid.points[np.argmax(self.sign * self.chosen_by.copies, axis=1)]
        low, high = np.quantile(best, tails(self.level))
        centre, half = self.grid.points[self.best], self.grid.step / 2
        return max(float(min(low, centre)) - half, 0.0), min(float(max(high, centre)) + half, 1.0)

    @cached_property
    def may_be_best(self) -> Bools:
        """Which points (P,) may be as good as the best, but for what is not worth having."""
        inside = level_set(self.chosen_by, self.sign, self.worth, self.level)
        if self.failing is not None:
            inside &= ~self.failing
            inside[self.best] = True
        return without_gaps(self.grid.points, inside) if self.grid.step else inside

    @property
    def pieces(self) -> tuple[tuple[float, float], ...]:
        """Where on the sampling scale values may be as good as the best; none of categories."""
        if self.grid.axis.is_categorical:  # which have no order
            return ()
        return stretches(self.grid.points, self.may_be_best, self.grid.step)

    def gain(self, against: int) -> Estimate:
        """How much better the best point is than the point `against`."""
        return self._gain(against, np.full(len(self.marginal.copies), against))

    def gain_over_worst(self) -> Estimate:
        """How much better the best point is than the worst of the range."""
        return self._gain(self.worst, np.argmin(self.sign * self.marginal.widest(), axis=1))

    def _gain(self, against: int, copies_against: Ints) -> Estimate:
        """The gain of the best point over the point `against`, without the winner's curse.

        The curve's best point was picked because it looks best, so its gain looks too large. The
        bootstrap copies measure by how much. Each copy picks its own best point (and its own worst
        point, if that is the reference) and claims a gain. The curve shows a smaller gain between
        the same two points. The difference is the excess of the claim.

        The median excess is taken off the gain, and a high quantile of it gives the lower end. The
        upper end comes from the copies at the points that the curve picked, because a copy that
        picks other points never claims too little. At last the interval is cut at what the bounds
        of the metric allow.
        """
        copies = self.sign * self.marginal.widest()
        score, (at_best, at_worst) = self.score, self._about_the_cut()
        rows = np.arange(len(copies))
        best = np.argmax(self.sign * self.chosen_by.widest(), axis=1)
        value = float(score[self.best] - score[against])
        claimed = copies[rows, best] - copies[rows, copies_against]
        # The point `against` itself is no copy's choice: beside a jump, too, it is where it is.
        shown = np.where(copies_against == against, score[against], at_worst[copies_against])
        excess = claimed - (at_best[best] - shown)
        error = copies[:, self.best] - copies[:, against] - value
        low, high = tails(self.level)
        off = float(np.quantile(error, low))
        over = max(float(np.quantile(excess, high)), float(np.quantile(error, high)))
        corrected = max(value - float(np.median(excess)), min(value, 0.0))
        below, above = corrected - (value - over), (value - off) - corrected
        gain = Estimate(corrected, corrected - WIDEN_GAINS * below, corrected + WIDEN_GAINS * above)
        return gain.within(*self._possible_gains(against))

    def _possible_gains(self, against: int) -> tuple[float, float]:
        """The least and the most that the best point can be better than the point `against`.

        That point lies within its band, and the best point wherever the metric can be.
        """
        bottom, top = sorted(self.sign * bound for bound in self.bounds)
        at = self.score[against]
        low, high = np.quantile(self.sign * self.marginal.widest()[:, against], tails(self.level))
        low, high = np.clip((min(low, at), max(high, at)), bottom, top)
        return bottom - float(high), top - float(low)

    @property
    def stay(self) -> str | None:
        """On which side of a jump to stay, "below" or "above", where the best value may lie at one.

        Then `best_interval` says where the jump is.
        """
        cut, points = self.marginal.cut, self.grid.points
        low, high = self.best_interval()
        if cut is None or not low - BESIDE <= cut <= high + BESIDE or high - low > UNKNOWN:
            return None
        below = (points <= cut) & (points > cut - BESIDE)
        above = (points > cut) & (points <= cut + BESIDE)
        if not below.any() or not above.any():
            return None
        return "below" if self.score[below].mean() > self.score[above].mean() else "above"

    def _about_the_cut(self) -> tuple[Floats, Floats]:
        """The score (P,) with its best, and its worst, value all around where it may jump.

        Each copy jumps at its own place. A copy that jumps a little later than the curve claims no
        more for that.
        """
        score, cut = self.score, self.marginal.cut
        if cut is None:
            return score, score
        near = np.abs(self.grid.points - cut) <= CUT_REACH
        if not near.any():
            return score, score
        return np.where(near, score[near].max(), score), np.where(near, score[near].min(), score)

    def near_best(self, tolerance: float) -> Bools:
        """Which points (P,) are within `tolerance` of the best."""
        score = self.sign * self.chosen_by.mean
        return np.asarray(score >= score.max() - tolerance)

    def value_at(self, unit: float) -> Value:
        return self.grid.axis.from_unit(unit)


def tails(level: float) -> tuple[float, float]:
    return (1 - level) / 2, (1 + level) / 2


def effect_of(curve: Curve) -> Effect:
    """The curve with its band, its optimum, and the values that may be as good."""
    grid, mean = curve.grid, curve.marginal.mean
    low, high = np.quantile(curve.marginal.widest(), tails(curve.level), axis=0)
    values = grid.values()
    between: tuple[tuple[Value, Value], ...] = ()
    if grid.axis.is_categorical:
        best_low = best_high = values[curve.best]
        region = tuple(values[point] for point in np.flatnonzero(curve.may_be_best))
    else:
        left, right = curve.best_interval()
        best_low, best_high = curve.value_at(left), curve.value_at(right)
        between = tuple((curve.value_at(low), curve.value_at(high)) for low, high in curve.pieces)
        region = (between[0][0], between[-1][1])
    return Effect(
        param=curve.param,
        log=grid.axis.log,
        categorical=grid.axis.is_categorical,
        values=values,
        unit=grid.points,
        mean=np.clip(mean, *curve.bounds),
        low=np.clip(np.minimum(low, mean), *curve.bounds),
        high=np.clip(np.maximum(high, mean), *curve.bounds),
        whole=np.clip(curve.whole.mean, *curve.bounds),
        best=values[curve.best],
        best_low=best_low,
        best_high=best_high,
        region=region,
        pieces=between,
        active=curve.active,
    )
