"""What the forest and its refits say about one parameter: the raw material of effects and rules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpsearch.analysis.axes import Floats, Value
from hpsearch.analysis.effects import Effect, Grid


@dataclass(frozen=True)
class Estimate:
    """A number with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Reading:
    """One parameter as n trials show it.

    `curve` (P,) is the smoothed marginal and `refits` (B, P) its bootstrap copies, in the metric's
    unit; `sign` is 1 where larger is better, else -1. `share` is that of the variance; `matters`
    says whether the main effect exceeds what shuffled parameters give. `noise` is the standard
    deviation of repeating one configuration. `default` is an index into the grid's points.
    """

    grid: Grid
    curve: Floats
    refits: Floats
    sign: float
    share: Estimate
    matters: bool
    noise: float
    level: float
    default: int
    default_given: bool
    active: float
    n_trials: int

    @property
    def param(self) -> str:
        return self.grid.axis.name

    @property
    def best(self) -> int:
        return int(np.argmax(self.sign * self.curve))

    @property
    def worst(self) -> int:
        return int(np.argmin(self.sign * self.curve))

    @property
    def span(self) -> float:
        """How much better the best of the curve is than its worst."""
        return float(np.ptp(self.curve))

    def best_interval(self) -> tuple[float, float]:
        """Sampling-scale interval of the optimum: percentiles of the refits' optima."""
        best = self.grid.points[np.argmax(self.sign * self.refits, axis=1)]
        low, high = np.quantile(best, tails(self.level))
        centre = self.grid.points[self.best]
        return float(min(low, centre)), float(max(high, centre))

    def gain(self, index: int, against: int) -> Estimate:
        """How much better the point `index` is than the point `against`."""
        value = self.sign * float(self.curve[index] - self.curve[against])
        spread = self.sign * (self.refits[:, index] - self.refits[:, against])
        return recentred(value, spread, self.level)

    def near_best(self, tolerance: float) -> Floats:
        """Which points (P,) are within `tolerance` of the best."""
        score = self.sign * self.curve
        return np.asarray(score >= score.max() - tolerance)

    def value_at(self, unit: float) -> Value:
        return self.grid.axis.from_unit(unit)


def tails(level: float) -> tuple[float, float]:
    return (1 - level) / 2, (1 + level) / 2


def recentred(value: float, spread: Floats, level: float) -> Estimate:
    """The estimate with the bootstrap copies' spread around it.

    The refits see fewer configurations than the forest, hence flatter curves: their scatter says
    how uncertain the estimate is, their centre does not say where it lies.
    """
    low, high = np.quantile(spread - np.median(spread), tails(level))
    return Estimate(value, value + float(low), value + float(high))


def effect_of(reading: Reading) -> Effect:
    """The curve with its band, optimum and region within the noise floor."""
    grid, curve = reading.grid, reading.curve
    deviation = reading.refits - np.median(reading.refits, axis=0)
    low, high = np.quantile(deviation, tails(reading.level), axis=0)
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
        low=curve + low,
        high=curve + high,
        best=values[reading.best],
        best_low=best_low,
        best_high=best_high,
        region=region,
        active=reading.active,
    )
