"""Rules of thumb as objects; the sentence is printed from the object (method.md, section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from hpsearch.analysis.effects.conditional import Case, ConditionalOptimum
from hpsearch.analysis.effects.curve import Curve
from hpsearch.analysis.estimates import NOT_KNOWN, Estimate
from hpsearch.analysis.read.axes import Bools, Value
from hpsearch.core.terminal import visible
from hpsearch.core.words import code_html, digits, format_ranges, format_value, percent

Kind = Literal["optimum", "threshold", "avoid", "no-effect", "conditional", "edge"]
NAMING: tuple[Kind, ...] = ("optimum", "threshold", "edge")  # rules that name a value to use

FALSE_RATE = 0.05  # of effects called real
EDGE = 0.03  # an optimum this near to an end of the range lies at the edge
AS_GOOD = "default-may-be-as-good"
"""The flag of a rule whose default may be as good as its value."""
KNOWN = 0.5  # of the range: a best value within so much is worth a rule that rules no value out
WIDE = 0.7  # of the range: no rule where the best value and what may be as good are less sure
PLATEAU_DROP = 0.1  # of the curve's span: points within it of the best are as good
PLATEAU_WIDTH = 0.4  # a plateau at least this wide, reaching an end, makes a threshold


@dataclass(frozen=True, repr=False)
class Rule:
    """One recommendation, with everything that its sentence says.

    `value` in the parameter's unit, and the values that may be as good: all but those shown to be
    worse by more than `worth`, in the metric's unit. Numbers among them lie in `pieces` (low,
    high), the first of which begins at `low` and the last of which ends at `high`; categories are
    `alternatives`, and `low` is None. For "threshold" the one piece is the region to stay in, for
    "avoid" the region to keep away from. The one best value lies from `best_low` to `best_high`;
    of a region these are its ends.
    `gain` over the default and `gain_worst` over the worst of the range are in the metric's unit,
    positive is better. All of these hold while the other parameters are set well: in the best
    quarter of the space at each value. `mean_value` is what is best on average over the whole
    space. `share` is of the variance over the whole space.
    `validity`: the range (or choices) of every other parameter, within which it was found;
    `provenance`: study, first and last trial, cohorts, seed and versions.

    Source: docs/method.md, section 5, says what makes each kind of rule.

    Example:
        >>> import optuna
        >>> from hpsearch.analysis import explain
        >>> study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        >>> study.optimize(lambda trial: (trial.suggest_float("x", 0, 1) - 0.3) ** 2, n_trials=60)
        >>> rule = explain(study).rules[0]
        >>> rule.kind, rule.low < 0.3 < rule.high
        ('optimum', True)
        >>> rule.advice.startswith("`x`: use 0.")
        True
    """

    param: str
    kind: Kind
    value: Value
    low: Value
    high: Value
    level: float
    share: Estimate
    gain: Estimate | None
    gain_worst: Estimate | None
    default: Value
    metric: str
    n_trials: int
    flags: tuple[str, ...] = ()
    alternatives: tuple[Value, ...] = ()
    partner: str | None = None
    detail: str = ""
    unit_low: float | None = None
    unit_high: float | None = None
    mean_value: Value = None
    worth: float | None = None
    best_low: Value = None
    best_high: Value = None
    pieces: tuple[tuple[Value, Value], ...] = ()
    unit_pieces: tuple[tuple[float, float], ...] = ()
    validity: dict[str, tuple[Value, ...]] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def mean_differs(self) -> bool:
        """Whether the mean over the whole space is best at a value that the rule does not name."""
        if self.kind in ("avoid", "no-effect", "conditional") or self.mean_value is None:
            return False
        if self.low is None:
            return self.mean_value not in (self.value, *self.alternatives)
        mean = float(str(self.mean_value))
        return not any(float(str(low)) <= mean <= float(str(high)) for low, high in self.pieces)

    @property
    def statement(self) -> str:
        """The rule in a few short sentences."""
        return " ".join(part for part in (self.advice, self.detail, self.evidence) if part)

    @property
    def advice(self) -> str:
        """What to do, in one sentence that begins with the parameter's name."""
        return _advice(self)

    @property
    def evidence(self) -> str:
        """Why to believe it."""
        return _evidence(self)

    def __repr__(self) -> str:
        return f"<Rule {self.advice}>"

    def _repr_html_(self) -> str:
        why = " ".join(part for part in (self.detail, self.evidence) if part)
        return visible(f"<div><b>{code_html(self.advice)}</b> {code_html(why)}</div>")


