"""Search spaces on the scale they are sampled on: the unit cube, JSON, and what changed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
    json_to_distribution,
)

from hpsearch.errors import InputError
from hpsearch.wording import nearest

Space = Mapping[str, BaseDistribution]


def from_unit(distribution: BaseDistribution, u: float) -> Any:  # noqa: ANN401 (a choice may be anything)
    """The value at `u` in [0, 1] of a distribution's range, so that uniform u gives its sampling.

    A whole number, a step and a choice each own an equal stretch of [0, 1]. On a logarithmic scale
    a whole number k owns the stretch from log(k - 1/2) to log(k + 1/2), as in Optuna's samplers.
    """
    u = min(max(float(u), 0.0), math.nextafter(1.0, 0.0))
    match distribution:
        case CategoricalDistribution(choices=choices):
            return choices[int(u * len(choices))]
        case IntDistribution(low=low, high=high, log=True):
            value = math.exp(_between(math.log(low - 0.5), math.log(high + 0.5), u))
            return min(max(round(value), low), high)
        case IntDistribution(low=low, high=high, step=step):
            return low + step * int(u * ((high - low) // step + 1))
        case FloatDistribution(low=low, high=high, log=True):
            return min(max(math.exp(_between(math.log(low), math.log(high), u)), low), high)
        case FloatDistribution(low=low, high=high, step=None):
            return min(max(_between(low, high, u), low), high)
        case FloatDistribution(low=low, high=high, step=float(step)):
            return min(low + step * int(u * (round((high - low) / step) + 1)), high)
    raise TypeError(f"no such distribution: {distribution!r}")


def to_unit(distribution: BaseDistribution, value: Any) -> float:  # noqa: ANN401
    """The middle of the stretch of [0, 1] that `from_unit` maps to `value`."""
    match distribution:
        case CategoricalDistribution(choices=choices):
            return float(distribution.to_internal_repr(value) + 0.5) / len(choices)
        case IntDistribution(low=low, high=high, log=True):
            return _share(math.log(low - 0.5), math.log(high + 0.5), math.log(value))
        case IntDistribution(low=low, high=high, step=step):
            return float((value - low) // step + 0.5) / ((high - low) // step + 1)
        case FloatDistribution(low=low, high=high, log=True):
            return _share(math.log(low), math.log(high), math.log(value))
        case FloatDistribution(low=low, high=high, step=None):
            return _share(low, high, float(value))
        case FloatDistribution(low=low, high=high, step=float(step)):
            return float(round((value - low) / step) + 0.5) / (round((high - low) / step) + 1)
    raise TypeError(f"no such distribution: {distribution!r}")


def _between(low: float, high: float, u: float) -> float:
    return low + (high - low) * u


def _share(low: float, high: float, value: float) -> float:
    return (value - low) / (high - low) if high > low else 0.5


def space_from_unit(space: Space, point: Sequence[float]) -> dict[str, Any]:
    """The configuration at a point of the unit cube, one coordinate a parameter in its order."""
    return {
        name: from_unit(one, float(u)) for (name, one), u in zip(space.items(), point, strict=True)
    }


def space_to_json(space: Space) -> dict[str, Any]:
    """The space as plain JSON, which `space_from_json` reads back."""
    return {name: json.loads(distribution_to_json(one)) for name, one in space.items()}


def space_from_json(content: Mapping[str, Any]) -> dict[str, BaseDistribution]:
    return {name: json_to_distribution(json.dumps(one)) for name, one in content.items()}


def describe(distribution: BaseDistribution) -> str:
    """A distribution in a few words: '0.0001 to 0.1, log'."""
    match distribution:
        case CategoricalDistribution(choices=choices):
            return "one of " + ", ".join(map(str, choices))
        case FloatDistribution() | IntDistribution():
            text = f"{distribution.low:g} to {distribution.high:g}"
            if distribution.log:
                return f"{text}, log"
            step = distribution.step
            plain = step is None or (isinstance(distribution, IntDistribution) and step == 1)
            return text if plain else f"{text} in steps of {step:g}"
    raise TypeError(f"no such distribution: {distribution!r}")


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
