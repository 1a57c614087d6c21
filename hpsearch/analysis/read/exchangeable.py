"""Which trials could have changed places (method.md, section 4).

A test that shuffles needs to know. Trials whose parameters were drawn evenly from the whole space
could all have changed places. A sampler that learns moves all its parameters at the same time, so
only its trials of about the same time could.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaincc, kolmogorov

from hpsearch.analysis.read.axes import Axis, Bools, Floats, Ints
from hpsearch.analysis.read.frame import Frame

BLOCK = 20  # trials in a row of a sampler that learns
UNEVEN = 0.01  # a cohort less likely than this to have been drawn evenly was not
FEW_LEVELS = 20  # an axis of more is taken for a continuous one


@dataclass(frozen=True)
class Strata:
    """`stratum` (n,): trials of one number could have changed places; `even` (n,): all of their
    cohort could, since it was drawn evenly."""

    stratum: Ints
    even: Bools


def strata_of(frame: Frame, rows: Bools) -> Strata:
    """The strata of the configurations among `rows` (n,), each in its first trial's place."""
    _, first = np.unique(frame.group[rows], return_index=True)
    chosen = np.flatnonzero(rows)[first]
    cohort = np.array(frame.cohort)
    stratum, even = np.zeros(len(chosen), np.int64), np.zeros(len(chosen), np.bool_)
    count = 0
    for name in np.unique(cohort[chosen]):
        mine = np.flatnonzero(cohort[chosen] == name)
        even[mine] = drawn_evenly(frame.axes, frame.unit[cohort == name])
        size = 1 if even[mine[0]] else max(len(mine) // BLOCK, 1)
        stratum[mine] = count + np.arange(len(mine)) * size // len(mine)
        count += size
    return Strata(stratum, even)


def drawn_evenly(axes: tuple[Axis, ...], unit: Floats) -> bool:
    """Whether points (n, d) of the sampling scale look as if drawn evenly from it, axis by axis."""
    p_values = [
        _evenness(axis, column[~np.isnan(column)])
        for axis, column in zip(axes, unit.T, strict=True)
    ]
    return bool(min(p_values) >= UNEVEN / len(p_values))


def _evenness(axis: Axis, unit: Floats) -> float:
    """The p-value of "drawn evenly": chi-squared's of levels, else Kolmogorov's."""
    n = len(unit)
    if n < 2:
        return 1.0
    if 0 < axis.n_levels <= FEW_LEVELS:
        levels = axis.levels()
        ends = np.concatenate([[0.0], (levels[1:] + levels[:-1]) / 2, [1.0]])
        expected = n * np.diff(ends)
        seen = np.histogram(unit, ends)[0]
        distance = float(np.sum((seen - expected) ** 2 / expected))
        return float(gammaincc((len(levels) - 1) / 2, distance / 2))
    ordered, steps = np.sort(unit), np.arange(n + 1) / n
    reach = max(np.max(steps[1:] - ordered), np.max(ordered - steps[:-1]))
    return float(kolmogorov(np.sqrt(n) * reach))