def rules_of(curves: Sequence[Curve], metric: str) -> list[Rule]:
    """The rules of a trusted forest, the strongest parameters first."""
    matters = discoveries([curve.p_value for curve in curves], FALSE_RATE)
    rules = [
        rule
        for curve, shown in zip(curves, matters, strict=True)
        if (rule := rule_of(curve, metric, matters=shown)) is not None
    ]
    return sorted(rules, key=lambda rule: (rule.kind == "no-effect", -rule.share.value))


def discoveries(p_values: Sequence[float], rate: float) -> list[bool]:
    """Which effects are real, so that the expected share of false ones is at most `rate`.

    Source: Benjamini and Hochberg (1995).

    Example:
        >>> discoveries([0.001, 0.02, 0.03, 0.5], rate=0.05)
        [True, True, True, False]
    """
    ordered = np.sort(np.asarray(p_values, np.float64))
    passed = np.flatnonzero(ordered <= rate * np.arange(1, len(ordered) + 1) / len(ordered))
    limit = ordered[passed[-1]] if len(passed) else -1.0
    return [bool(p <= limit) for p in p_values]


def rule_of(curve: Curve, metric: str, *, matters: bool) -> Rule | None:
    """The rule of one parameter, None where the trials support none."""
    if curve.conditional is not None:
        return _conditional(curve, metric, curve.conditional)
    if not matters or curve.may_be_best.all():
        nothing = _no_effect(curve, metric)
        if nothing is not None or not matters or _changes_nothing(curve):
            return nothing
    gain_worst = curve.gain_over_worst()
    if curve.grid.axis.is_categorical:
        return _category(curve, metric, gain_worst)
    return _numeric(curve, metric, gain_worst)


def _changes_nothing(curve: Curve) -> bool:
    """Of a curve that rules no value out: what would a user change?"""
    if curve.default_given and curve.gain(curve.default).low > 0:
        return False
    if curve.grid.axis.is_categorical:
        return True
    low, high = curve.best_interval()
    return high - low > KNOWN


def _numeric(curve: Curve, metric: str, gain_worst: Estimate) -> Rule | None:
    points, (low, high) = curve.grid.points, curve.best_interval()
    best, plateau = float(points[curve.best]), _is_plateau(curve)
    if not plateau and min(high - low, float(curve.may_be_best.mean())) > WIDE:
        return None
    at_edge = best <= points[0] + EDGE or best >= points[-1] - EDGE
    kind: Kind = "optimum"
    pieces, inside = curve.pieces, curve.may_be_best
    if plateau and _reaches_one_end(inside):
        kind = "threshold"
        pieces = ((0.0, pieces[0][1]),) if inside[0] else ((pieces[0][0], 1.0),)
    elif not plateau and at_edge:
        kind = "edge"
    rule = _make(curve, metric, kind, best, pieces, gain_worst)
    at_a_jump = kind == "optimum" and curve.stay is not None and not curve.may_be_best.all()
    return replace(rule, detail=_at_a_jump(curve)) if at_a_jump else rule


def _at_a_jump(curve: Curve) -> str:
    """What to say of an optimum that lies at a jump, whose place its interval says."""
    low, high = map(curve.value_at, curve.best_interval())
    between, side = f"{format_value(low)} and {format_value(high)}", curve.stay
    return f"Somewhere between {between} it gets worse at once: stay {side}."


def _conditional(curve: Curve, metric: str, conditional: ConditionalOptimum) -> Rule:
    unit = float(curve.grid.points[curve.best])
    rule = _make(curve, metric, "conditional", unit, curve.pieces, curve.gain_over_worst())
    detail = "; ".join(
        f"with {_where(conditional.partner, one)} use {format_value(one.value)}{_as_good(one)}"
        for one in conditional.cases
    )
    return replace(rule, partner=conditional.partner, detail=f"{detail[:1].upper()}{detail[1:]}.")


