"""The check of a pooled rule: each study is left out once (method.md, section 6)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hpsearch.analysis.pooling.pooled_curve import StudyCurve
from hpsearch.analysis.pooling.random_effects import pool_rows
from hpsearch.analysis.pooling.results import MIN_STUDIES, Predicted


def when_left_out(
    curves: Sequence[StudyCurve], without: Sequence[int], level: float, most: float = math.inf
) -> tuple[Predicted, Predicted | None]:
    """What the rule of the other studies costs in each, and gains over its default, pooled.

    The pooled rule itself fits the studies that it comes from, so there it costs too little. Costs
    are skewed: the upper end for a new study leaves in what flatters the studies' bests. `most` is
    by how much two results can differ.
    """
    found = [one.regret() for one in curves]
    costs = [float(cost[at]) for (cost, _), at in zip(found, without, strict=True)]
    errors = [float(error[at]) for (_, error), at in zip(found, without, strict=True)]
    shown = [
        float(one.score.max() - one.score[at]) for one, at in zip(curves, without, strict=True)
    ]
    loss = replace(
        _predicted(costs, errors, level, (0.0, most)),
        new_high=_predicted(shown, errors, level, (-most, most)).new_high,
    )
    named = [(one, at) for one, at in zip(curves, without, strict=True) if one.default is not None]
    if len(named) < MIN_STUDIES:
        return loss, None
    gains = [one.differences(np.array([at]), np.array([one.default])) for one, at in named]
    gained, unsure = [float(g[0]) for g, _ in gains], [float(e[0]) for _, e in gains]
    return loss, _predicted(gained, unsure, level, (-most, most))


def _predicted(
    estimates: Sequence[float], errors: Sequence[float], level: float, bounds: tuple[float, float]
) -> Predicted:
    """All studies weigh the same: small costs have small errors, and would count for too much."""
    rows = pool_rows(np.array([estimates]), np.array([errors]), level, np.ones(len(estimates)))
    found = (rows.mean, rows.low, rows.high, rows.new_low, rows.new_high)
    return Predicted(*(float(np.clip(number[0], *bounds)) for number in found))
