"""Importance within the good region: values clipped at a quantile of the space
(method.md, section 3).

A few disastrous trials can own the whole variance. With everything worse than a quantile set to
that quantile, only differences among the better trials, and between them and the rest, are left
(Hutter, Hoos and Leyton-Brown 2014, "improvements over" a threshold). The quantile is that of the
forest at points that fill the space evenly: the trials of a search that learns are good by
themselves, and their quantile would leave hardly any difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from hpsearch.analysis.read.frame import Frame
from hpsearch.analysis.read.subspaces import Subspace
from hpsearch.analysis.surrogate.anova import Anova, decompose, sobol_points
from hpsearch.analysis.surrogate.fit import Fit
from hpsearch.analysis.surrogate.forest import grow, grow_exact
from hpsearch.errors import InputError


@dataclass(frozen=True)
class GoodRegion:
    """Shares of the variance of single parameters and pairs when values are clipped.

    `quantile` is the share of the space that keeps its values, `limit` the value, in the metric's
    unit, to which all worse ones of the whole study are set.
    """

    quantile: float
    limit: float
    shares: dict[tuple[str, ...], float]


def good_region(
    frame: Frame, fits: Sequence[tuple[Subspace, Fit]], quantile: float, seed: int
) -> GoodRegion:
    """Refits the forest of each subspace to clipped values, with its own settings.

    Raises InputError if `quantile` is not above 0 and at most 1.
    """
    if not 0 < quantile <= 1:
        raise InputError(f"quantile is {quantile:g}: give a number above 0 and at most 1.")
    shares: dict[tuple[str, ...], float] = {}
    limits = []
    for place, (space, fitted) in enumerate(fits):
        table = fitted.forest.table
        over_space = fitted.forest.predict_encoded(sobol_points(table.n_axes))
        limit = float(np.quantile(over_space, 1 - quantile if frame.maximize else quantile))
        y = np.maximum(table.y, limit) if frame.maximize else np.minimum(table.y, limit)
        clipped = replace(table, y=y)
        if fitted.forest.unseen.any():
            forest = grow(clipped, fitted.settings, np.random.default_rng([seed, place]))
        else:  # the exact surrogate has seen everything
            forest = grow_exact(clipped)
        shares |= _shares(frame, space, decompose(forest))
        limits.append(limit)
    return GoodRegion(quantile, limits[0], shares)


def _shares(frame: Frame, space: Subspace, anova: Anova) -> dict[tuple[str, ...], float]:
    """Of the parameters that the subspace reports, and of their pairs."""
    total = anova.variance or 1.0
    names = [frame.axes[column].name for column in space.columns]
    reported = [column in space.reported for column in space.columns]
    found: dict[tuple[str, ...], float] = {
        (names[j],): float(anova.main[j]) / total for j in range(len(names)) if reported[j]
    }
    for i, j in combinations(range(len(names)), 2):
        if reported[i] or reported[j]:
            found[names[i], names[j]] = float(anova.pair[i, j]) / total
    return found
