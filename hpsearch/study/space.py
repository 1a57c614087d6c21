"""The search space: parameters as a study.toml declares them, and the scale they are sampled on.

Also maps points of the unit cube to configurations, and says how a space differs from another.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from hpsearch.core.words import first_problem, nearest, told_apart, typed_number
from hpsearch.errors import InputError

Space = Mapping[str, BaseDistribution]


@dataclass(frozen=True)
class Scale:
    """The scale on which a number is sampled: [0, 1]. Equal lengths are drawn equally often.

    `start` is at 0 and `end` at 1. Both are logarithms if `log`.
    """

    start: float
    end: float
    log: bool

    def to_unit(self, value: float) -> float:
        """The place of a value. ValueError for a value that has no logarithm."""
        place = math.log(value) if self.log else float(value)
        span = self.end - self.start
        return (place - self.start) / span if span > 0 else 0.5

    def from_unit(self, unit: float) -> float:
        """The value at the place `unit`; the parameter may not be able to take it."""
        place = self.start + (self.end - self.start) * unit
        return math.exp(place) if self.log else place


def scale_between(low: float, high: float, *, log: bool, step: float | None) -> Scale:
    """The scale from `low` to `high`.

    If the parameter has steps, each value covers a part of the scale: from half a step below the
    value to half a step above it. That also holds on a logarithmic scale, as in Optuna's samplers.
    """
    half = (step or 0.0) / 2
    start, end = low - half, high + half
    return Scale(math.log(start), math.log(end), log) if log else Scale(start, end, log)


def from_unit(distribution: BaseDistribution, u: float) -> Any:  # noqa: ANN401 (a choice may be anything)
    """The distribution's value at `u` in [0, 1]. A uniform u samples the distribution.

    Each whole number, each step and each choice covers a part of [0, 1]: see `scale_between`.
    """
    u = min(max(float(u), 0.0), math.nextafter(1.0, 0.0))
    match distribution:
        case CategoricalDistribution(choices=choices):
            return choices[int(u * len(choices))]
        case IntDistribution(low=low, high=high, log=False, step=step):
            return low + step * int(u * ((high - low) // step + 1))
        case FloatDistribution(low=low, high=high, step=float(step)):
            return min(low + step * int(u * (round((high - low) / step) + 1)), high)
        case IntDistribution(low=low, high=high):
            return min(max(round(_scale(distribution).from_unit(u)), low), high)
        case FloatDistribution(low=low, high=high):
            return min(max(_scale(distribution).from_unit(u), low), high)
    raise TypeError(f"no such distribution: {distribution!r}")


def to_unit(distribution: BaseDistribution, value: Any) -> float:  # noqa: ANN401
    """The middle of the part of [0, 1] that `from_unit` maps to `value`."""
    match distribution:
        case CategoricalDistribution(choices=choices):
            return float(distribution.to_internal_repr(value) + 0.5) / len(choices)
        case IntDistribution() | FloatDistribution():
            return _scale(distribution).to_unit(value)
    raise TypeError(f"no such distribution: {distribution!r}")


def _scale(one: IntDistribution | FloatDistribution) -> Scale:
    return scale_between(one.low, one.high, log=one.log, step=one.step)


def space_from_unit(space: Space, point: Sequence[float]) -> dict[str, Any]:
    """The configuration at a point of the unit cube, one coordinate a parameter in its order."""
    return {
        name: from_unit(one, float(u)) for (name, one), u in zip(space.items(), point, strict=True)
    }


def middle(space: Space) -> dict[str, Any]:
    """The configuration in the middle of the unit cube."""
    return space_from_unit(space, [0.5] * len(space))


def describe(distribution: BaseDistribution) -> str:
    """A distribution in a few words: '0.0001 to 0.1, log'."""
    match distribution:
        case CategoricalDistribution(choices=choices):
            return "one of " + ", ".join(map(str, told_apart(choices)))
        case FloatDistribution() | IntDistribution():
            text = f"{typed_number(distribution.low)} to {typed_number(distribution.high)}"
            if distribution.log:
                return f"{text}, log"
            step = distribution.step
            if step is None or (isinstance(distribution, IntDistribution) and step == 1):
                return text
            return f"{text} in steps of {typed_number(step)}"
    raise TypeError(f"no such distribution: {distribution!r}")


def described(space: Space) -> str:
    """A space in one line, which tells whole numbers from others."""
    whole = {name for name, one in space.items() if isinstance(one, IntDistribution)}
    return "; ".join(
        f"{name} {describe(one)}{' (whole numbers)' if name in whole else ''}"
        for name, one in space.items()
    )


def describe_difference(old: Space, new: Space) -> list[str]:
    """What changed from one space to the other, a phrase for each parameter; empty if nothing."""
    phrases = []
    for name in [*old, *(name for name in new if name not in old)]:
        if name not in new:
            phrases.append(f"{name} is gone (was {describe(old[name])})")
        elif name not in old:
            phrases.append(f"{name} is new ({describe(new[name])})")
        elif old[name] != new[name] or type(old[name]) is not type(new[name]):
            phrases.append(f"{name} is {describe(new[name])} (was {describe(old[name])})")
    return phrases


def check_config(option: str, config: Mapping[str, Any], space: Space) -> dict[str, Any]:
    """A configuration's values, some or all, as the space has them.

    Raises InputError for a parameter that there is not, or a value outside its range.
    """
    if unknown := [name for name in config if name not in space]:
        name = unknown[0]
        raise InputError(
            f"{option} {name}={config[name]}: the study searches no such parameter"
            f"{nearest(name, space)}; it searches {', '.join(space)}."
        )
    return {name: _fitting(option, name, value, space[name]) for name, value in config.items()}


def _fitting(option: str, name: str, value: Any, distribution: BaseDistribution) -> Any:  # noqa: ANN401
    try:
        if isinstance(distribution, CategoricalDistribution):
            # A command line cannot tell the word "50" from the number.
            words = {str(choice): choice for choice in distribution.choices}
            value = value if value in distribution.choices else words.get(str(value), value)
        elif isinstance(value, bool):
            raise ValueError("a truth value is no number")
        internal = distribution.to_internal_repr(value)
        if distribution._contains(internal):
            return distribution.to_external_repr(internal)
    except ValueError:
        pass
    raise InputError(
        f"{option} {name}={value}: it is searched as {describe(distribution)}; "
        "give such a value, or widen the study's range."
    )


Number = Annotated[int, Field(ge=-(2**53), le=2**53)]
"""A whole number that a database's floating-point column holds exactly."""