def _as_good(case: Case) -> str:
    """In brackets what may be as good as the case's value; nothing where that is alone."""
    if case.alternatives:
        return f" (not clearly worse: {', '.join(map(format_value, case.alternatives))})"
    alone = all(low == high == case.value for low, high in case.pieces)
    return "" if alone else f" ({format_ranges(case.pieces)})"


def _where(partner: str, case: Case) -> str:
    if case.partner_low == case.partner_high:
        return f"`{partner}` {format_value(case.partner_low)}"
    return f"`{partner}` {format_value(case.partner_low)} to {format_value(case.partner_high)}"


def _is_plateau(curve: Curve) -> bool:
    """Whether what is about as good as the best is wide and reaches exactly one end."""
    near = curve.near_best(PLATEAU_DROP * curve.span)
    inside = curve.grid.points[near]
    return _reaches_one_end(near) and bool(inside[-1] - inside[0] >= PLATEAU_WIDTH)


def _reaches_one_end(inside: Bools) -> bool:
    """Whether the points (P,) that are inside are neighbours, from one of the two ends on."""
    return bool(inside[0] != inside[-1] and np.sum(inside[1:] != inside[:-1]) == 1)


def _category(curve: Curve, metric: str, gain_worst: Estimate) -> Rule | None:
    others = [point for point in range(len(curve.grid.points)) if point != curve.best]
    if all(curve.gain(point).low <= 0 for point in others):
        return None
    equal = (curve.grid.points[point] for point in others if curve.may_be_best[point])
    best = float(curve.grid.points[curve.best])
    rule = _make(curve, metric, "optimum", best, curve.pieces, gain_worst)
    return replace(rule, alternatives=tuple(map(curve.value_at, equal)))


def _no_effect(curve: Curve, metric: str) -> Rule | None:
    """An equivalence test: the effect is surely smaller than what is worth having."""
    widest = float(np.quantile(np.ptp(curve.marginal.wide_copies, axis=1), curve.level))
    if not widest < curve.worth:
        return None
    unit = float(curve.grid.points[curve.default])
    everything = () if curve.grid.axis.is_categorical else ((0.0, 1.0),)
    rule = _make(curve, metric, "no-effect", unit, everything, None)
    return replace(rule, gain=None)


def _make(
    curve: Curve,
    metric: str,
    kind: Kind,
    unit: float,
    unit_pieces: tuple[tuple[float, float], ...],
    gain_worst: Estimate | None,
) -> Rule:
    """`unit_pieces` on the sampling scale; of categories none."""
    gain = curve.gain(curve.default) if curve.default_given else None
    flags = {
        "default-unknown": gain is None,
        AS_GOOD: kind != "no-effect" and default_may_be_as_good(curve, gain),
        "conditional-parameter": curve.active < 1,
        "weighed-by-failures": kind != "no-effect" and curve.weighed is not None,
        "nothing-ruled-out": kind != "no-effect" and bool(curve.may_be_best.all()),
    }
    pieces = tuple((curve.value_at(low), curve.value_at(high)) for low, high in unit_pieces)
    low, high = (pieces[0][0], pieces[-1][1]) if pieces else (None, None)
    best_low, best_high = low, high
    if pieces and kind not in ("threshold", "no-effect"):
        best_low, best_high = map(curve.value_at, curve.best_interval())
    return Rule(
        param=curve.param,
        kind=kind,
        value=curve.value_at(unit),
        low=low,
        high=high,
        level=curve.level,
        share=curve.share,
        gain=gain,
        gain_worst=gain_worst,
        default=curve.default_value,
        metric=metric,
        n_trials=curve.n_trials,
        flags=tuple(flag for flag, holds in flags.items() if holds),
        unit_low=unit_pieces[0][0] if pieces else unit,
        unit_high=unit_pieces[-1][1] if pieces else unit,
        mean_value=curve.value_at(float(curve.grid.points[curve.best_of_mean])),
        worth=curve.worth,
        best_low=best_low,
        best_high=best_high,
        pieces=pieces,
        unit_pieces=unit_pieces,
    )


