"""Conditional parameters: those that a trial has only where others have certain values.

`when = { model = "svm" }` at a parameter of a study.toml says that only trials of this model have
it; `when = { layers = [2, 3] }` names several values, and of several conditions all must hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hpsearch.core.words import nearest
from hpsearch.errors import InputError

When = Mapping[str, Mapping[str, Sequence[Any]]]
"""Of each conditional parameter the values of others under which it is there."""


def is_active(name: str, config: Mapping[str, Any], when: When) -> bool:
    """Whether a trial with these values has the parameter.

    Example:
        >>> is_active("C", {"model": "tree"}, {"C": {"model": ["svm"]}})
        False
    """
    return all(
        parent in config and is_active(parent, config, when) and _among(config[parent], values)
        for parent, values in when.get(name, {}).items()
    )


def active(config: Mapping[str, Any], when: When) -> dict[str, Any]:
    """The values of those parameters that a trial with this whole configuration has."""
    return {name: value for name, value in config.items() if is_active(name, config, when)}


def check_complete(option: str, config: Mapping[str, Any], when: When) -> None:
    """Raises InputError where a part of a configuration has a conditional parameter without the
    values that it needs."""
    for name in config:
        if not is_active(name, config, when):
            needed = describe_when(when[name])
            raise InputError(
                f"{option} {name}={config[name]}: only trials with {needed} have it; say so, too."
            )


def describe_when(conditions: Mapping[str, Sequence[Any]]) -> str:
    """'model svm or tree, layers 2'."""
    return ", ".join(
        f"{parent} {' or '.join(map(str, values))}" for parent, values in conditions.items()
    )


def in_order(allowed: Mapping[str, Sequence[Any] | None], when: When) -> list[str]:
    """The parameters in an order in which each comes after those that it depends on.

    Args:
        allowed: The values that each parameter may have; None for what nothing can depend on.

    Raises:
        ValueError: A condition names a parameter or a value that there is not, or they form a ring.
    """
    for name, conditions in when.items():
        for parent, values in conditions.items():
            _check_condition(f"space.{name}.when", name, parent, values, allowed)
    ordered: list[str] = []
    left = list(allowed)
    while left:
        free = [name for name in left if all(one in ordered for one in when.get(name, {}))]
        if not free:
            raise ValueError(f"space.{left[0]}.when: {', '.join(left)} depend on each other")
        ordered.append(free[0])
        left.remove(free[0])
    return ordered


def _check_condition(
    where: str,
    name: str,
    parent: str,
    values: Sequence[Any],
    allowed: Mapping[str, Sequence[Any] | None],
) -> None:
    if parent == name or parent not in allowed:
        raise ValueError(
            f"{where}: the space has no other parameter {parent!r}{nearest(parent, allowed)}"
        )
    known = allowed[parent]
    if known is None:
        raise ValueError(
            f"{where}: {parent!r} is a number; a condition can be on choices and whole numbers"
        )
    if not values or (wrong := [one for one in values if not _among(one, known)]):
        raise ValueError(
            f"{where}: {parent!r} is never {wrong[0] if values else 'one of no values'}"
        )


def _among(value: Any, values: Sequence[Any]) -> bool:  # noqa: ANN401
    """Whether it is one of the values, of which true is not 1."""
    return any(one == value and isinstance(one, bool) == isinstance(value, bool) for one in values)
