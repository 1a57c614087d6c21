"""Rules that name values which go well together (method.md, section 5, "agreement").

Each rule names the best value of its own curve, where the others are set well in one way or
another. Together the best values of several curves may be worse than the best trial. Most intervals
hold that trial's value as well, and the rule then names it instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hpsearch.analysis.effects.curve import Curve
from hpsearch.analysis.effects.one_subspace import SubspaceResults
from hpsearch.analysis.effects.partial_residuals import Marginal
from hpsearch.analysis.read.axes import Floats
from hpsearch.analysis.read.frame import FAILED, Frame
from hpsearch.analysis.rules.recommendation import joint_setting, to_choose
from hpsearch.analysis.rules.rules import EDGE, Rule

CAUTION = 1.0  # standard errors by which the joint setting has to be ahead of the trial


def agreed(frame: Frame, found: SubspaceResults, rules: Sequence[Rule]) -> list[Rule]:
    """The rules, some of which name the best trial's value instead of their curve's best.

    Only those of what the subspace reports change, and the best trial is that of the subspace. As
    long as the model does not surely predict their joint setting to be better than that trial,
    the value whose change helps most is changed, if the rule's interval holds the trial's.
    """
    advice, complete, agreed = found.advice, to_choose(frame, found, rules), list(rules)
    if not len(complete) or np.any(frame.state == FAILED):  # else gains and failures are weighed
        return agreed
    x = advice.table.x.astype(np.float64)
    at_trials = advice.sign * advice.model.predict(x[complete])
    best = complete[int(np.argmax(at_trials))]
    joint = joint_setting(frame, found, rules, x[best])
    column = {grid.axis.name: j for j, grid in enumerate(advice.grids)}
    curves = {curve.param: curve for curve in found.curves}
    may_change = {
        column[rule.param]: index
        for index, rule in enumerate(agreed)
        if rule.kind in ("optimum", "edge") and rule.param in curves and rule.param in column
        and joint[column[rule.param]] != x[best, column[rule.param]]
        and _holds(curves[rule.param], x[best, column[rule.param]])
    }  # fmt: skip
    row = np.flatnonzero(found.subspace.rows)[best]
    behind = float(_behind(found, x[best], joint[None])[0])
    while behind > 0 and may_change:
        columns = list(may_change)
        changed = np.repeat(joint[None], len(columns), axis=0)
        changed[range(len(columns)), columns] = x[best, columns]
        left = _behind(found, x[best], changed)
        nearest = int(np.argmin(left))
        if left[nearest] >= behind:
            break
        behind, joint, j = float(left[nearest]), changed[nearest], columns[nearest]
        index, exact = may_change.pop(j), frame.unit[row, found.subspace.columns[j]]
        rule = agreed[index]
        agreed[index] = _naming(rule, curves[rule.param], float(exact))
    return agreed


def _behind(found: SubspaceResults, trial: Floats, x: Floats) -> Floats:
    """How far points (m, d) may lie behind a trial (d,), as the model predicts both."""
    advice, every = found.advice, np.vstack([trial, x])
    predictions = advice.model.at(every)
    worth = advice.sign * predictions.values
    covariance = predictions.covariance_of_means(np.eye(len(every)))
    if covariance is None:
        return np.asarray(worth[0] - worth[1:])
    own = np.diag(covariance)
    variance = np.maximum(own[0] + own[1:] - 2 * covariance[0, 1:], 0.0)
    return np.asarray(worth[0] - worth[1:] + CAUTION * np.sqrt(variance))


def _holds(curve: Curve, unit: float) -> bool:
    """Whether a position may be as good as the curve's best."""
    return bool(curve.may_be_best[_point(curve, unit)])


def _point(curve: Curve, unit: float) -> int:
    return int(np.argmin(np.abs(curve.grid.points - unit)))


def _naming(rule: Rule, curve: Curve, unit: float) -> Rule:
    """The rule with another value, and what this one gains; its interval stays as it is."""
    point, value = _point(curve, unit), curve.value_at(unit)
    only = curve.sign * (np.arange(len(curve.grid.points)) == point)
    copies = np.tile(only, (len(curve.marginal.copies), 1))
    there = replace(curve, weighed=Marginal(only, copies, copies))  # which chooses that point
    gain = there.gain(curve.default) if rule.gain is not None else None
    others = tuple(one for one in (rule.value, *rule.alternatives) if one != value)
    ends = curve.grid.points[[0, -1]]
    at_edge = bool(np.abs(ends - unit).min() <= EDGE)
    return replace(
        rule,
        kind="edge" if rule.kind == "edge" and at_edge else "optimum",
        value=value,
        gain=gain,
        gain_worst=None if rule.gain_worst is None else there.gain_over_worst(),
        flags=_flags(rule, gain is not None and gain.low <= 0 and gain.value != 0),
        alternatives=others if rule.low is None else (),
    )


def _flags(rule: Rule, unsure: bool) -> tuple[str, ...]:
    kept = tuple(flag for flag in rule.flags if flag != "default-may-be-as-good")
    return (*kept, "default-may-be-as-good") if unsure else kept
