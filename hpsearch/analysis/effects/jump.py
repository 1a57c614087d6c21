"""Where a curve falls or rises at once (method.md, section 4).

A learning rate often helps more and more until training collapses. One smooth curve over such a
cliff has its best point far before it, the more surely the more trials there are. So a cut is
looked for, on both sides of which the curve is smoothed by itself. How much better it predicts
left-out configurations says how likely it is: as many copies of the curve are cut, and the others
are smooth, so that intervals hold both where the trials leave it open (Buckland, Burnham and
Augustin 1997).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from hpsearch.analysis.effects.smooth import RIDGE, Scatter, bandwidth_of, left_out_errors
from hpsearch.analysis.read.axes import Floats, Ints

MIN_SIDE = 10  # configurations on either side of a cut
MIN_POSITIONS = 12  # fewer values of a parameter are steps anyway
SCREENS = (0.08, 0.16, 0.3)  # bandwidths of the lines whose ends are compared
PENALTY = 8.0  # n log(error without / error with) at which a cut is as likely as none
FEW = 0.2  # a cut less likely than this is none


def with_cut(scatter: Scatter) -> Scatter:
    """The scatter, cut where its curve may jump; as it is where no jump shows."""
    gaps = _gaps(scatter)
    if not len(gaps) or len(scatter.x) < MIN_POSITIONS:
        return scatter
    chosen = np.unique([gaps[np.argmax(score)] for score in _scores(scatter, gaps)])
    cuts = (scatter.x[chosen] + scatter.x[chosen + 1]) / 2
    errors = left_out_errors(scatter, [None, *cuts])
    least = errors.min(axis=1)
    best = 1 + int(np.argmin(least[1:]))
    before, after = np.maximum(least[[0, best]], 1e-300)  # 0 where all values are the same
    gained = len(scatter.index) * math.log(before / after)
    likely = 1.0 / (1.0 + math.exp(min((PENALTY - gained) / 2, 50.0)))
    scatter = replace(scatter, bandwidths=(bandwidth_of(errors[0]), bandwidth_of(errors[best])))
    if likely < FEW:
        return scatter
    return replace(scatter, cut=float(cuts[best - 1]), likely=likely)


def _gaps(scatter: Scatter) -> Ints:
    """After which positions a cut leaves enough configurations on both sides."""
    below = np.cumsum(np.bincount(scatter.index, minlength=len(scatter.x)))
    enough = (below >= MIN_SIDE) & (below <= below[-1] - MIN_SIDE)
    return np.flatnonzero(enough[:-1])


def _scores(scatter: Scatter, gaps: Ints) -> Floats:
    """How far the lines from both sides miss each other at each gap, for each screen: (S, K).

    In standard errors of their difference, but for the noise, which is the same for all gaps.
    """
    weight, total = (one[0] for one in scatter.totals(np.ones((1, len(scatter.index)))))
    both = np.stack([weight, total], axis=1)
    at = (scatter.x[gaps] + scatter.x[gaps + 1]) / 2
    distance = scatter.x - at[:, None]
    powers = [np.ones_like(distance), distance, distance**2]
    scores = []
    for width in SCREENS:
        kernel = np.exp(-0.5 * (distance / width) ** 2)
        difference, variance = 0.0, 0.0
        for side, sign in ((distance < 0, -1.0), (distance > 0, 1.0)):
            k = kernel * side
            (s0, t0), (s1, t1), (s2, _) = (((k * power) @ both).T for power in powers)
            squared = k**2
            q0, q1, q2 = ((squared * power) @ weight for power in powers)
            # The line ends at the sum of the residuals times k (s2 - s1 distance) / determinant.
            determinant = s0 * s2 - s1**2 + RIDGE * s0**2 * width**2
            difference = difference + sign * (s2 * t0 - s1 * t1) / determinant
            spread = s2**2 * q0 - 2 * s1 * s2 * q1 + s1**2 * q2
            variance = variance + spread / determinant**2
        scores.append(np.abs(difference) / np.sqrt(np.maximum(variance, 1e-12)))
    return np.array(scores)
