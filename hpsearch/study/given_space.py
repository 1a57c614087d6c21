"""A space that is given otherwise than in a study.toml, as the [space] of one would say it.

On the command line a range is written `1e-5..1e-1,log`, choices `svm,forest`; Python code gives
ranges (hpsearch.Float, hpsearch.Int, hpsearch.Choice), Optuna's distributions, lists of choices or
the tables of a study.toml.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from hpsearch.errors import InputError

HOW = "write a range as 1e-5..1e-1 or 1..8, with ,log behind it for a log scale, or choices as a,b"


def space_content(space: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The tables of all parameters: see `param_content`. Raises InputError for what is no space."""
    if not isinstance(space, Mapping):
        raise InputError(f"space is {space!r}: give each parameter's range by its name, in a dict.")
    return {str(name): param_content(str(name), one) for name, one in space.items()}


def param_content(name: str, given: Any) -> dict[str, Any]:  # noqa: ANN401
    """The table of one parameter. Raises InputError for what says no range.

    Example:
        >>> param_content("lr", FloatDistribution(1e-4, 1, log=True))
        {'type': 'float', 'low': 0.0001, 'high': 1.0, 'log': True}
        >>> param_content("model", ["svm", "forest"])
        {'type': 'choice', 'choices': ['svm', 'forest']}
    """
    if isinstance(given, str):
        return parse_range(name, given)
    if isinstance(given, Mapping):
        return {"type": "choice" if "choices" in given else "float", **given}
    if isinstance(given, BaseDistribution):
        return _of_distribution(given)
    if hasattr(given, "to_space"):
        return dict(given.to_space())
    if isinstance(given, tuple) and len(given) == 2 and all(map(_is_number, given)):
        low, high = given
        raise InputError(
            f"space {name}: {given!r} may be a range or two choices: write hpsearch.Float({low}, "
            f"{high}), hpsearch.Int({low}, {high}) or [{low}, {high}]."
        )
    if isinstance(given, list | tuple) and given:
        return {"type": "choice", "choices": list(given)}
    raise InputError(
        f"space {name}: {given!r} is no range: give hpsearch.Float(low, high), hpsearch.Int(low, "
        "high), a list of choices, or a distribution of Optuna's."
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _of_distribution(one: BaseDistribution) -> dict[str, Any]:
    if isinstance(one, CategoricalDistribution):
        return {"type": "choice", "choices": list(one.choices)}
    assert isinstance(one, FloatDistribution | IntDistribution)
    kind = "int" if isinstance(one, IntDistribution) else "float"
    content = {"type": kind, "low": one.low, "high": one.high, "log": one.log, "step": one.step}
    return {key: value for key, value in content.items() if value is not None}


def parse_spaces(texts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The space of several "name=range" of the command line. Raises InputError for others."""
    space = {}
    for text in texts:
        name, sign, given = (part.strip() for part in text.partition("="))
        if not sign or not name or not given:
            raise InputError(f"--space {text!r} is not name=range: {HOW}.")
        if name in space:
            raise InputError(f"--space gives {name!r} twice: give it one range.")
        space[name] = parse_range(name, given)
    return space


def parse_range(name: str, text: str) -> dict[str, Any]:
    """The table of a parameter that is written as on the command line.

    Example:
        >>> parse_range("lr", "1e-5..1e-1,log")
        {'type': 'float', 'low': 1e-05, 'high': 0.1, 'log': True}
        >>> parse_range("depth", "1..8"), parse_range("model", "svm,forest")["choices"]
        ({'type': 'int', 'low': 1, 'high': 8}, ['svm', 'forest'])
    """
    span, *rest = (part.strip() for part in text.split(","))
    low, dots, high = span.partition("..")
    if not dots:
        return {"type": "choice", "choices": [_value(part) for part in (span, *rest)]}
    ends = [_value(low), _value(high)]
    if rest not in ([], ["log"]) or not all(isinstance(end, int | float) for end in ends):
        raise InputError(f"--space {name}={text}: {HOW}.")
    whole = all(isinstance(end, int) for end in ends)
    content = {"type": "int" if whole else "float", "low": ends[0], "high": ends[1]}
    if not whole:
        content |= {"low": float(ends[0]), "high": float(ends[1])}
    return {**content, "log": True} if rest else content


def _value(text: str) -> Any:  # noqa: ANN401
    """A value as TOML has it, else the text itself."""
    try:
        return tomllib.loads(f"value = {text.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()
