"""Ranges that Python code gives parameters: in type hints, or as the space of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


class Range:
    """What all three have in common."""

    KIND = ""

    def to_space(self) -> dict[str, Any]:
        """The parameter as the [space] of a study.toml has it."""
        content = {key: one for key, one in asdict(self).items() if one is not None}  # type: ignore[call-overload]
        return {"type": self.KIND, **content}

    def some(self) -> Any:  # noqa: ANN401 (a choice may be anything)
        """A value that the parameter may have."""
        raise NotImplementedError


@dataclass(frozen=True)
class Float(Range):
    """A number from `low` to `high`, drawn uniformly, or uniformly in its logarithm.

    Args:
        step: only low, low + step and so on.
        help: what the parameter means.
        when: the values of other parameters under which there is this one.

    Example:
        >>> Float(1e-4, 1, log=True).to_space()
        {'type': 'float', 'low': 0.0001, 'high': 1.0, 'log': True}
    """

    low: float
    high: float
    log: bool | None = None
    step: float | None = None
    help: str | None = None
    when: Mapping[str, Any] | None = None
    KIND = "float"

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", float(self.low))
        object.__setattr__(self, "high", float(self.high))

    def some(self) -> float:
        return self.low


@dataclass(frozen=True)
class Int(Range):
    """A whole number from `low` to `high`, both included: see `Float`.

    Example:
        >>> Int(1, 8).to_space()
        {'type': 'int', 'low': 1, 'high': 8}
    """

    low: int
    high: int
    log: bool | None = None
    step: int | None = None
    help: str | None = None
    when: Mapping[str, Any] | None = None
    KIND = "int"

    def some(self) -> int:
        return self.low


@dataclass(frozen=True, init=False)
class Choice(Range):
    """One of a few values without an order: see `Float`.

    Example:
        >>> Choice("svm", "forest").to_space()
        {'type': 'choice', 'choices': ['svm', 'forest']}
    """

    choices: list[Any]
    help: str | None
    when: Mapping[str, Any] | None
    KIND = "choice"

    def __init__(
        self, *choices: object, help: str | None = None, when: Mapping[str, Any] | None = None
    ) -> None:
        object.__setattr__(self, "choices", list(choices))
        object.__setattr__(self, "help", help)
        object.__setattr__(self, "when", when)

    def some(self) -> Any:  # noqa: ANN401
        return self.choices[0]
