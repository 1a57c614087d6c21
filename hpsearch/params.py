"""The parameters of a search space, as a study.toml declares them."""

from __future__ import annotations

import itertools
import math
from typing import Annotated, Any, Literal

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from hpsearch.wording import first_problem

Number = Annotated[int, Field(ge=-(2**53), le=2**53)]
"""A whole number that a database's floating-point column holds exactly."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class FloatParam(Strict):
    """A number, drawn uniformly between low and high, or uniformly in its logarithm."""

    type: Literal["float"] = "float"
    low: float
    high: float
    log: bool = False
    default: float
    help: str = ""

    @model_validator(mode="after")
    def _check(self) -> FloatParam:
        _check_range(self.low, self.high, self.default, log=self.log)
        return self

    def distribution(self) -> BaseDistribution:
        return FloatDistribution(self.low, self.high, log=self.log)

    def extremes(self) -> list[Any]:
        """Values that stand for the whole range: who takes these takes all."""
        return [self.low, self.high]


class IntParam(Strict):
    """A whole number from low to high, both included."""

    type: Literal["int"]
    low: Number
    high: Number
    log: bool = False
    step: Annotated[Number, Field(ge=1)] = 1
    default: Number
    help: str = ""

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
        """Values that stand for the whole range: who takes these takes all."""
        return [self.low, self.high]


class ChoiceParam(Strict):
    """One of a few values without an order."""

    type: Literal["choice"]
    choices: Annotated[list[bool | int | float | str], Field(min_length=1)]
    default: bool | int | float | str
    help: str = ""

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
        """Values that stand for the whole range: who takes these takes all."""
        return list(self.choices)


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
