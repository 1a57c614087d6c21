"""What the forest and its refits say about one parameter: the raw material of effects and rules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpsearch.analysis.axes import Bools, Floats, Ints, Value
from hpsearch.analysis.effects import Effect, Grid
from hpsearch.analysis.partial import Curve
from hpsearch.analysis.splits import Split


@dataclass(frozen=True)
class Estimate:
    """A number with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Reading:
    """One parameter as n trials show it.

    `curve` is its marginal with bootstrap copies, in the metric's unit; `sign` is 1 where larger is
    better, else -1. `share` is that of the variance, `noise` the standard deviation of repeating
    one configuration, `default` an index into the grid's points and `default_value` the value
    itself; `split` says how the optimum moves with the strongest partner, where it does.
    """

    grid: Grid
    curve: Curve
    sign: float
    share: Estimate
    noise: float
    level: float
    default: int
    default_value: Value
    default_given: bool
    active: float
    n_trials: int
    split: Split | None = None

    @property
    def param(self) -> str:
        return self.grid.axis.name

    @property
    def score(self) -> Floats:
        """The curve (P,) turned so that larger is better."""
        return self.sign * self.curve.mean

    @property
    def best(self) -> int:
        return int(np.argmax(self.score))

    @property
    def worst(self) -> int:
        return int(np.argmin(self.score))

    @property
    def span(self) -> float:
        """How much better the best of the curve is than its worst."""
        return float(np.ptp(self.curve.mean))

    def best_interval(self) -> tuple[float, float]:
        """Sampling-scale interval of the optimum: percentiles of the copies' optima.

        Between points nothing is computed, so on a continuous axis it reaches half a step further.
        """
        best = self.grid.points[np.argmax(self.sign * self.curve.copies, axis=1)]
        low, high = np.quantile(best, tails(self.level))
        centre = self.grid.points[self.best]
        half = (
            0.0
            if self.grid.levels or self.grid.axis.n_levels
            else 0.5 / (len(self.grid.points) - 1)
        )
        return max(float(min(low, centre)) - half, 0.0), min(float(max(high, centre)) + half, 1.0)

    def gain(self, against: int) -> Estimate:
        """How much better the best point is than the point `against`."""
        return self._gain(against, np.full(len(self.curve.copies), against))

    def gain_over_worst(self) -> Estimate:
        """How much better the best point is than the worst of the range."""
        return self._gain(self.worst, np.argmin(self.sign * self.curve.widest(), axis=1))

    def surely_gains(self) -> bool:
        """Whether the best point beats the worst, were trials everywhere as dense as elsewhere.

        A sampler that learns leaves the worst of the range nearly empty: how bad it is there may be
        open, that it is worse is not.
        """
        copies = self.sign * self.curve.wider()
        return self._gain(self.worst, np.argmin(copies, axis=1), copies).low > 0

    def _gain(self, against: int, copies_against: Ints, copies: Floats | None = None) -> Estimate:
        """A gain without the winner's curse.

        Each copy picks its own best point (and worst, if that is the reference) and claims a gain;
        what the curve itself shows between the same points is how far such a claim is off. That
        shifts the gain and its lower end. A copy that picks other points never claims less than
        it should, so the upper end comes from the copies at the points that the curve picked.
        """
        copies = self.sign * self.curve.widest() if copies is None else copies
        score = self.score
        rows, best = np.arange(len(copies)), np.argmax(copies, axis=1)
        value = float(score[self.best] - score[against])
        claimed = copies[rows, best] - copies[rows, copies_against]
        excess = claimed - (score[best] - score[copies_against])
        error = copies[:, self.best] - copies[:, against] - value
        low, high = tails(self.level)
        off = float(np.quantile(error, low))
        over = max(float(np.quantile(excess, high)), float(np.quantile(error, high)))
        corrected = value - float(np.median(excess))
        return Estimate(max(corrected, min(value, 0.0)), value - over, value - off)

    def near_best(self, tolerance: float) -> Bools:
        """Which points (P,) are within `tolerance` of the best."""
        return np.asarray(self.score >= self.score.max() - tolerance)

    def value_at(self, unit: float) -> Value:
        return self.grid.axis.from_unit(unit)


def tails(level: float) -> tuple[float, float]:
    return (1 - level) / 2, (1 + level) / 2


def effect_of(reading: Reading) -> Effect:
    """The curve with its band, optimum and region within the noise floor."""
    grid, curve = reading.grid, reading.curve.mean
    low, high = np.quantile(reading.curve.widest(), tails(reading.level), axis=0)
    values = grid.values()
    near = reading.near_best(reading.noise)
    if grid.axis.is_categorical:
        best_low = best_high = values[reading.best]
        region = tuple(value for value, inside in zip(values, near, strict=True) if inside)
    else:
        left, right = reading.best_interval()
        best_low, best_high = reading.value_at(left), reading.value_at(right)
        inside = np.flatnonzero(near)
        region = (values[inside[0]], values[inside[-1]])
    return Effect(
        param=reading.param,
        log=grid.axis.log,
        categorical=grid.axis.is_categorical,
        values=values,
        unit=grid.points,
        mean=curve,
        low=np.minimum(low, curve),
        high=np.maximum(high, curve),
        best=values[reading.best],
        best_low=best_low,
        best_high=best_high,
        region=region,
        active=reading.active,
    )
