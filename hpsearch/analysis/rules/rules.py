"""Rules of thumb as objects; the sentence is printed from the object (method.md, section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeGuard

import numpy as np

from hpsearch.analysis.effects.conditional import Case, ConditionalOptimum
from hpsearch.analysis.effects.curve import Curve
from hpsearch.analysis.estimates import Estimate
from hpsearch.analysis.read.axes import Value
from hpsearch.core.terminal import visible
from hpsearch.core.words import code_html, format_value

Kind = Literal["optimum", "threshold", "avoid", "no-effect", "conditional", "edge"]

# Of effects called real. Where only a sampler that learns drew the trials, the test's level is not
# exact, and with .05 too many would be false.
FALSE_RATE = 0.05
FALSE_RATE_LEARNED = 0.02
EDGE = 0.03  # an optimum this near to an end of the range lies at the edge
WIDE = 0.7  # an interval wider than this share of the range recommends nothing
PLATEAU_DROP = 0.1  # of the curve's span: points within it of the best are as good
PLATEAU_EQUAL = 0.02  # of the span: where the region that the rule names ends
PLATEAU_WIDTH = 0.4  # a plateau at least this wide, reaching an end, makes a threshold
NEGLIGIBLE = 0.5  # of the noise floor: an effect surely smaller is none


@dataclass(frozen=True, repr=False)
class Rule:
    """One recommendation, with everything that its sentence says.

    `value` with interval `low` to `high` (None for categories) in the parameter's unit; for
    "threshold" the interval is the region to stay in, for "avoid" the region to keep away from.
    `gain` over the default and `gain_worst` over the worst of the range are in the metric's unit,
    positive is better. All of these hold while the other parameters are set well: in the best
    quarter of the space at each value. `mean_value` is what is best on average over the whole
    space. `share` is of the variance over the whole space. `alternatives` are categories not
    clearly worse.
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
    validity: dict[str, tuple[Value, ...]] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def mean_differs(self) -> bool:
        """Whether the mean over the whole space is best at a value that the rule does not name."""
        if self.kind in ("avoid", "no-effect", "conditional") or self.mean_value is None:
            return False
        if self.low is None:
            return self.mean_value not in (self.value, *self.alternatives)
        low, high, mean = float(str(self.low)), float(str(self.high)), float(str(self.mean_value))
        return not low <= mean <= high

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


def rules_of(curves: Sequence[Curve], metric: str, *, learned: bool = False) -> list[Rule]:
    """The rules of a trusted forest, the strongest parameters first.

    `learned`: a sampler that learns drew all trials.
    """
    rate = FALSE_RATE_LEARNED if learned else FALSE_RATE
    matters = discoveries([curve.p_value for curve in curves], rate)
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
    if not matters:
        return _no_effect(curve, metric)
    gain_worst = curve.gain_over_worst()
    if curve.grid.axis.is_categorical:
        return _category(curve, metric, gain_worst)
    return _numeric(curve, metric, gain_worst)


def _numeric(curve: Curve, metric: str, gain_worst: Estimate) -> Rule | None:
    points = curve.grid.points
    low, high = curve.best_interval()
    best = float(points[curve.best])
    plateau = _plateau(curve)
    if plateau is not None:
        low, high = plateau
        return _make(curve, metric, "threshold", best, low, high, gain_worst)
    if high - low > WIDE:
        return None
    start, end = float(points[0]) + EDGE, float(points[-1]) - EDGE
    if (best <= start and low <= start) or (best >= end and high >= end):
        return _make(curve, metric, "edge", best, low, high, gain_worst)
    rule = _make(curve, metric, "optimum", best, low, high, gain_worst)
    return rule if curve.stay is None else replace(rule, detail=_at_a_jump(rule, curve.stay))


def _at_a_jump(rule: Rule, side: str) -> str:
    """What to say of an optimum that lies at a jump; the interval is that of its place."""
    between = f"{format_value(rule.low)} and {format_value(rule.high)}"
    return f"Somewhere between {between} it gets worse at once: stay {side}."


def _conditional(curve: Curve, metric: str, conditional: ConditionalOptimum) -> Rule:
    low, high = curve.best_interval()
    unit = float(curve.grid.points[curve.best])
    rule = _make(curve, metric, "conditional", unit, low, high, curve.gain_over_worst())
    detail = "; ".join(
        f"with {_where(conditional.partner, b)} use {format_value(b.value)}"
        + ("" if b.low == b.high else f" ({format_value(b.low)} to {format_value(b.high)})")
        for b in conditional.cases
    )
    return replace(rule, partner=conditional.partner, detail=f"{detail[:1].upper()}{detail[1:]}.")


def _where(partner: str, case: Case) -> str:
    if case.partner_low == case.partner_high:
        return f"`{partner}` {format_value(case.partner_low)}"
    return f"`{partner}` {format_value(case.partner_low)} to {format_value(case.partner_high)}"


