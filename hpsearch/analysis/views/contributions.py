"""What each parameter adds to the forest's prediction of one trial (method.md, section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from hpsearch.analysis.read.axes import Value
from hpsearch.analysis.read.frame import Frame
from hpsearch.analysis.read.subspaces import Subspace
from hpsearch.analysis.surrogate.anova import cell_of, leaf_boxes, pair_surface
from hpsearch.analysis.surrogate.fit import Fit
from hpsearch.errors import InputError


@dataclass(frozen=True)
class ContributionResults:
    """`mean` plus all `parts` plus `rest` is the forest's `prediction`, in the metric's unit.

    `parts` are (parameters, amount), the largest first: main effects and interactions of two.
    `trusted` says whether the forest predicts unseen trials better than chance.
    """

    study: str
    metric: str
    maximize: bool
    trial: int
    params: dict[str, Value]
    value: float
    prediction: float
    mean: float
    parts: tuple[tuple[tuple[str, ...], float], ...]
    rest: float
    trusted: bool


def contributions(
    frame: Frame, space: Subspace, fitted: Fit, trial: int, *, trusted: bool
) -> ContributionResults:
    """Split the prediction of one trial. InputError when the trial is not among those read."""
    rows = np.flatnonzero(space.rows)
    found = np.flatnonzero(frame.number[rows] == trial)
    if not len(found):
        raise InputError(
            f"study '{frame.study}' has no finished trial {trial} with a value: "
            f"choose one of {frame.number[rows].min()} to {frame.number[rows].max()}."
        )
    forest, anova = fitted.forest, fitted.anova
    x = forest.table.x[found[:1]]
    at = forest.encode(x)[0]
    cells = [int(cell_of(edge, at[j : j + 1])[0]) for j, edge in enumerate(anova.edges)]
    names = [frame.axes[c].name for c in space.columns]
    main = [float(m[cell]) - anova.mean for m, cell in zip(anova.marginals, cells, strict=True)]
    parts: list[tuple[tuple[str, ...], float]] = [
        ((name,), amount) for name, amount in zip(names, main, strict=True)
    ]
    boxes = leaf_boxes(forest)
    for i, j in combinations(range(len(names)), 2):
        joint = float(pair_surface(boxes, i, j)[cells[i], cells[j]])
        parts.append(((names[i], names[j]), joint - anova.mean - main[i] - main[j]))
    prediction = float(forest.predict(x)[0])
    row = rows[found[0]]
    return ContributionResults(
        study=frame.study,
        metric=frame.metric,
        maximize=frame.maximize,
        trial=trial,
        params={name: value for name, value in frame.params(row).items() if name in names},
        value=float(frame.value[row]),
        prediction=prediction,
        mean=anova.mean,
        parts=tuple(sorted(parts, key=lambda part: -abs(part[1]))),
        rest=prediction - anova.mean - sum(amount for _, amount in parts),
        trusted=trusted,
    )
