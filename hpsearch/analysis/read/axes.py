"""One parameter of a study and its map to the sampling scale (method.md, section 1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from hpsearch.core.words import told_apart
from hpsearch.study.space import Scale, scale_between

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Value = str | float | int | bool | None


@dataclass(frozen=True)
class Axis:
    """One parameter and its map to the sampling scale [0, 1].

    Logarithms where the distribution is logarithmic; the centres of cells for integers, steps and
    categories, as Optuna's samplers draw them. `low`, `high` and `step` are in the parameter's own
    unit; `choices` belongs to categorical parameters.
    """

    name: str
    kind: Literal["float", "int", "categorical"]
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    step: float | None = None
    choices: tuple[Value, ...] = ()

    @property
    def is_categorical(self) -> bool:
        return self.kind == "categorical"

    @property
    def n_categories(self) -> int:
        """0 for a number."""
        return len(self.choices) if self.is_categorical else 0

    @property
    def n_levels(self) -> int:
        """How many values the parameter can take; 0 when it is continuous."""
        if self.is_categorical or self.step is None:
            return self.n_categories
        return round((self.high - self.low) / self.step) + 1

    def to_unit(self, values: Sequence[Value]) -> Floats:
        """Parameter values (n,) -> sampling scale (n,). ValueError for an unknown category."""
        if self.is_categorical:
            index = [self._index(value) for value in values]
            return (np.asarray(index, np.float64) + 0.5) / len(self.choices)
        raw, place = np.asarray(values, np.float64), self._scale.to_unit
        if self.log:
            raw = np.maximum(raw, np.finfo(np.float64).tiny)
        return np.clip([place(value) for value in raw.tolist()], 0.0, 1.0).astype(np.float64)

    def from_unit(self, unit: float) -> Value:
        """A point of the sampling scale -> the nearest value that the parameter can take."""
        unit = min(max(float(unit), 0.0), 1.0)
        if self.is_categorical:
            return self.choices[min(int(unit * len(self.choices)), len(self.choices) - 1)]
        return self._snap(self._scale.from_unit(unit))

    def levels(self) -> Floats:
        """Sampling-scale positions of the values of a discrete axis, (n_levels,)."""
        if self.log and self.step is not None:
            return self.to_unit([self.low + k * self.step for k in range(self.n_levels)])
        return (np.arange(self.n_levels) + 0.5) / max(self.n_levels, 1)

    def _index(self, value: Value) -> int:
        for index, choice in enumerate(self.choices):
            if _same(choice, value):
                return index
        raise ValueError(f"{value!r} is not a choice of '{self.name}'")

    @cached_property
    def _scale(self) -> Scale:
        return scale_between(self.low, self.high, log=self.log, step=self.step)

    def _snap(self, value: float) -> Value:
        if self.step is not None:
            value = self.low + round((value - self.low) / self.step) * self.step
        value = min(max(value, self.low), self.high)
        return round(value) if self.kind == "int" else float(value)


def build_axis(
    name: str, distributions: Sequence[BaseDistribution], values: Iterable[Value]
) -> Axis:
    """The axis that holds all `distributions` a parameter had: the union of ranges or choices.

    A parameter that was numeric once and categorical later is read as categorical over `values`.
    """
    if all(isinstance(d, FloatDistribution | IntDistribution) for d in distributions):
        return _numeric_axis(name, distributions)
    choices: list[Value] = []
    for distribution in distributions:
        offered = getattr(distribution, "choices", None) or sorted(values, key=str)
        choices += [c for c in offered if not any(_same(c, known) for known in choices)]
    return Axis(name, "categorical", choices=tuple(told_apart(choices)))


def _numeric_axis(name: str, distributions: Sequence[Any]) -> Axis:
    low = min(float(d.low) for d in distributions)
    high = max(float(d.high) for d in distributions)
    newest = distributions[-1]
    integer = all(isinstance(d, IntDistribution) for d in distributions)
    log = bool(newest.log) and low > 0
    step = None if newest.step is None or (log and not integer) else float(newest.step)
    return Axis(name, "int" if integer else "float", low, high, log, step)


def _same(left: Value, right: Value) -> bool:
    """Equal and of one type: the categories 1, 1.0 and True differ."""
    if isinstance(left, str) and isinstance(right, str):  # one may be Quoted
        return left == right
    return left is right or (type(left) is type(right) and left == right)
