"""How one's own function is called, and what is made of the value that it returns."""

from __future__ import annotations

import inspect
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hpsearch.core.words import nearest
from hpsearch.errors import HpsearchError, InputError

GIVEN = ("trial", "seed", "data", "device", "output")
"""What a function gets if a parameter of it is called so and is neither searched nor a setting."""
VALUE = "value"
"""The metric of a function that returns a number without a name."""


class FunctionError(HpsearchError):
    """The function came to nothing that can be recorded; the trial is recorded as failed."""


@dataclass(frozen=True)
class OwnCall:
    """A function of parameters, under the name by which its study knows it."""

    name: str
    function: Callable[..., Any]

    @cached_property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """Raises InputError for a function that nobody can call by keywords for a number."""
        what = f"The objective {self.name}"
        if inspect.iscoroutinefunction(self.function):
            raise InputError(f"{what} is async: write a plain function that calls asyncio.run.")
        if inspect.isgeneratorfunction(self.function) or inspect.isasyncgenfunction(self.function):
            raise InputError(f"{what} yields values: let it return one, and report the others.")
        try:
            found = inspect.signature(self.function).parameters
        except (TypeError, ValueError) as error:
            raise InputError(f"{what} does not say its parameters: wrap it in a def.") from error
        for one in found.values():
            if one.kind is one.POSITIONAL_ONLY:
                raise InputError(f"{what} takes {one.name} by place only: drop the / behind it.")
        return {name: one for name, one in found.items() if one.kind is not one.VAR_POSITIONAL}

    @property
    def takes_any(self) -> bool:
        return any(one.kind is one.VAR_KEYWORD for one in self.parameters.values())

    def asks_for(self, name: str, taken: Sequence[str]) -> bool:
        """Whether the function has a parameter for one of GIVEN, which is not `taken`."""
        return name in self.parameters and name not in taken

    @property
    def suggests(self) -> bool:
        """Whether the function may ask a trial for its parameters."""
        return "trial" in self.parameters

    def defaults(self) -> dict[str, Any]:
        return {
            name: one.default
            for name, one in self.parameters.items()
            if one.default is not inspect.Parameter.empty
        }

    def check(self, settings: Mapping[str, Any], space: Sequence[str]) -> None:
        """Raises InputError for a name that the function does not take, and for one that it lacks.

        A function that takes the trial may ask that for any parameter.
        """
        named = [name for name, one in self.parameters.items() if one.kind is not one.VAR_KEYWORD]
        asked_for = () if self.suggests else space
        unknown = [name for name in (*settings, *asked_for) if name not in named]
        if unknown and not self.takes_any:
            raise InputError(
                f"The objective {self.name} has no parameter {unknown[0]!r}"
                f"{nearest(unknown[0], named)}: it takes {', '.join(named) or 'none'}."
            )
        given = {*settings, *space, *GIVEN, *self.defaults()}
        if missing := [name for name in named if name not in given]:
            raise InputError(
                f"The objective {self.name} needs {missing[0]!r}, which is neither searched nor "
                "set: declare its range in [space] (or --space), give it in [settings], or call "
                "it `trial` if it is Optuna's."
            )

    def __call__(
        self, settings: Mapping[str, Any], params: Mapping[str, Any], given: Mapping[str, Any]
    ) -> Any:  # noqa: ANN401 (whatever the user's function returns)
        """Call the function with what it asks for: parameters before settings before `given`.

        A parameter that this trial does not have, and that has no default, is None.
        """
        values = {**settings, **params}
        if not self.takes_any:
            values = {name: one for name, one in values.items() if name in self.parameters}
        extra = {name: one for name, one in given.items() if self.asks_for(name, [*values])}
        named = [one for one in self.parameters.values() if one.kind is not one.VAR_KEYWORD]
        absent = [one.name for one in named if one.default is one.empty]
        return self.function(**{**dict.fromkeys(absent), **extra, **values})


def seed_generators(seed: int) -> None:
    """Seed what a function draws from if it has no generator of its own.

    PyTorch is seeded where it is imported already, as by the function's own module.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)


def metrics_of(result: object, objectives: Sequence[str]) -> dict[str, float]:
    """The metrics by name in what a function returned: a number, several, or numbers by name.

    Numbers without a name are those of the study's objectives, in their order; further ones are
    called value_2, value_3 and so on, and are kept beside them.

    Raises:
        FunctionError: It is none of these.

    Example:
        >>> metrics_of((0.5, 12), ["loss"])
        {'loss': 0.5, 'value_2': 12.0}
    """
    if isinstance(result, Mapping):
        return {str(name): number(one, f" for {name!r}") for name, one in result.items()}
    values = list(result) if isinstance(result, tuple | list) else [result]
    if len(values) < len(objectives):
        raise FunctionError(
            f"the objective returned {_shown(result)}, but the study has {len(objectives)} "
            f"objectives: return {', '.join(objectives)}"
        )
    names = [*objectives, *(f"value_{k + 1}" for k in range(len(objectives), len(values)))]
    return {name: number(one) for name, one in zip(names, values, strict=True)}


def number(value: Any, where: str = "") -> float:  # noqa: ANN401
    """A float of what is a number: of Python, NumPy or PyTorch. Raises FunctionError for others."""
    if not isinstance(value, bool | str | bytes) and hasattr(value, "__float__"):
        try:
            return float(value)
        except (TypeError, ValueError, RuntimeError):
            pass
    raise FunctionError(f"the objective returned {_shown(value)}{where}, which is not a number")


def _shown(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
