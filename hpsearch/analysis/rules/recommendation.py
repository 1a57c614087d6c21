"""One configuration to use: all values together (method.md, section 5, "recommendation").

Rules name one value each. What their values make together is a configuration that nobody may have
tried. So the model of the metric (effects/advice.py) predicts it beside the best of the trials.
Where it predicts less, or no trial lies near, a trial is recommended. Where it predicts clearly
less than for the best trial, the rules contradict each other: one after the other is left out,
first the one without which the others do best, until they do not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree
from scipy.stats import t as student

from hpsearch.analysis.effects.advice import BEST
from hpsearch.analysis.effects.curve import tails
from hpsearch.analysis.effects.failures import ChanceToFail
from hpsearch.analysis.effects.one_subspace import SubspaceResults
from hpsearch.analysis.estimates import Estimate
from hpsearch.analysis.read.axes import Bools, Floats, Ints, Value
from hpsearch.analysis.read.frame import COMPLETE, Frame
from hpsearch.analysis.rules.rules import EDGE, NAMING, Rule
from hpsearch.core.words import assignments, digits

# By as much the rules may be predicted to be worse: of the model's error, and of what the best
# trial is predicted to be better than the median.
TOLERANCE, EQUAL = 1.0, 0.05
HALF = 0.5  # of the trials say how much of a good prediction comes true
SLOPE_ERROR = 0.5  # of the slope of values over predictions, before trials say what it is
FARTHEST = 0.95  # of the trials lie nearer to another one than a recommendation may lie to any


@dataclass(frozen=True)
class Recommendation:
    """All values together, and what to expect of a run with them.

    `predicted` is the metric of one run, `trial` the trial whose values these are, None where rules
    changed some of them. `failures` is the expected share of runs that fail. `rules_hold` is False
    where the values that the rules name are together predicted to be worse than the best trial, by
    `shortfall` in the metric's unit. What the rules about `against` name is not printed, as it does
    not go together with this configuration; in a conditional space no trial of the branch that it
    lies in may have it.
    """

    params: dict[str, Value]
    predicted: Estimate
    failures: float
    trial: int | None
    rules_hold: bool
    shortfall: float
    level: float
    against: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """The values as they are copied: name=value, separated by spaces, with six digits."""
        return assignments(self.params)

    @property
    def statement(self) -> str:
        """What to expect of it, in a sentence or two."""
        p = self.predicted
        origin = "the values that the rules name, the rest as in the best trials"
        if self.trial is not None:
            origin = f"the values of trial {self.trial}"
        span = f"{digits(p.low, 4)} to {digits(p.high, 4)}"
        text = f"Predicted {digits(p.value, 4)} ({self.level:.0%} of runs: {span})"
        text += f", {self.failures:.0%} of runs fail; {origin}."
        if not self.rules_hold:
            text += (
                f" What the rules name is together predicted to be worse by "
                f"{digits(self.shortfall, 2)}, "
                "so no rule is printed: stay near this trial."
            )
        for param in self.against:
            text += (
                f" On average another `{param}` is better, but not at its best: "
                "no rule about it is printed."
            )
        return text


def that_go_together(
    frame: Frame,
    results: Sequence[SubspaceResults],
    rules: Sequence[Rule],
    level: float,
    chance: ChanceToFail,
) -> tuple[list[Rule], Recommendation | None]:
    """The rules to print, and the configuration to use with them.

    Not among them are those that name a value which contradicts the others, or the branch that is
    recommended.
    """

    def without(rule: Rule) -> list[Rule]:
        return [one for one in kept if one is not rule]

    kept, left_out = list(rules), list[str]()
    first = advised = recommend_inside(frame, results, kept, level, chance)
    while advised is not None and not advised.rules_hold:
        tried = [
            (recommend_inside(frame, results, without(rule), level, chance), rule)
            for rule in kept
            if rule.kind in NAMING
        ]
        found = [(one, rule) for one, rule in tried if one is not None]
        advised, rule = min(found, key=lambda each: (each[0].shortfall, each[1].share.value))
        kept, left_out = without(rule), [*left_out, rule.param]
    if first is None or advised is None:
        return kept, None
    gone = set(advised.against)
    kept = [one for one in kept if one.kind not in NAMING or one.param not in gone]
    if not first.rules_hold and not any(one.kind in NAMING for one in kept):
        return kept, first  # which says that nothing goes together
    return kept, replace(advised, against=(*advised.against, *left_out))


def recommend_inside(
    frame: Frame,
    results: Sequence[SubspaceResults],
    rules: Sequence[Rule],
    level: float,
    chance: ChanceToFail,
) -> Recommendation | None:
    """The configuration to use in a conditional space; `results` are the whole study's, first, and
    those of its branches.

    The whole study's model knows nothing of what only some trials have: to it a branch is worth
    what it is on average. So it decides on the branch only as long as no other one is clearly
    better with its own parameters set well, as that one's model predicts.
    """
    main, *branches = results
    advised = recommend(frame, main, rules, level, chance)
    if advised is None or not branches:
        return advised
    columns, active = main.subspace.columns, ~np.isnan(frame.unit)
    axes = [frame.axes[column] for column in columns]
    at = np.array([axis.to_unit([advised.params[axis.name]])[0] for axis in axes])
    complete = np.flatnonzero(main.subspace.rows & (frame.state == COMPLETE))
    nearest = complete[np.argmin(np.abs(frame.unit[complete][:, columns] - at).sum(axis=1))]
    median = float(np.median(frame.value[complete]))
    chosen, most = advised, -math.inf
    kinds = np.unique(active[complete], axis=0)
    for kind in sorted(kinds, key=lambda kind: not np.array_equal(kind, active[nearest])):
        alike = (active == kind).all(axis=1)
        inside = [one for one in branches if one.subspace.rows[complete][alike[complete]].all()]
        branch = max(inside, key=lambda one: len(one.subspace.columns), default=main)
        found = recommend(frame, branch, rules, level, chance, alike)
        if found is None:
            continue
        ahead = branch.advice.sign * (found.predicted.value - median) * (1 - found.failures)
        error = float(np.std(branch.advice.errors_at_best())) if math.isfinite(most) else 0.0
        if ahead > most + TOLERANCE * error:
            tried = frame.unit[alike & main.subspace.rows]
            chosen, most = replace(found, against=_against(frame, main, rules, tried)), ahead
    return chosen


def _against(
    frame: Frame, main: SubspaceResults, rules: Sequence[Rule], tried: Floats
) -> tuple[str, ...]:
    """What all trials have, and where trials (n, d) tried nothing that its rule names."""
    every = {frame.axes[column].name for column in main.subspace.columns}
    named = [rule for rule in rules if rule.param in every and rule.kind in NAMING]
    return tuple(rule.param for rule in named if not _has(frame, rule, tried))


def _has(frame: Frame, rule: Rule, tried: Floats) -> bool:
    """Whether trials (n, d) tried what a rule names."""
    column = next(j for j, axis in enumerate(frame.axes) if axis.name == rule.param)
    at = tried[:, column]
    if rule.kind == "threshold" and rule.unit_low is not None and rule.unit_high is not None:
        return bool(((at >= rule.unit_low) & (at <= rule.unit_high)).any())
    named = frame.axes[column].to_unit([rule.value, *rule.alternatives])
    return bool((np.abs(at[:, None] - named) <= EDGE).any())


def recommend(
    frame: Frame,
    found: SubspaceResults,
    rules: Sequence[Rule],
    level: float,
    chance: ChanceToFail,
    among: Bools | None = None,
) -> Recommendation | None:
    """The configuration to use; None where no trial was complete.

    `among` (n,) masks the trials that it may be or start from; None: all of the subspace.
    """
    advice, space = found.advice, found.subspace
    complete = to_choose(frame, found, rules, among)
    if not len(complete):
        return None
    x, rows = advice.table.x.astype(np.float64), np.flatnonzero(space.rows)
    worth_at = worth_of(found, complete, chance)
    of_trials = worth_at(advice.model.predict(x), frame.unit[rows])[complete]
    likely, tried = complete[np.argmax(of_trials)], best_trial(found, complete)
    # The trial that is predicted to be best, and the best one: as they are, and with all rules set.
    starts = np.array([likely, likely, tried, tried])
    points = x[starts]
    points[1:3] = [joint_setting(frame, found, rules, point) for point in points[1:3]]
    changed, units = points != x[starts], frame.unit[rows[starts]]
    units[:, space.columns] = np.where(changed, points, units[:, space.columns])
    predicted = advice.model.predict(points)
    worth = worth_at(predicted, units)
    shortfall, ahead = worth[3] - worth[2], worth[3] - np.median(of_trials)
    tolerance = max(TOLERANCE * float(np.std(advice.errors_at_best())), EQUAL * ahead)
    near = [_near(found, x, point) for point in points[:3]]
    use = int(np.argmax(np.where(near, worth[:3], -np.inf)))
    row, new = int(rows[starts[use]]), space.columns[changed[use]]
    axes, at = [frame.axes[column] for column in new], units[use, new]
    named = {axis.name: axis.from_unit(float(unit)) for axis, unit in zip(axes, at, strict=True)}
    return Recommendation(
        params=frame.params(row) | named,  # the others keep the trial's own, to the last digit
        predicted=_of_one_run_there(found, float(predicted[use]), level, frame.bounds),
        failures=float(chance.at(units[[use]])[0]),
        trial=None if named else int(frame.number[row]),
        rules_hold=bool(shortfall <= tolerance),
        shortfall=max(float(shortfall), 0.0),
        level=level,
    )


def _of_one_run_there(
    found: SubspaceResults, predicted: float, level: float, bounds: tuple[float, float]
) -> Estimate:
    """The metric of one run where the model predicts so much, which was picked for that."""
    advice, left_out = found.advice, found.advice.model.left_out
    half, quarter = advice.best_left_out(HALF), advice.best_left_out(BEST)
    if not len(half):
        return of_one_run(predicted, np.zeros(1), level, bounds)
    asked = np.append(predicted, left_out[quarter])
    expected = drawn_back(asked, left_out[half], advice.table.y[half])
    return of_one_run(float(expected[0]), advice.table.y[quarter] - expected[1:], level, bounds)


def drawn_back(predicted: Floats, left_out: Floats, values: Floats) -> Floats:
    """What trials gave of which a model predicted so much (m,), without knowing them.

    What is recommended was picked for its prediction, which is so too good (the winner's curse). So
    it is drawn back to the better trials, along the line through their values (n,) and left-out
    predictions (n,), as Cox (1958) calibrates. The slope is 1 with an error of SLOPE_ERROR before
    they are seen (a normal prior), and never above 1.

    Example:
        >>> left_out = np.linspace(-1, 1, 100)
        >>> drawn_back(np.array([2.0]), left_out, 0.4 * left_out).round(2).tolist()
        [0.8]
    """
    away, rest = left_out - left_out.mean(), values - values.mean()
    size = float(away @ away)
    if size == 0:
        return predicted
    slope = float(away @ rest) / size
    variance = float(np.sum((rest - slope * away) ** 2)) / max(len(values) - 2, 1) / size
    known = SLOPE_ERROR**2 / (SLOPE_ERROR**2 + variance)
    slope = float(np.clip(1 + known * (slope - 1), 0.0, 1.0))
    return np.asarray(values.mean() + slope * (predicted - left_out.mean()))


def worth_of(
    found: SubspaceResults, complete: Ints, chance: ChanceToFail
) -> Callable[[Floats, Floats], Floats]:
    """What runs are worth, by their predictions (m,) and units (m, D), larger is better.

    One that fails is worth the median prediction of the complete trials. The chance to fail counts
    where it depends on a parameter.
    """
    advice = found.advice
    x = advice.table.x[complete].astype(np.float64)
    median = float(np.median(advice.sign * advice.model.predict(x)))
    weighed = any(curve.weighed is not None for curve in found.curves)

    def worth(predicted: Floats, units: Floats) -> Floats:
        finish = 1 - chance.at(units) if weighed else np.ones(len(units))
        return np.asarray(median + (advice.sign * predicted - median) * finish)

    return worth


def of_one_run(
    predicted: float, errors: Floats, level: float, bounds: tuple[float, float]
) -> Estimate:
    """The metric of one run, from its prediction and n left-out errors (n,) of such predictions.

    A new error lies between any two neighbours of the n in order with the same chance, 1 / (n + 1).
    So its quantiles are at Weibull's plotting positions, as in split conformal prediction. Between
    the quantiles of the errors themselves 81% of runs would lie, where 90% is asked for and n is
    20.
    What n errors are too few to show, as one in a hundred of 20, is Student's.

    Where the metric has bounds, a prediction outside is what its runs, cut there, are on average.

    Example:
        >>> found = of_one_run(0.5, np.linspace(-0.1, 0.1, 19), 0.9, (0.0, 1.0))
        >>> [round(one, 3) for one in (found.value, found.low, found.high)]
        [0.5, 0.4, 0.6]
    """
    low, high = np.quantile(errors, tails(level), method="weibull")
    n, beyond = len(errors), tails(level)[0]
    if n > 1 and (n + 1) * beyond < 1 - 1e-9:
        reach = student.isf(beyond, n - 1) * errors.std(ddof=1) * np.sqrt(1 + 1 / n)
        low, high = min(low, errors.mean() - reach), max(high, errors.mean() + reach)
    runs = predicted + errors - errors.mean()
    mean = predicted + float(np.mean(np.clip(runs, *bounds) - runs))
    return Estimate(
        mean, min(predicted + float(low), mean), max(predicted + float(high), mean)
    ).within(*bounds)


def to_choose(
    frame: Frame, found: SubspaceResults, rules: Sequence[Rule], among: Bools | None = None
) -> Ints:
    """The complete trials of a subspace, by their rows: those that no rule says to avoid, if
    any."""
    may = frame.state == COMPLETE if among is None else among & (frame.state == COMPLETE)
    complete = np.flatnonzero(may[found.subspace.rows])
    safe = complete[~_avoided(found, rules, found.advice.table.x[complete].astype(np.float64))]
    return safe if len(safe) else complete


def best_trial(found: SubspaceResults, complete: Ints) -> int:
    """Which of the complete trials of a subspace, by their rows, has the best value."""
    return int(complete[np.argmax(found.advice.sign * found.advice.table.y[complete])])


def _avoided(found: SubspaceResults, rules: Sequence[Rule], x: Floats) -> Bools:
    """Which points (n, d) lie where a rule says to avoid a value, as trials fail there."""
    column = {grid.axis.name: j for j, grid in enumerate(found.advice.grids)}
    inside = np.zeros(len(x), bool)
    for rule in rules:
        if rule.kind == "avoid" and rule.param in column:
            (low, high), at = rule.unit_pieces[0], x[:, column[rule.param]]
            inside |= (at >= low - 1e-6) & (at <= high + 1e-6)
    return inside


def joint_setting(
    frame: Frame, found: SubspaceResults, rules: Sequence[Rule], start: Floats
) -> Floats:
    """`start` (d,) with the value of each rule that names one; of a region the nearest in it.

    What a branch of the space does not have, no value there is set to.
    """
    joint, axes = start.copy(), [frame.axes[c] for c in found.subspace.columns]
    named = {rule.param: rule for rule in rules if rule.kind in NAMING}
    for column, axis in enumerate(axes):
        rule = named.get(axis.name)
        if rule is None or rule.unit_low is None or rule.unit_high is None:
            continue
        value = joint[column]
        if rule.kind == "threshold":
            value = np.clip(value, rule.unit_low, rule.unit_high)
        elif rule.value not in (axis.from_unit(float(value)), *rule.alternatives):
            value = axis.to_unit([rule.value])[0]
        tried = frame.unit[found.subspace.rows, found.subspace.columns[column]]
        if found.subspace.within is None or np.abs(tried - value).min() <= EDGE:
            joint[column] = value
    return joint


def _near(found: SubspaceResults, x: Floats, point: Floats) -> bool:
    """Whether trials lie as near to a point (d,) as they do to each other.

    Distances count along each axis by the root of its share of the variance: what changes nothing
    may lie anywhere.
    """
    shares = {i.params[0]: i.share for i in found.importances if len(i.params) == 1}
    names = [grid.axis.name for grid in found.advice.grids]
    scale = np.sqrt([max(shares.get(name, 0.0), 0.0) for name in names])
    placed = np.unique(x * scale, axis=0)
    if len(placed) < 2:
        return False
    tree = cKDTree(placed)
    between = tree.query(placed, k=2)[0][:, 1]
    away = float(tree.query(point * scale)[0])
    return away <= max(float(np.quantile(between, FARTHEST)), 1e-9)
