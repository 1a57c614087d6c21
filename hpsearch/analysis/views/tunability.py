"""What tuning is worth: of each parameter alone, and step by step from the defaults to the best.

The share of the variance does not say it: a parameter may own the variance by its worst values,
which nobody sets (Wever et al. 2025, arXiv 2502.01276). All figures are predictions of the model
that gives the advice (effects/advice.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hpsearch.analysis.effects.advice import Advice
from hpsearch.analysis.read.axes import Floats, Value
from hpsearch.study.metric_names import UNBOUNDED

ROUNDING = 1e-9
"""A gain below so much of the metric is none: processors differ in the last digits."""


@dataclass(frozen=True)
class Tuning:
    """What tuning one parameter gains, in the metric's unit, positive is better.

    `alone`: its best value against its default while all others are at their defaults; `at_best`:
    its recommended value against its default while all others are as recommended.
    """

    param: str
    alone: float
    at_best: float


@dataclass(frozen=True)
class Step:
    """One step from the defaults to the recommendation: the parameter that gains most is changed.

    `predicted` is the metric after it.
    """

    param: str
    value: Value
    predicted: float


@dataclass(frozen=True)
class Tunability:
    """`default`: the metric that is predicted for the defaults; `path` leads from there."""

    default: float
    params: tuple[Tuning, ...]
    path: tuple[Step, ...]


def tunability(
    advice: Advice, default: Floats, best: Floats, bounds: tuple[float, float] = UNBOUNDED
) -> Tunability:
    """From the positions (d,) of the defaults and of the recommendation on the sampling scale.

    `bounds` are those of the metric, which no prediction leaves.
    """

    def score(points: Floats) -> Floats:
        """The model at points (m, d), larger is better."""
        return np.asarray(advice.sign * np.clip(advice.model.predict(points), *bounds))

    at_default, at_best = (score(point[None])[0] for point in (default, best))
    params = []
    for column, grid in enumerate(advice.grids):
        moved = np.repeat(default[None], len(grid.points), axis=0)
        moved[:, column] = grid.points
        back = best.copy()
        back[column] = default[column]
        alone = max(_gain(score(moved).max(), at_default), 0.0)
        params.append(Tuning(grid.axis.name, alone, _gain(at_best, score(back[None])[0])))
    return Tunability(
        default=float(advice.sign * at_default),
        params=tuple(sorted(params, key=lambda one: -one.alone)),
        path=_path(advice, score, default, best),
    )


def _gain(value: float, against: float) -> float:
    gain = float(value - against)
    return 0.0 if abs(gain) < ROUNDING * max(abs(value), abs(against)) else gain


def _path(
    advice: Advice, score: Callable[[Floats], Floats], default: Floats, best: Floats
) -> tuple[Step, ...]:
    """The greedy ablation path (Fawcett and Hoos 2016, "Analysing differences between algorithm
    configurations through ablation", J. Heuristics 22)."""
    at, left, steps = default.copy(), [int(c) for c in np.flatnonzero(default != best)], []
    while left:
        tried = np.repeat(at[None], len(left), axis=0)
        tried[np.arange(len(left)), left] = best[left]
        found = score(tried)
        chosen = int(np.argmax(found))
        at, column = tried[chosen], left.pop(chosen)
        axis = advice.grids[column].axis
        predicted = float(advice.sign * found[chosen])
        steps.append(Step(axis.name, axis.from_unit(float(best[column])), predicted))
    return tuple(steps)
