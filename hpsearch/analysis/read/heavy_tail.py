"""Trials that explode must not hide what all others say (method.md, section 1)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hpsearch.analysis.read.axes import Floats
from hpsearch.analysis.read.frame import Frame
from hpsearch.core.words import digits

EXPLODED = 100.0  # times the median: a loss that large says no more than that training collapsed
COLLAPSED = 20.0  # the same of other values, in their interquartile range and the median's size
FEW = 1 / 8  # of the trials
MOST_VARIANCE = 0.8  # if so few make so much of it, squares say nothing of the others
FENCE = 1.5  # interquartile ranges beyond the worse quartile (Tukey 1977), of the logarithms
FAR_FENCE = 3.0  # the same of other values, whose scale nobody knows


def without_explosions(frame: Frame) -> Frame:
    """The frame with `final` drawn in where trials exploded, and a note that says so."""
    worst = frame.bounds[0] if frame.maximize else frame.bounds[1]
    if np.isfinite(worst):  # an accuracy of 0 or an error rate of 1 is as bad as it gets
        return frame
    final, note = winsorised(frame.final, maximize=frame.maximize)
    return frame if note is None else replace(frame, final=final, notes=(*frame.notes, note))


def winsorised(value: Floats, *, maximize: bool = False) -> tuple[Floats, str | None]:
    """Values (n,) with the worst drawn in where they explode, and what to say of that.

    Losses of which all are positive explode where the largest is more than EXPLODED times the
    median, or where FEW of them lie beyond the fence and make MOST_VARIANCE of the variance. Other
    values, such as an R2, collapse where the worst lies COLLAPSED times farther from the median
    than their interquartile range and the median's size together. What lies beyond a fence is read
    as the fence: so it stays the worst, but no longer makes all of the variance.

    Source: Tukey (1977), Exploratory data analysis, on fences; that of logarithms, since losses are
    skewed.

    Example:
        >>> value, note = winsorised(np.array([0.5, 0.4, 0.6, 0.5, 300.0, np.nan]))
        >>> float(value[4].round(3)), note.split(":")[0]
        (0.789, '1 value above 0.789 is read as 0.789')
        >>> winsorised(np.array([0.5, 0.4, 0.6, 40.0]))[1] is None
        True
        >>> winsorised(np.array([0.5, 0.4, 0.6, 0.5, -80.0]), maximize=True)[1].split(":")[0]
        '1 value below 0.1 is read as 0.1'
    """
    worse = -value if maximize else value
    known = worse[np.isfinite(worse)]
    middle, greatest = float(np.median(known)), float(known.max())
    low, high = np.quantile(known, [0.25, 0.75])
    if low == high:  # most are the same, and the others are all that there is to explain
        return value, None
    if known.min() > 0:
        low, high = np.quantile(np.log(known), [0.25, 0.75])
        fence = float(np.exp(high + FENCE * (high - low)))
        if greatest <= EXPLODED * middle and not _few_make_the_variance(known, fence):
            return value, None
        why = f"{digits(greatest / middle, 3)} times the median"
    else:
        if greatest - middle <= COLLAPSED * (high - low + abs(middle)):
            return value, None
        fence = float(high + FAR_FENCE * (high - low))
        why = digits(-greatest if maximize else greatest)
    count = int(np.sum(known > fence))
    if not count:
        return value, None
    shown = digits(-fence if maximize else fence)
    which = f"{count} value{'s' if count > 1 else ''} {'below' if maximize else 'above'} {shown}"
    note = f"{which} {'are' if count > 1 else 'is'} read as {shown}: "
    note += f"the worst is {why} and would hide what all others say."
    drawn = np.minimum(worse, fence)
    return -drawn if maximize else drawn, note


def _few_make_the_variance(known: Floats, fence: float) -> bool:
    """Of losses (n,): whether those beyond the fence are few and yet all that squares see."""
    squares, beyond = (known - known.mean()) ** 2, known > fence
    return bool(beyond.mean() <= FEW and squares[beyond].sum() >= MOST_VARIANCE * squares.sum() > 0)
