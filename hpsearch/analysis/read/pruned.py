"""What pruned trials would have reached with the full budget (method.md, section 2).

The trials that went on beyond a step say how final values follow from reports at that step: a line
of Theil and Sen, which a few diverged trials do not move. A trial that was stopped at that step
gets the value on the line. This is fair because the pruner saw nothing but that report. Steps are
taken from the last to the first, and trials stopped later, once carried on, count for those stopped
earlier.

A forest could take the number of steps as one more parameter instead. But pruning makes steps a
consequence of the parameters, and the forest would credit the steps with what the parameters did.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import theilslopes

from hpsearch.analysis.read.axes import Bools, Floats
from hpsearch.store.trials.columns import Reports

MIN_PAIRS = 6  # trials that went on, for a slope; with fewer the line is parallel to y = x
MAX_PAIRS = 300  # the slope takes time in their square
MAX_SLOPE = 2.0


def at_full_budget(value: Floats, pruned: Bools, last_step: Floats, reports: Reports) -> Floats:
    """`value` (n,) with the pruned ones carried on to the end; NaN where a trial has none."""
    found = value.copy()
    at = np.full(len(value), np.nan)
    for step in np.unique(last_step[pruned])[::-1]:
        here = reports.step == step
        at[:] = np.nan
        at[reports.row[here]] = reports.value[here]
        stopped = pruned & (last_step == step)
        went_on = np.flatnonzero(
            np.isfinite(at) & np.isfinite(found) & (~pruned | (last_step > step))
        )
        if len(went_on):
            slope, shift = _line(at[went_on], found[went_on])
            found[stopped] = slope * at[stopped] + shift
    return found


def _line(x: Floats, y: Floats) -> tuple[float, float]:
    if len(x) < MIN_PAIRS or np.ptp(x) == 0:
        return 1.0, float(np.median(y - x))
    some = np.linspace(0, len(x) - 1, min(len(x), MAX_PAIRS)).astype(int)
    slope = float(np.clip(theilslopes(y[some], x[some])[0], 0.0, MAX_SLOPE))
    return slope, float(np.median(y - slope * x))
