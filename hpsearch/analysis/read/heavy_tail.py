"""Losses that explode must not hide what all others say (method.md, section 1)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hpsearch.analysis.read.axes import Floats
from hpsearch.analysis.read.frame import Frame
from hpsearch.core.words import digits

EXPLODED = 100.0  # times the median: a loss that large says no more than that training collapsed
FENCE = 1.5  # interquartile ranges beyond the upper quartile (Tukey 1977), of the logarithms


def without_explosions(frame: Frame) -> Frame:
    """The frame with `final` drawn in where losses exploded, and a note that says so."""
    if frame.maximize:
        return frame
    final, note = winsorised(frame.final)
    return frame if note is None else replace(frame, final=final, notes=(*frame.notes, note))


def winsorised(value: Floats) -> tuple[Floats, str | None]:
    """Values (n,) of which less is better, the largest drawn in, and what to say of that.

    Where all are positive and the largest is more than EXPLODED times the median, those above the
    fence are read as the fence: so they stay the worst, but no longer make all of the variance.

    Source: Tukey (1977), Exploratory data analysis, on fences; that of logarithms, since losses are
    skewed.

    Example:
        >>> value, note = winsorised(np.array([0.5, 0.4, 0.6, 0.5, 300.0, np.nan]))
        >>> float(value[4].round(3)), note.split(":")[0]
        (0.789, '1 value above 0.789 is read as 0.789')
        >>> winsorised(np.array([0.5, 0.4, 0.6, 40.0]))[1] is None
        True
    """
    known = value[np.isfinite(value)]
    if known.min() <= 0 or known.max() <= EXPLODED * np.median(known):
        return value, None
    low, high = np.quantile(np.log(known), [0.25, 0.75])
    fence = float(np.exp(high + FENCE * (high - low)))
    count = int(np.sum(known > fence))
    if not count:
        return value, None
    times = float(known.max() / np.median(known))
    which = f"{count} value{'s' if count > 1 else ''} above {digits(fence)}"
    note = f"{which} {'are' if count > 1 else 'is'} read as {digits(fence)}: "
    note += f"the largest is {times:,.0f} times the median and would hide what all others say."
    return np.minimum(value, fence), note
