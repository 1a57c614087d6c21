"""What pruned trials would have reached with the full budget (method.md, section 2).

The trials that went on beyond a step say how final values follow from the parameters and from the
reports at that step: final = a(parameters) + slope x report. This is the partly linear model of
Robinson (1988, "Root-N-consistent semiparametric regression", Econometrica 56): a forest takes the
parameters' part off both, and a line of Theil and Sen goes through the rest. A trial that was
stopped at that step gets the value that the model says. This is fair because the pruner saw nothing
but that report. Without the parameters it would not be: among good configurations the first report
may say nothing of the end, and trials that were stopped by chance would look like bad ones. Steps
are taken from the last to the first, and trials stopped later, once carried on, count for those
stopped earlier.

A forest could take the number of steps as one more parameter instead. But pruning makes steps a
consequence of the parameters, and the forest would credit the steps with what the parameters did.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import theilslopes

from hpsearch.analysis.read.axes import Bools, Floats
from hpsearch.store.trials.columns import Reports

MIN_PAIRS = 6  # trials that went on, for a slope; with fewer the line is parallel to y = x
MAX_PAIRS = 300  # the slope takes time in their square
MAX_SLOPE = 2.0
MIN_ROWS = 20  # trials that went on, for a forest; with fewer the parameters have no part
MAX_ROWS = 500  # no nearer to the truth with 2,000 of 20,000 trials, in four times the time
MAX_FORESTS = 20  # steps with one of their own; the others take that of the next later step
N_TREES = 100
FAR = 10.0  # interquartile ranges from the median: a diverged trial counts as if it were no farther

Carry = Callable[[Floats, Floats], Floats]
"""carry(unit, report): the final values (m,) at positions (m, d), given the reports (m,)."""


def at_full_budget(
    value: Floats, pruned: Bools, last_step: Floats, reports: Reports, unit: Floats
) -> Floats:
    """`value` (n,) with the pruned ones carried on to the end; NaN where a trial has none.

    `unit` (n, d) are the trials' positions on the sampling scales, NaN where a parameter is not
    active.
    """
    found, where = value.copy(), np.where(np.isfinite(unit), unit, -1.0)
    at = np.full(len(value), np.nan)
    steps = np.unique(last_step[pruned])[::-1]
    own = steps[_spread(len(steps), MAX_FORESTS)]
    carry: Carry | None = None
    for step in steps:
        here = reports.step == step
        at[:] = np.nan
        at[reports.row[here]] = reports.value[here]
        stopped = pruned & (last_step == step)
        went_on = np.flatnonzero(
            np.isfinite(at) & np.isfinite(found) & (~pruned | (last_step > step))
        )
        if len(went_on) >= MIN_ROWS:
            if carry is None or step in own:
                some = went_on[_spread(len(went_on), MAX_ROWS)]
                carry = _partly_linear(where[some], at[some], found[some])
            found[stopped] = carry(where[stopped], at[stopped])
        elif len(went_on):
            slope, shift = _line(at[went_on], found[went_on])
            found[stopped] = slope * at[stopped] + shift
    return found


def _partly_linear(unit: Floats, x: Floats, y: Floats) -> Carry:
    """From trials at positions (n, d) with reports x (n,) and final values y (n,)."""
    from sklearn.ensemble import RandomForestRegressor

    both = np.column_stack([_tamed(x), _tamed(y)])
    scale = both.std(axis=0)
    scale[scale == 0] = 1.0
    forest = RandomForestRegressor(N_TREES, min_samples_leaf=2, oob_score=True, random_state=0).fit(
        unit, both / scale
    )
    rest = both - forest.oob_prediction_ * scale
    slope, _ = _line(rest[:, 0], rest[:, 1])

    def carry(unit: Floats, report: Floats) -> Floats:
        expected = forest.predict(unit) * scale
        return np.asarray(expected[:, 1] + slope * (report - expected[:, 0]))

    return carry


def _tamed(values: Floats) -> Floats:
    """The values, none of them FAR from the others: a forest's means stand no diverged trial."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    reach = FAR * (high - low)
    return np.clip(values, middle - reach, middle + reach) if reach > 0 else values


def _line(x: Floats, y: Floats) -> tuple[float, float]:
    if len(x) < MIN_PAIRS or np.ptp(x) == 0:
        return 1.0, float(np.median(y - x))
    some = _spread(len(x), MAX_PAIRS)
    slope = float(np.clip(theilslopes(y[some], x[some])[0], 0.0, MAX_SLOPE))
    return slope, float(np.median(y - slope * x))


def _spread(count: int, most: int) -> np.ndarray:
    """Which of `count` to take, evenly, where they are more than `most`."""
    return np.linspace(0, max(count - 1, 0), min(count, most)).astype(int)
