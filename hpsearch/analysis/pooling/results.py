"""What several studies together say about each parameter, as data."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hpsearch.analysis.pooling.pooled_curve import Side, aside
from hpsearch.analysis.read.axes import Bools, Floats, Value
from hpsearch.core.words import digits
from hpsearch.core.words import format_value as word

MIN_STUDIES = 2
MIN_REGRESSION = 5  # studies for a slope: three degrees of freedom are left
CLEAR = 0.05  # p-value, corrected for all moderators of a parameter, up to which one is named


@dataclass(frozen=True)
class Predicted:
    """The mean over studies with its interval, and `new_low` to `new_high` of one more study."""

    mean: float
    low: float
    high: float
    new_low: float
    new_high: float


@dataclass(frozen=True)
class StudyPart:
    """One study's part in a pooled rule.

    `best` is its own best value within what is pooled, with the interval `low` to `high`; `weight`
    is its share of the rule. `without` is the rule of all other studies; `loss` is what that costs
    here against this study's best, and `gain` what it gains over this study's default (None where
    it names none), both as this study's curve shows them.
    """

    study: str
    weight: float
    best: Value
    low: Value
    high: Value
    without: Value
    loss: float
    gain: float | None


@dataclass(frozen=True)
class Moderator:
    """How a parameter's best value moves with something that the studies differ in.

    For a number, `slope` is the change of the best value with one unit of it; on a logarithmic
    scale (`log`: of the moderator; else that of the parameter) in logarithms. For a category, or
    a number that takes two values, `groups` holds (it, studies, best value on the parameter's
    scale). `p_value` is corrected for the number of
    moderators that were tried.
    """

    name: str
    studies: int
    log: bool
    slope: float | None
    low: float | None
    high: float | None
    groups: tuple[tuple[Value, int, float], ...]
    p_value: float

    def effect(self, log: bool) -> str:
        """What it does to the best value of a parameter, `log`: on a logarithmic scale."""
        if self.slope is None or self.low is None or self.high is None:
            return "; ".join(
                f"{word(value)}: {word(math.exp(mean) if log else mean)} ({count})"
                for value, count, mean in self.groups
            )
        each, unit = ("twice as much", math.log(2)) if self.log else ("each unit more", 1.0)
        numbers = [unit * number for number in (self.slope, self.low, self.high)]
        numbers = [math.exp(number) for number in numbers] if log else numbers
        slope = f"times {digits(numbers[0])}" if log else digits(numbers[0], sign=True)
        return f"{each}: {slope} ({digits(numbers[1])} to {digits(numbers[2])})"


@dataclass(frozen=True)
class PooledOptimum:
    """One parameter's rule over several studies, in the parameter's own unit.

    `value` costs least in a new study; `low` to `high` are the values around it that may be as
    good, but for what is not worth having (None for categories). `values` (P,) are all that were
    compared; `cost` (P,) is what each is expected to cost in a new study, with its interval
    `cost_low` to `cost_high` and the upper end `cost_new_high` of what one new study may have to
    pay, in `unit`; `inside` (P,) says which may be as good. `safer` is the side of `value` on which
    others cost clearly less than on the other one, as below a cliff; None where neither does.
    `loss` is what the rule costs in a study that had no part in it, `gain` what it gains there over
    the default (None where fewer than two studies name one).
    `new_low` to `new_high` is where a new study's own best is expected; `tau` with its interval and
    `i2` say how far the studies' best values differ, on the parameter's scale. They are None for
    categories.
    """

    param: str
    log: bool
    unit: str
    studies: tuple[str, ...]
    value: Value
    low: Value
    high: Value
    new_low: Value
    new_high: Value
    tau: float | None
    tau_low: float | None
    tau_high: float | None
    i2: float | None
    loss: Predicted
    gain: Predicted | None
    values: tuple[Value, ...]
    cost: Floats
    cost_low: Floats
    cost_high: Floats
    cost_new_high: Floats
    inside: Bools
    safer: Side | None
    parts: tuple[StudyPart, ...]
    moderators: tuple[Moderator, ...]
    notes: tuple[str, ...]

    @property
    def categorical(self) -> bool:
        return self.tau is None

    @property
    def statement(self) -> str:
        """The rule, its interval and what to expect of a new study, in a few sentences."""
        span = "" if self.categorical else f" ({word(self.low)} to {word(self.high)})"
        if self.categorical and (also := [v for v in self.may_be_best if v != self.value]):
            span = f" (not clearly worse: {', '.join(map(word, also))})"
        parts = [f"`{self.param}`: use {word(self.value)}{span}, over {len(self.studies)} studies."]
        loss, gain = self.loss, self.gain
        parts.append(
            f"In a new study it costs {digits(loss.mean, 2)} (up to "
            f"{digits(loss.new_high, 2)}) against that "
            "study's own best"
            + (
                "."
                if gain is None
                else f" and gains {digits(gain.mean, 2)} ({digits(gain.new_low, 2)} to "
                f"{digits(gain.new_high, 2)}) over the default."
            )
        )
        if self.safer is not None and (sides := self._aside) is not None:
            sides = sides if self.safer == "below" else sides[::-1]
            near, far = (
                f"{word(self.values[at])} costs {digits(self.cost[at], 2)}" for at in sides
            )
            parts.append(f"If in doubt stay {self.safer} it: {near}, {far}.")
        if self.i2 is not None:
            parts.append(
                f"A new study's best is expected within {word(self.new_low)} to "
                f"{word(self.new_high)} (heterogeneity I2 {self.i2:.0%})."
            )
        parts += [
            f"It moves with {one.name} (p {digits(one.p_value, 2)}): {one.effect(self.log)}."
            for one in self.moderators
            if one.p_value <= CLEAR
        ]
        return " ".join(parts)

    @property
    def _aside(self) -> tuple[int, int] | None:
        places = np.array([float(value) for value in self.values])  # type: ignore[arg-type]
        return aside(np.log(places) if self.log else places, self.values.index(self.value))

    @property
    def may_be_best(self) -> tuple[Value, ...]:
        """The values that may be as good as the best, in the order of `values`."""
        return tuple(v for v, inside in zip(self.values, self.inside, strict=True) if inside)


@dataclass(frozen=True)
class PoolingResults:
    """The rules pooled over `studies`, and why parameters that several have are not among them."""

    studies: tuple[str, ...]
    level: float
    optima: tuple[PooledOptimum, ...]
    left_out: tuple[tuple[str, str], ...]

    @property
    def about_moderators(self) -> str | None:
        """Why nothing is said of what moves the best values; None where something is."""
        numeric = [one for one in self.optima if not one.categorical]
        if not numeric or any(one.moderators for one in numeric):
            return None
        if max(len(one.studies) for one in numeric) < MIN_REGRESSION:
            return (
                f"What moves the best values is asked of {MIN_REGRESSION} studies or more, "
                f"not of {len(self.studies)}."
            )
        return (
            "Nothing in which the studies differ is known of all of them, so nothing is said of "
            "what moves the best values: note it by study.set_user_attr, or as a column that is "
            "constant in each table."
        )
