"""Rules of thumb as objects; the sentence is printed from the object (spec, section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeGuard

import numpy as np

from hpsearch.analysis.axes import Value
from hpsearch.analysis.readings import Estimate, Reading
from hpsearch.analysis.splits import Branch, Split

Kind = Literal["optimum", "threshold", "avoid", "no-effect", "conditional", "edge"]

FALSE_RATE = 0.005  # of effects called real; samplers that learn make it several times as much
EDGE = 0.03  # an optimum this near to an end of the range lies at the edge
WIDE = 0.7  # an interval wider than this share of the range recommends nothing
PLATEAU_DROP = 0.1  # of the curve's span: points within it of the best are as good
PLATEAU_EQUAL = 0.02  # of the span: where the region that the rule names ends
PLATEAU_WIDTH = 0.4  # a plateau at least this wide, reaching an end, makes a threshold
NEGLIGIBLE = 0.5  # of the noise floor: an effect surely smaller is none


@dataclass(frozen=True)
class Rule:
    """One recommendation, with everything that its sentence says.

    `value` with interval `low` to `high` (None for categories) in the parameter's unit; for
    "threshold" the interval is the region to stay in, for "avoid" the region to keep away from.
    `gain` over the default and `gain_worst` over the worst of the range are in the metric's unit,
    positive is better. `share` is of the variance. `alternatives` are categories not clearly worse.
    `validity`: the range (or choices) of every other parameter, within which it was found;
    `provenance`: study, first and last trial, cohorts, seed and versions.
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
    validity: dict[str, tuple[Value, ...]] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

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


def rules_of(readings: Sequence[Reading], metric: str) -> list[Rule]:
    """The rules of a trusted forest, the strongest parameters first."""
    matters = discoveries([reading.curve.p_value for reading in readings])
    rules = [
        rule
        for reading, shown in zip(readings, matters, strict=True)
        if (rule := rule_of(reading, metric, matters=shown)) is not None
    ]
    return sorted(rules, key=lambda rule: (rule.kind == "no-effect", -rule.share.value))


def discoveries(p_values: Sequence[float], rate: float = FALSE_RATE) -> list[bool]:
    """Which effects are real, the expected share of false ones at most `rate`.

    Benjamini and Hochberg (1995).
    """
    ordered = np.sort(np.asarray(p_values, np.float64))
    passed = np.flatnonzero(ordered <= rate * np.arange(1, len(ordered) + 1) / len(ordered))
    limit = ordered[passed[-1]] if len(passed) else -1.0
    return [bool(p <= limit) for p in p_values]


def rule_of(reading: Reading, metric: str, *, matters: bool) -> Rule | None:
    """The rule of one parameter, None where the trials support none."""
    if reading.split is not None:
        return _conditional(reading, metric, reading.split)
    if not matters:
        return _no_effect(reading, metric)
    if not reading.surely_gains():
        return None
    gain_worst = reading.gain_over_worst()
    if reading.grid.axis.is_categorical:
        return _category(reading, metric, gain_worst)
    return _numeric(reading, metric, gain_worst)


def _numeric(reading: Reading, metric: str, gain_worst: Estimate) -> Rule | None:
    points = reading.grid.points
    low, high = reading.best_interval()
    best = float(points[reading.best])
    plateau = _plateau(reading)
    if plateau is not None:
        low, high = plateau
        return _make(reading, metric, "threshold", best, low, high, gain_worst)
    if high - low > WIDE:
        return None
    start, end = float(points[0]) + EDGE, float(points[-1]) - EDGE
    if (best <= start and low <= start) or (best >= end and high >= end):
        return _make(reading, metric, "edge", best, low, high, gain_worst)
    return _make(reading, metric, "optimum", best, low, high, gain_worst)


def _conditional(reading: Reading, metric: str, split: Split) -> Rule:
    low, high = reading.best_interval()
    unit = float(reading.grid.points[reading.best])
    rule = _make(reading, metric, "conditional", unit, low, high, reading.gain_over_worst())
    detail = "; ".join(
        f"with {_where(split.partner, b)} use {show(b.value)}"
        + ("" if b.low == b.high else f" ({show(b.low)} to {show(b.high)})")
        for b in split.branches
    )
    return replace(rule, partner=split.partner, detail=f"{detail[:1].upper()}{detail[1:]}.")


def _where(partner: str, branch: Branch) -> str:
    if branch.partner_low == branch.partner_high:
        return f"`{partner}` {show(branch.partner_low)}"
    return f"`{partner}` {show(branch.partner_low)} to {show(branch.partner_high)}"


