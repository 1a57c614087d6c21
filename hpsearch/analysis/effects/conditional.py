"""Does the best value of one parameter depend on another one?
(method.md, section 5, "conditional")"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from hpsearch.analysis.effects.grids import Grid
from hpsearch.analysis.effects.level_set import level_set, stretches, without_gaps
from hpsearch.analysis.effects.partial_residuals import Marginal, PartialResiduals
from hpsearch.analysis.read.axes import Axis, Bools, Floats, Value

SHIFT_LEVEL = 0.98  # stricter than the intervals: the strongest pair has been picked from many


@dataclass(frozen=True)
class Case:
    """The optimum while the partner lies between `partner_low` and `partner_high` (its values).

    What may be as good as `value`: numbers in `pieces` (low, high), categories `alternatives`.
    """

    partner_low: Value
    partner_high: Value
    value: Value
    pieces: tuple[tuple[Value, Value], ...] = ()
    alternatives: tuple[Value, ...] = ()


@dataclass(frozen=True)
class ConditionalOptimum:
    """The optimum moves with the partner: one case for each part of the partner's range."""

    partner: str
    cases: tuple[Case, ...]


def find_conditional(
    residuals: PartialResiduals,
    column: int,
    grid: Grid,
    partner: tuple[int, Axis],
    sign: float,
    worth: float,
    level: float,
) -> ConditionalOptimum | None:
    """Compare the optima in the halves (or categories) of the partner's range; None if alike.

    `partner`: its column of the forest's table, and its axis. `worth`: the smallest difference that
    is worth having, in the metric's unit.
    """
    place, axis = partner
    found: list[tuple[Case, Floats]] = []
    for low, high, cell in _regions(residuals, place, axis):
        curves = residuals.marginal_given(column, grid, place, *cell)
        if curves is None:
            continue
        best = grid.points[np.argmax(sign * curves[1], axis=1)]
        inside = level_set(Marginal(*curves, curves[1]), sign, worth, level)
        value = int(np.argmax(sign * curves[0]))
        found.append((_case(grid, low, high, value, inside), best))
    differ = _other_category if grid.axis.is_categorical else _differ
    if not any(differ(a, b) for (_, a), (_, b) in combinations(found, 2)):
        return None
    return ConditionalOptimum(axis.name, tuple(case for case, _ in found))


def _case(grid: Grid, low: Value, high: Value, best: int, inside: Bools) -> Case:
    """`inside` (P,) are the points that may be as good as the `best`."""
    of = grid.axis.from_unit
    value = of(float(grid.points[best]))
    if grid.axis.is_categorical:  # categories have no order, so nothing lies between two of them
        others = [point for point in np.flatnonzero(inside) if point != best]
        return Case(low, high, value, alternatives=tuple(of(grid.points[p]) for p in others))
    inside = without_gaps(grid.points, inside) if grid.step else inside
    pieces = stretches(grid.points, inside, grid.step)
    return Case(low, high, value, tuple((of(a), of(b)) for a, b in pieces))


def _differ(left: Floats, right: Floats) -> bool:
    """Whether the difference of two independent sets of optima surely is not 0."""
    size = min(len(left), len(right))
    low, high = np.quantile(
        left[:size] - right[:size], [(1 - SHIFT_LEVEL) / 2, (1 + SHIFT_LEVEL) / 2]
    )
    return bool(low > 0 or high < 0)


def _other_category(left: Floats, right: Floats) -> bool:
    """Whether two independent sets of best categories surely are not one and the same."""
    size = min(len(left), len(right))
    return bool(np.mean(left[:size] == right[:size]) <= 1 - SHIFT_LEVEL)


def _regions(
    residuals: PartialResiduals, column: int, partner: Axis
) -> list[tuple[Value, Value, tuple[float, float]]]:
    """(lowest value, highest value, encoded cell) of each part of the partner's range."""
    if not partner.is_categorical:
        bounds = ((0.0, 0.5), (0.5, 1.0))
        return [(partner.from_unit(a), partner.from_unit(b), (a, b)) for a, b in bounds]
    n_levels = len(partner.choices)
    ranks = residuals.forest.ranks[column]
    return [
        (choice, choice, (float(rank) / n_levels, float(rank + 1) / n_levels))
        for choice, rank in zip(partner.choices, ranks, strict=True)
    ]
