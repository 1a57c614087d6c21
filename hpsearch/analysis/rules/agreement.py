"""Rules that name values which go well together (method.md, section 5, "agreement").

Each rule names the best value of its own curve, where the others are set well in one way or
another. Together the best values of several curves may be worse than the best trial. Most intervals
hold that trial's value as well, and the rule then names it instead, unless all values together are
surely better than the trial.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.special import ndtri

from hpsearch.analysis.effects.curve import Curve
from hpsearch.analysis.effects.failures import ChanceToFail
from hpsearch.analysis.effects.one_subspace import SubspaceResults
from hpsearch.analysis.effects.partial_residuals import Marginal
from hpsearch.analysis.read.axes import Floats
from hpsearch.analysis.read.frame import Frame
from hpsearch.analysis.rules.recommendation import best_trial, joint_setting, to_choose, worth_of
from hpsearch.analysis.rules.rules import AS_GOOD, EDGE, Rule, default_may_be_as_good


def agreed(
    frame: Frame,
    found: SubspaceResults,
    rules: Sequence[Rule],
    level: float,
    chance: ChanceToFail,
) -> list[Rule]:
    """The rules, some of which name the best trial's value instead of their curve's best. One that
    then rules no value out and names the default is left out.

    Only those of what the subspace reports change, and the best trial is that of the subspace. As
    long as the interval (of `level`) of what their joint setting gains over that trial does not lie
    above 0, the value whose change helps most is changed, if the rule's interval holds the trial's.
    """
    complete, agreed = to_choose(frame, found, rules), list(rules)
    if not len(complete):
        return agreed
    best = best_trial(found, complete)
    x, columns = found.advice.table.x[best].astype(np.float64), found.subspace.columns
    unit = frame.unit[np.flatnonzero(found.subspace.rows)[best]]
    worth = worth_of(found, complete, chance)

    def behind(points: Floats) -> Floats:
        """How far points (m, d) may lie behind the trial, at the far end of the interval."""
        units = np.repeat(unit[None], 1 + len(points), axis=0)
        units[1:, columns] = points
        predictions = found.advice.model.at(np.vstack([x, points]))
        at = worth(predictions.values, units)
        return np.asarray(
            at[0] - at[1:] + ndtri((1 + level) / 2) * predictions.errors_beside(0)[1:]
        )

    joint, may_change = joint_setting(frame, found, rules, x), _by_column(found, rules, x)
    left = [column for column in may_change if joint[column] != x[column]]
    while left and behind(joint[None])[0] >= 0:
        changed = np.repeat(joint[None], len(left), axis=0)
        changed[range(len(left)), left] = x[left]
        nearest = int(np.argmin(behind(changed)))
        joint = changed[nearest]
        left.pop(nearest)
    curves = {curve.param: curve for curve in found.curves}
    for column, index in may_change.items():
        if joint[column] == x[column]:
            exact = float(unit[columns[column]])
            named = _naming(rules[index], curves[rules[index].param], exact)
            if named.gain is None or named.gain.high >= 0:  # else the default is surely better
                agreed[index] = named
    return [rule for rule in agreed if not _keeps_the_default(rule)]


def _keeps_the_default(rule: Rule) -> bool:
    """Whether a user who follows the rule changes nothing, and learns of no value to avoid."""
    return "nothing-ruled-out" in rule.flags and rule.value == rule.default


def _by_column(found: SubspaceResults, rules: Sequence[Rule], x: Floats) -> dict[int, int]:
    """The rules, by their columns, whose intervals hold the value of a point (d,).

    None where gains and failures are weighed, which the model knows nothing of.
    """
    column = {grid.axis.name: j for j, grid in enumerate(found.advice.grids)}
    curves = {curve.param: curve for curve in found.curves if curve.weighed is None}
    return {
        column[rule.param]: index
        for index, rule in enumerate(rules)
        if rule.kind in ("optimum", "edge", "threshold") and rule.param in curves
        and _holds(curves[rule.param], x[column[rule.param]])
    }  # fmt: skip


def _holds(curve: Curve, unit: float) -> bool:
    """Whether a position may be as good as the curve's best."""
    return bool(curve.may_be_best[_point(curve, unit)])


def _point(curve: Curve, unit: float) -> int:
    return int(np.argmin(np.abs(curve.grid.points - unit)))


def _naming(rule: Rule, curve: Curve, unit: float) -> Rule:
    """The rule with another value, and what this one gains; its level set stays as it is, and the
    best value may lie here, too."""
    point, value = _point(curve, unit), curve.value_at(unit)
    only = curve.sign * (np.arange(len(curve.grid.points)) == point)
    copies = np.tile(only, (len(curve.marginal.copies), 1))
    there = replace(curve, weighed=Marginal(only, copies, copies))  # which chooses that point
    gain = there.gain(curve.default) if rule.gain is not None else None
    others = tuple(one for one in (rule.value, *rule.alternatives) if one != value)
    ends = curve.grid.points[[0, -1]]
    at_edge = bool(np.abs(ends - unit).min() <= EDGE)
    kept = tuple(flag for flag in rule.flags if flag != AS_GOOD)
    best = [rule.best_low, value, rule.best_high]
    if rule.low is not None:
        best.sort(key=lambda one: float(str(one)))
    return replace(
        rule,
        best_low=best[0],
        best_high=best[-1],
        kind="optimum" if rule.kind == "edge" and not at_edge else rule.kind,
        value=value,
        gain=gain,
        gain_worst=None if rule.gain_worst is None else there.gain_over_worst(),
        flags=(*kept, AS_GOOD) if default_may_be_as_good(curve, gain) else kept,
        alternatives=others if rule.low is None else (),
    )