def _advice(rule: Rule) -> str:
    """What to do."""
    name, value = f"`{rule.param}`:", format_value(rule.value)
    between = format_ranges(rule.pieces)
    sure = f"{rule.level:.0%} interval {between}"
    if "nothing-ruled-out" in rule.flags and rule.best_low is not None:
        within = format_ranges(((rule.best_low, rule.best_high),))
        sure = f"{rule.level:.0%} interval of the best value {within}"
    if rule.kind == "no-effect":
        if "default-unknown" in rule.flags:  # somebody else's study says of no value that it is
            return f"{name} any value does: it makes no difference."
        default = format_value(rule.default)
        return f"{name} leave it at its default ({default}): it makes no difference."
    if rule.kind == "threshold":
        if rule.unit_low == 0:
            high = format_value(rule.high)
            return f"{name} any value up to {high} may be as good; higher ones are worse."
        low = format_value(rule.low)
        return f"{name} any value from {low} up may be as good; lower ones are worse."
    if rule.kind == "avoid":
        return f"{name} avoid {between}."
    if rule.kind == "conditional":
        return f"{name} the best value depends on `{rule.partner}`."
    if rule.kind == "edge":
        return f"{name} use {value}, the end of the range ({sure}): better ones may lie beyond."
    if rule.low is None:
        also = ", ".join(format_value(a) for a in rule.alternatives)
        return f"{name} use {value}" + (f" (not clearly worse: {also})." if also else ".")
    return f"{name} use {value} ({sure})."


def _ruled_out(rule: Rule) -> str:
    """What the rule says of the values that it does not name."""
    if rule.worth is None:
        return ""
    worth = f" by more than {digits(rule.worth, 2)}" if rule.worth else ""
    if rule.kind == "no-effect":
        return f"No value is better or worse{worth}."
    if "nothing-ruled-out" in rule.flags:
        return f"No value is surely worse{worth}."
    return f"All other values are surely worse{worth}."


def _evidence(rule: Rule) -> str:
    """Why to believe it."""
    share = rule.share
    parts = [_explains(share) if rule.kind != "avoid" or share.value > 0 else ""]
    if rule.gain is not None and AS_GOOD in rule.flags:  # a finding as well
        parts.append(f"{format_value(rule.default)} may be as good ({_amount(rule.gain)}).")
    elif rule.gain is not None and rule.gain.value != 0:
        parts.append(f"Against {format_value(rule.default)} it gains {_amount(rule.gain)}.")
    surely = rule.gain is None or rule.gain.low <= 0
    if surely and rule.gain_worst is not None and rule.gain_worst.low > 0:
        parts.append(f"Against the worst of the range it gains {_amount(rule.gain_worst)}.")
    if rule.mean_differs:
        parts.append(
            f"On average over the whole space {format_value(rule.mean_value)} is best; "
            "that mean counts settings of the others that nobody would use."
        )
    if "weighed-by-failures" in rule.flags:
        parts.append("What a value gains counts times its chance to finish.")
    parts += [_ruled_out(rule), f"{rule.n_trials} trials."]
    return " ".join(part for part in parts if part)


def _explains(share: Estimate) -> str:
    between = f"{percent(share.low)} to {percent(share.high)}"
    if share.high - share.low > NOT_KNOWN:
        return f"How much of the variance it explains is not known ({between})."
    return f"Explains {percent(share.value)} of the variance ({between})."


def default_may_be_as_good(curve: Curve, gain: Estimate | None) -> bool:
    """Whether the default may be as good as the value that gains so much over it; not where it is
    that value."""
    unsure = gain is not None and gain.low <= 0 and gain.value != 0
    return unsure and bool(curve.may_be_best[curve.default])


def _amount(gain: Estimate) -> str:
    return f"{digits(gain.value)} ({digits(gain.low, 2)} to {digits(gain.high, 2)})"
