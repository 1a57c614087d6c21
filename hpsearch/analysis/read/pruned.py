"""What pruned trials would have reached with the full budget (method.md, section 1).

The trials that went on beyond a step say how final values follow from the parameters and from the
reports at that step: final = a(parameters) + slope x report. This is the partly linear model of
Robinson (1988, "Root-N-consistent semiparametric regression", Econometrica 56), with a Gaussian
process or a forest for a, whichever is nearer to trials that it has not seen. A trial that was
stopped at that step gets the value that the model says. This is fair because the pruner saw nothing
but that report. Without the parameters it would not be: among good configurations the first report
may say nothing of the end, and a trial of many epochs reports less at first than one of few. Steps
are taken from the last to the first, and trials stopped later, once carried on, count for those
stopped earlier.

The surrogate could take the number of steps as one more parameter instead. But pruning makes steps
a consequence of the parameters, and it would credit the steps with what the parameters did.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import theilslopes

from hpsearch.analysis.gaussian_process import fit_process
from hpsearch.analysis.read.axes import Bools, Floats, Ints
from hpsearch.store.trials.columns import Reports

MIN_PAIRS = 6  # trials that went on, for a slope; with fewer the line is parallel to y = x
MAX_SLOPE = 2.0
MIN_ROWS = 8  # trials that went on, for a process; with fewer the parameters have no part
FOREST_ROWS = 20  # the same for a forest
TURNS = 3
SAME = 0.05  # slopes, between which another turn makes no difference
N_TREES = 50
MAX_ROWS = 100  # the process takes time in their cube
MAX_MODELS = 20  # steps with one of their own; the others take that of the next later step
FAR = 10.0  # interquartile ranges from the median: a diverged trial counts as if it were no farther

Carry = Callable[[Floats, Floats], Floats]
"""carry(unit, report): the final values (m,) at positions (m, d), given the reports (m,)."""


def at_full_budget(
    value: Floats,
    pruned: Bools,
    last_step: Floats,
    reports: Reports,
    unit: Floats,
    levels: Ints,
) -> Floats:
    """`value` (n,) with the pruned ones carried on to the end; NaN where a trial has none.

    `unit` (n, d) are the trials' positions on the sampling scales, NaN where a parameter is not
    active; `levels` (d,) the number of a parameter's categories or 0.
    """
    found, (where, levels) = value.copy(), _everywhere(unit, levels)
    at = np.full(len(value), np.nan)
    steps = np.unique(last_step[pruned])[::-1]
    own = steps[_spread(len(steps), MAX_MODELS)]
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
                carry = _partly_linear(where[some], at[some], found[some], levels)
            found[stopped] = carry(where[stopped], at[stopped])
        elif len(went_on):
            slope, shift = _line(at[went_on], found[went_on])
            found[stopped] = slope * at[stopped] + shift
    return found


def _everywhere(unit: Floats, levels: Ints) -> tuple[Floats, Ints]:
    """Positions (n, d) and numbers of categories (d,), where "not active" is a place as well: far
    below all numbers, one more category."""
    more = levels + 1
    inside = np.where(levels > 0, unit * levels / more, unit)
    outside = np.where(levels > 0, 1 - 0.5 / more, -1.0)
    return np.where(np.isfinite(unit), inside, outside), np.where(levels > 0, more, 0)


def _partly_linear(unit: Floats, x: Floats, y: Floats, levels: Ints) -> Carry:
    """From trials at positions (n, d) with reports x (n,) and final values y (n,)."""
    x, y = _tamed(x), _tamed(y)
    # From parallel to the report, and from deaf to it: the process of one may hide the other.
    found = [_by_process(unit, x, y, levels, slope) for slope in (1.0, 0.0)]
    if len(x) >= FOREST_ROWS:
        found.append(_by_forest(unit, x, y))
    return min(found, key=lambda one: one[0])[1]


def _by_process(
    unit: Floats, x: Floats, y: Floats, levels: Ints, slope: float
) -> tuple[float, Carry]:
    """The mean error at trials left out, and the model: slope and process are found in turn, since
    each of them takes the other. `slope` is where this begins."""
    once, before = np.ones(len(x)), np.inf
    process = fit_process(unit, y - slope * x, once, levels)
    for _ in range(TURNS):
        if abs(slope - before) < SAME:
            break
        before, slope = slope, _slope(x, y, process.inverse)
        process = fit_process(unit, y - slope * x, once, levels)

    def carry(unit: Floats, report: Floats) -> Floats:
        return np.asarray(process.predict(process.covariance(unit)) + slope * report)

    return float(np.abs(process.left_out - process.y).mean()), carry


def _by_forest(unit: Floats, x: Floats, y: Floats) -> tuple[float, Carry]:
    """The same with a forest, which sees jumps. It takes the parameters' part off both, and a line
    of Theil and Sen goes through the rest."""
    from sklearn.ensemble import RandomForestRegressor

    def grow(values: Floats) -> RandomForestRegressor:
        settings = {"min_samples_leaf": 2, "oob_score": True, "random_state": 0}
        return RandomForestRegressor(N_TREES, **settings).fit(unit, values)

    both = np.column_stack([x, y])
    scale = both.std(axis=0)
    scale[scale == 0] = 1.0
    rest = both - grow(both / scale).oob_prediction_ * scale
    slope, _ = _line(rest[:, 0], rest[:, 1])
    forest = grow(y - slope * x)

    def carry(unit: Floats, report: Floats) -> Floats:
        return np.asarray(forest.predict(unit) + slope * report)

    return float(np.abs(y - slope * x - forest.oob_prediction_).mean()), carry


def _slope(x: Floats, y: Floats, inverse: Floats) -> float:
    """By generalized least squares, with the inverse (n, n) of the covariance of the rest."""
    if np.ptp(x) == 0:
        return 1.0
    x, y = x - x.mean(), y - y.mean()
    weighted = inverse @ x
    return float(np.clip(weighted @ y / (weighted @ x), 0.0, MAX_SLOPE))


def _tamed(values: Floats) -> Floats:
    """The values, none of them FAR from the others: no mean stands a diverged trial."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    reach = FAR * (high - low)
    return np.clip(values, middle - reach, middle + reach) if reach > 0 else values


def _line(x: Floats, y: Floats) -> tuple[float, float]:
    if len(x) < MIN_PAIRS or np.ptp(x) == 0:
        return 1.0, float(np.median(y - x))
    slope = float(np.clip(theilslopes(y, x)[0], 0.0, MAX_SLOPE))
    return slope, float(np.median(y - slope * x))


def _spread(count: int, most: int) -> np.ndarray:
    """Which of `count` to take, evenly, where they are more than `most`."""
    return np.linspace(0, max(count - 1, 0), min(count, most)).astype(int)