def _plateau(reading: Reading) -> tuple[float, float] | None:
    """The region as good as the best, if it is wide and reaches exactly one end."""
    near = np.flatnonzero(reading.near_best(PLATEAU_DROP * reading.span))
    points = reading.grid.points
    if len(near) != near[-1] - near[0] + 1:
        return None
    low, high = float(points[near[0]]), float(points[near[-1]])
    # Below the plateau's mean, not its highest point, which is noise.
    level = reading.score[near].mean() - PLATEAU_EQUAL * reading.span
    equal = points[near][reading.score[near] >= level]
    at_start, at_end = near[0] == 0, near[-1] == len(points) - 1
    if at_start == at_end or high - low < PLATEAU_WIDTH:
        return None
    return (0.0, float(equal[-1])) if at_start else (float(equal[0]), 1.0)


def _category(reading: Reading, metric: str, gain_worst: Estimate) -> Rule | None:
    points, best = reading.grid.points, reading.best
    equal = tuple(
        reading.value_at(point)
        for index, point in enumerate(points)
        if index != best and reading.gain(index).low <= 0
    )
    if len(equal) == len(points) - 1:
        return None
    unit = float(points[best])
    rule = _make(reading, metric, "optimum", unit, unit, unit, gain_worst)
    return replace(rule, low=None, high=None, alternatives=equal)


def _no_effect(reading: Reading, metric: str) -> Rule | None:
    """An equivalence test: the effect is surely smaller than half the noise floor."""
    widest = float(np.quantile(np.ptp(reading.curve.wide_copies, axis=1), reading.level))
    if not widest < NEGLIGIBLE * reading.noise:
        return None
    unit = float(reading.grid.points[reading.default])
    rule = _make(reading, metric, "no-effect", unit, 0.0, 1.0, None)
    return replace(rule, gain=None)


def _make(
    reading: Reading,
    metric: str,
    kind: Kind,
    unit: float,
    low: float,
    high: float,
    gain_worst: Estimate | None,
) -> Rule:
    gain = reading.gain(reading.default) if reading.default_given else None
    flags = {
        "default-unknown": gain is None,
        "default-may-be-as-good": kind != "no-effect" and _unsure(gain),
        "conditional-parameter": reading.active < 1,
    }
    return Rule(
        param=reading.param,
        kind=kind,
        value=reading.value_at(unit),
        low=reading.value_at(low),
        high=reading.value_at(high),
        level=reading.level,
        share=reading.share,
        gain=gain,
        gain_worst=gain_worst,
        default=reading.default_value,
        metric=metric,
        n_trials=reading.n_trials,
        flags=tuple(flag for flag, holds in flags.items() if holds),
        unit_low=low,
        unit_high=high,
    )


def _advice(rule: Rule) -> str:
    """What to do."""
    name, value = f"`{rule.param}`:", show(rule.value)
    between = f"{show(rule.low)} to {show(rule.high)}"
    if rule.kind == "no-effect":
        if "default-unknown" in rule.flags:  # somebody else's study says of no value that it is
            return f"{name} any value does, it changes nothing."
        return f"{name} leave it at its default ({show(rule.default)}), it changes nothing."
    if rule.kind == "threshold":
        side = f"up to {show(rule.high)}" if rule.unit_low == 0 else f"from {show(rule.low)} on"
        return f"{name} {side} nothing changes; beyond it gets worse."
    if rule.kind == "avoid":
        return f"{name} avoid {between}."
    if rule.kind == "conditional":
        return f"{name} the best value depends on `{rule.partner}`."
    if rule.kind == "edge":
        return f"{name} the best value, {value}, is at the edge of the range: widen it."
    if rule.low is None:
        also = ", ".join(show(a) for a in rule.alternatives)
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
        parts.append(f"{show(rule.default)} may be as good ({_amount(rule.gain)}).")
    elif rule.gain is not None and rule.gain.value != 0:
        parts.append(f"Against {show(rule.default)} it gains {_amount(rule.gain)}.")
    surely = rule.gain is None or rule.gain.low <= 0
    if surely and rule.gain_worst is not None and rule.gain_worst.low > 0:
        parts.append(f"Against the worst of the range it gains {_amount(rule.gain_worst)}.")
    parts.append(f"{rule.n_trials} trials.")
    return " ".join(part for part in parts if part)


def _unsure(gain: Estimate | None) -> TypeGuard[Estimate]:
    """Whether the best value may be no better than the default; not where it is the default."""
    return gain is not None and gain.low <= 0 and gain.value != 0


def _amount(gain: Estimate) -> str:
    return f"{gain.value:.3g} ({gain.low:.2g} to {gain.high:.2g})"


def show(value: Value) -> str:
    """A parameter's value as a person writes it: three digits, 0.001 rather than 1e-3."""
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{float(f'{value:.3g}'):,g}" if abs(value) < 1e3 else f"{value:,.0f}"
    return f"{value:.2e}".replace("e-0", "e-").replace("e+0", "e")