def _plateau(curve: Curve) -> tuple[float, float] | None:
    """The region as good as the best, if it is wide and reaches exactly one end."""
    near = np.flatnonzero(curve.near_best(PLATEAU_DROP * curve.span))
    points = curve.grid.points
    if len(near) != near[-1] - near[0] + 1:
        return None
    low, high = float(points[near[0]]), float(points[near[-1]])
    # Below the plateau's mean, not its highest point, which is noise.
    level = curve.score[near].mean() - PLATEAU_EQUAL * curve.span
    equal = points[near][curve.score[near] >= level]
    at_start, at_end = near[0] == 0, near[-1] == len(points) - 1
    if at_start == at_end or high - low < PLATEAU_WIDTH:
        return None
    return (0.0, float(equal[-1])) if at_start else (float(equal[0]), 1.0)


def _category(curve: Curve, metric: str, gain_worst: Estimate) -> Rule | None:
    points, best = curve.grid.points, curve.best
    equal = tuple(
        curve.value_at(point)
        for index, point in enumerate(points)
        if index != best and curve.gain(index).low <= 0
    )
    if len(equal) == len(points) - 1:
        return None
    unit = float(points[best])
    rule = _make(curve, metric, "optimum", unit, unit, unit, gain_worst)
    return replace(rule, low=None, high=None, alternatives=equal)


def _no_effect(curve: Curve, metric: str) -> Rule | None:
    """An equivalence test: the effect is surely smaller than half the noise floor."""
    widest = float(np.quantile(np.ptp(curve.marginal.wide_copies, axis=1), curve.level))
    if not widest < NEGLIGIBLE * curve.noise:
        return None
    unit = float(curve.grid.points[curve.default])
    rule = _make(curve, metric, "no-effect", unit, 0.0, 1.0, None)
    return replace(rule, gain=None)


def _make(
    curve: Curve,
    metric: str,
    kind: Kind,
    unit: float,
    low: float,
    high: float,
    gain_worst: Estimate | None,
) -> Rule:
    gain = curve.gain(curve.default) if curve.default_given else None
    flags = {
        "default-unknown": gain is None,
        "default-may-be-as-good": kind != "no-effect" and _unsure(gain),
        "conditional-parameter": curve.active < 1,
    }
    return Rule(
        param=curve.param,
        kind=kind,
        value=curve.value_at(unit),
        low=curve.value_at(low),
        high=curve.value_at(high),
        level=curve.level,
        share=curve.share,
        gain=gain,
        gain_worst=gain_worst,
        default=curve.default_value,
        metric=metric,
        n_trials=curve.n_trials,
        flags=tuple(flag for flag, holds in flags.items() if holds),
        unit_low=low,
        unit_high=high,
        mean_value=curve.value_at(float(curve.grid.points[curve.best_of_mean])),
    )


def _advice(rule: Rule) -> str:
    """What to do."""
    name, value = f"`{rule.param}`:", format_value(rule.value)
    between = f"{format_value(rule.low)} to {format_value(rule.high)}"
    between = value if rule.low == rule.high else between  # one category
    if rule.kind == "no-effect":
        if "default-unknown" in rule.flags:  # somebody else's study says of no value that it is
            return f"{name} any value does, it changes nothing."
        return f"{name} leave it at its default ({format_value(rule.default)}), it changes nothing."
    if rule.kind == "threshold":
        side = (
            f"up to {format_value(rule.high)}"
            if rule.unit_low == 0
            else f"from {format_value(rule.low)} on"
        )
        return f"{name} {side} nothing changes; beyond it gets worse."
    if rule.kind == "avoid":
        return f"{name} avoid {between}."
    if rule.kind == "conditional":
        return f"{name} the best value depends on `{rule.partner}`."
    if rule.kind == "edge":
        return f"{name} the best value, {value}, is at the edge of the range: widen it."
    if rule.low is None:
        also = ", ".join(format_value(a) for a in rule.alternatives)
        return f"{name} use {value}" + (f" (not clearly worse: {also})." if also else ".")
    return f"{name} use {value} ({rule.level:.0%} interval {between})."


def _evidence(rule: Rule) -> str:
    """Why to believe it."""
    share = rule.share
    parts = [
        f"Explains {share.value:.0%} of the variance ({share.low:.0%} to {share.high:.0%})."
        if rule.kind != "avoid" or share.value > 0
        else ""
    ]
    if _unsure(rule.gain):  # said, not left out: that the default will do is a finding as well
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
    parts.append(f"{rule.n_trials} trials.")
    return " ".join(part for part in parts if part)


def _unsure(gain: Estimate | None) -> TypeGuard[Estimate]:
    """Whether the best value may be no better than the default; not where it is the default."""
    return gain is not None and gain.low <= 0 and gain.value != 0


def _amount(gain: Estimate) -> str:
    return f"{gain.value:.3g} ({gain.low:.2g} to {gain.high:.2g})"
