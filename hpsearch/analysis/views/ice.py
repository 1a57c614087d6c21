"""Individual curves: what the forest predicts for single trials as one parameter moves.

Where the curves of a parameter cross or part, its effect depends on the others (Goldstein et al.
2015, "Peeking inside the black box").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpsearch.analysis.effects.grids import build_grid
from hpsearch.analysis.read.axes import Floats, Ints, Value
from hpsearch.analysis.read.frame import Frame
from hpsearch.analysis.read.subspaces import Subspace
from hpsearch.analysis.surrogate.fit import Fit
from hpsearch.errors import InputError

N_CURVES = 20
N_POINTS = 26


@dataclass(frozen=True)
class Ice:
    """`curves` (m, P) of m trials, in the metric's unit, at P values of one parameter.

    `trials` (m,) are their numbers, from the worst result to the best; `unit` (P,) are the values'
    positions on the sampling scale.
    """

    param: str
    values: tuple[Value, ...]
    unit: Floats
    trials: Ints
    curves: Floats


def ice(frame: Frame, fits: Sequence[tuple[Subspace, Fit]], param: str) -> Ice:
    """The curves of trials spread evenly over the results. InputError for an unknown parameter."""
    for space, fitted in fits:
        for j, column in enumerate(space.columns):
            if frame.axes[column].name == param and column in space.reported:
                return _ice(frame, space, fitted, j)
    names = ", ".join(frame.axes[c].name for space, _ in fits for c in space.reported)
    raise InputError(
        f"study '{frame.study}' has no parameter '{param}' to explain: it has {names}."
    )


def _ice(frame: Frame, space: Subspace, fitted: Fit, j: int) -> Ice:
    rows = np.flatnonzero(space.rows)
    order = np.argsort(frame.value[rows] * (1 if frame.maximize else -1), kind="stable")
    chosen = order[spread(len(order), N_CURVES)]
    grid = build_grid(frame.axes[space.columns[j]], frame.unit[rows, space.columns[j]])
    unit = (
        grid.points if grid.axis.is_categorical else grid.points[spread(len(grid.points), N_POINTS)]
    )
    forest = fitted.forest
    x = np.repeat(forest.table.x[chosen], len(unit), axis=0)
    x[:, j] = np.tile(unit, len(chosen))
    return Ice(
        param=grid.axis.name,
        values=tuple(grid.axis.from_unit(point) for point in unit),
        unit=unit,
        trials=frame.number[rows[chosen]],
        curves=forest.predict(x).reshape(len(chosen), len(unit)),
    )


def spread(n: int, most: int) -> Ints:
    """At most `most` indices spread evenly over range(n)."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(np.int64))