STEP_ERROR = 1e-8
"""What a number of steps may be off by rounding, as in Optuna."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _a_list_each(value: object) -> object:
    if not isinstance(value, dict):
        return value
    return {name: one if isinstance(one, list) else [one] for name, one in value.items()}


Conditions = Annotated[
    dict[str, list[bool | int | float | str | None]], BeforeValidator(_a_list_each)
]


class Conditional(Strict):
    """What parameters of all kinds may say. `when` holds the values of others under which trials
    have the parameter."""

    help: str = ""
    when: Conditions = Field(default_factory=dict)


class FloatParam(Conditional):
    """A number, drawn uniformly between low and high, or uniformly in its logarithm."""

    type: Literal["float"] = "float"
    low: float
    high: float
    log: bool = False
    step: Annotated[float, Field(gt=0)] | None = None
    default: float

    @model_validator(mode="after")
    def _check(self) -> FloatParam:
        _check_range(self.low, self.high, self.default, log=self.log)
        if self.step is None:
            return self
        if self.log:
            raise ValueError("log and step cannot go together; drop one")
        steps = (self.high - self.low) / self.step
        if abs(steps - round(steps)) > STEP_ERROR:
            raise ValueError(f"high {self.high} is no whole number of steps above low {self.low}")
        if not self.distribution()._contains(self.default):
            raise ValueError(f"the default {self.default} is not a multiple of the step from low")
        return self

    def distribution(self) -> BaseDistribution:
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def extremes(self) -> list[Any]:
        """The two ends: a trainer that accepts both ends accepts the whole range."""
        return [self.low, self.high]

    def values(self) -> None:
        """Too many for a condition."""


class IntParam(Conditional):
    """A whole number from low to high, both included."""

    type: Literal["int"]
    low: Number
    high: Number
    log: bool = False
    step: Annotated[Number, Field(ge=1)] = 1
    default: Number

    @model_validator(mode="after")
    def _check(self) -> IntParam:
        _check_range(self.low, self.high, self.default, log=self.log)
        if self.log and self.step != 1:
            raise ValueError("log and step cannot go together; drop one")
        if (self.default - self.low) % self.step:
            raise ValueError(f"the default {self.default} is not a multiple of the step from low")
        return self

    def distribution(self) -> BaseDistribution:
        return IntDistribution(self.low, self.high, log=self.log, step=self.step)

    def extremes(self) -> list[Any]:
        """The two ends: a trainer that accepts both ends accepts the whole range."""
        return [self.low, self.high]

    def values(self) -> Sequence[int]:
        """All values that it may have."""
        return range(self.low, self.high + 1, self.step)


class ChoiceParam(Conditional):
    """One of a few values without an order."""

    type: Literal["choice"]
    choices: Annotated[list[bool | int | float | str | None], Field(min_length=1)]
    default: bool | int | float | str | None

    @model_validator(mode="after")
    def _check(self) -> ChoiceParam:
        if not all(map(math.isfinite, (c for c in self.choices if isinstance(c, float)))):
            raise ValueError("choices must be finite")
        # By value: Optuna could not tell 1, 1.0 and true apart.
        if any(one == other for one, other in itertools.combinations(self.choices, 2)):
            raise ValueError("a choice stands twice; keep one of each")
        if (type(self.default), self.default) not in {(type(one), one) for one in self.choices}:
            raise ValueError(f"the default {self.default!r} is not among the choices")
        return self

    def distribution(self) -> BaseDistribution:
        return CategoricalDistribution(self.choices)

    def extremes(self) -> list[Any]:
        """All choices: a trainer must accept each of them."""
        return list(self.choices)

    def values(self) -> Sequence[Any]:
        """All values that it may have."""
        return self.choices


Param = Annotated[FloatParam | IntParam | ChoiceParam, Field(discriminator="type")]


def parse_param(where: str, content: dict[str, Any]) -> FloatParam | IntParam | ChoiceParam:
    try:
        return _PARAM.validate_python(content)
    except ValidationError as error:
        raise ValueError(first_problem(error, where)) from error


_PARAM: TypeAdapter[FloatParam | IntParam | ChoiceParam] = TypeAdapter(Param)


def _check_range(low: float, high: float, default: float, *, log: bool) -> None:
    if not all(map(math.isfinite, (low, high, default))):
        raise ValueError("low, high and default must be finite numbers")
    if low > high:
        raise ValueError(f"low {low} is above high {high}; swap them")
    if not math.isfinite(float(high) - float(low)):
        raise ValueError("the range is too wide for a number to hold")
    if log and low <= 0:
        raise ValueError(f"a log scale needs low > 0, not {low}; raise low or drop log")
    if not low <= default <= high:
        raise ValueError(f"the default {default} lies outside {low} to {high}")
