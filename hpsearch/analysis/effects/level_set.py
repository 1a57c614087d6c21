"""All values that may be as good as the best (method.md, section 5, "level sets").

A value is as good as the best if it is worse by no more than what is worth having. It belongs to
the set unless it is shown to be worse by more. So with few trials the set is wide, with many it
shrinks to the values that are as good, in as many pieces as these have: plateaus, two peaks and the
ends of a range are no special cases.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.special import ndtri

from hpsearch.analysis.effects.partial_residuals import Marginal
from hpsearch.analysis.read.axes import Bools, Floats

GAP = 0.05  # of the range
ROUNDING = 1e-9  # of the curve's span: values of a table that are equal


def level_set(marginal: Marginal, sign: float, worth: float, level: float) -> Bools:
    """Which points (P,) may be worse than the best by no more than `worth`, in the metric's unit.

    `sign` is 1 where larger is better, else -1. All values that are as good are inside at once
    with probability `level`.
    """
    score = sign * marginal.mean
    best = int(np.argmax(score))
    behind = score[best] - score
    errors, spread = marginal.distances(best)
    sure = _critical(-sign * errors[:, behind <= worth], level)
    rounding = ROUNDING * float(np.ptp(marginal.mean))
    return np.asarray(behind <= worth + sure * spread + rounding)


def _critical(errors: Floats, level: float) -> float:
    """How many standard errors a value must be too far behind to be surely worse.

    As many as the worst of the copies' errors (B, K) among the values that seem as good, which
    matters where these are many, as on a plateau; at least as many as each of the two ends of a
    piece needs.
    """
    own = np.sqrt(np.mean(errors**2, axis=0))
    moving = own > 0
    two_ends = float(ndtri((1 + level) / 2))
    if not moving.any():
        return two_ends
    worst = (errors[:, moving] / own[moving]).max(axis=1)
    return max(two_ends, float(np.quantile(worst, level)))


def without_gaps(points: Floats, inside: Bools) -> Bools:
    """The set with gaps between points (P,) filled that are narrower than GAP.

    A person would not set a value so exactly, and the set holds what it should all the more.

    Example:
        >>> points = np.array([0.0, 0.1, 0.12, 0.14, 0.5, 0.9])
        >>> without_gaps(points, np.array([True, True, False, True, False, True])).tolist()
        [True, True, True, True, False, True]
    """
    filled, where = inside.copy(), np.flatnonzero(inside)
    for before, after in pairwise(where):
        if points[after] - points[before] < GAP:
            filled[before:after] = True
    return filled


def stretches(points: Floats, inside: Bools, step: float) -> tuple[tuple[float, float], ...]:
    """The stretches of neighbouring points (P,) that are inside, as pairs of ends.

    Between two points nothing is computed, so a piece reaches half a `step` further, within the
    range.

    Example:
        >>> inside = np.array([True, True, False, False, True])
        >>> stretches(np.array([0.0, 0.25, 0.5, 0.75, 1.0]), inside, 0.0)
        ((0.0, 0.25), (1.0, 1.0))
    """
    padded = np.concatenate([[False], inside, [False]]).astype(np.int8)
    starts = points[np.flatnonzero(np.diff(padded) == 1)]
    ends = points[np.flatnonzero(np.diff(padded) == -1) - 1]
    return tuple(
        (max(float(a) - step / 2, 0.0), min(float(b) + step / 2, 1.0))
        for a, b in zip(starts, ends, strict=True)
    )
