"""Does the best value of one parameter depend on another one? (spec, section 5, "conditional")"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from hpsearch.analysis.axes import Axis, Floats, Value
from hpsearch.analysis.effects import Grid
from hpsearch.analysis.partial import Partials

SHIFT_LEVEL = 0.98  # stricter than the intervals: the strongest pair has been picked from many


@dataclass(frozen=True)
class Branch:
    """The optimum while the partner lies between `partner_low` and `partner_high` (its values)."""

    partner_low: Value
    partner_high: Value
    value: Value
    low: Value
    high: Value


@dataclass(frozen=True)
class Split:
    """The optimum moves with the partner: one branch for each part of the partner's range."""

    partner: str
    branches: tuple[Branch, ...]


def find_split(
    partials: Partials,
    column: int,
    grid: Grid,
    partner_column: int,
    partner: Axis,
    sign: float,
    level: float,
) -> Split | None:
    """Compare the optima in the halves (or categories) of the partner's range; None if alike."""
    found: list[tuple[Branch, Floats]] = []
    for low, high, cell in _regions(partials, partner_column, partner):
        curves = partials.curve_given(column, grid, partner_column, *cell)
        if curves is None:
            continue
        best = grid.points[np.argmax(sign * curves[1], axis=1)]
        value = grid.points[np.argmax(sign * curves[0])]
        found.append((_branch(grid, low, high, value, best, level), best))
    if not any(_differ(a, b) for (_, a), (_, b) in combinations(found, 2)):
        return None
    return Split(partner.name, tuple(branch for branch, _ in found))


def _branch(
    grid: Grid, partner_low: Value, partner_high: Value, value: float, best: Floats, level: float
) -> Branch:
    low, high = np.quantile(best, [(1 - level) / 2, (1 + level) / 2])
    of = grid.axis.from_unit
    return Branch(partner_low, partner_high, of(value), of(min(low, value)), of(max(high, value)))


def _differ(left: Floats, right: Floats) -> bool:
    """Whether the difference of two independent sets of optima surely is not 0."""
    size = min(len(left), len(right))
    low, high = np.quantile(
        left[:size] - right[:size], [(1 - SHIFT_LEVEL) / 2, (1 + SHIFT_LEVEL) / 2]
    )
    return bool(low > 0 or high < 0)


def _regions(
    partials: Partials, column: int, partner: Axis
) -> list[tuple[Value, Value, tuple[float, float]]]:
    """(lowest value, highest value, encoded cell) of each part of the partner's range."""
    if not partner.is_categorical:
        bounds = ((0.0, 0.5), (0.5, 1.0))
        return [(partner.from_unit(a), partner.from_unit(b), (a, b)) for a, b in bounds]
    n_levels = len(partner.choices)
    ranks = partials.forest.ranks[column]
    return [
        (choice, choice, (float(rank) / n_levels, float(rank + 1) / n_levels))
        for choice, rank in zip(partner.choices, ranks, strict=True)
    ]
