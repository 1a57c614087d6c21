"""Where trials fail: the probability along each parameter, and regions to avoid (spec, section 2).

The curves come from a second forest. A rule needs more: a region beyond a cut, or one category,
where trials fail clearly more often than elsewhere; the largest contrast over all parameters and
cuts is compared with what shuffled failures give.
"""

from __future__ import annotations

import numpy as np

from hpsearch.analysis.anova import decompose
from hpsearch.analysis.axes import Bools, Floats
from hpsearch.analysis.effects import build_grid, marginal_at
from hpsearch.analysis.explanation import Failures
from hpsearch.analysis.forest import Settings, build_table, grow
from hpsearch.analysis.frame import FAILED, Frame
from hpsearch.analysis.readings import Estimate
from hpsearch.analysis.rules import Rule

MIN_FAILURES = 4
MIN_REGION = 5  # trials inside a region that is to be avoided
MIN_RATE = 0.25  # of failures inside it
N_SHUFFLES = 499


def read_failures(frame: Frame, stream: np.random.SeedSequence) -> Failures:
    """The failure rate, and along each unconditional parameter when some fail and some do not."""
    failed = frame.state == FAILED
    rate, n_failed = float(failed.mean()), int(failed.sum())
    always = np.flatnonzero(~np.isnan(frame.unit).any(axis=0))
    if n_failed < MIN_FAILURES or n_failed == len(failed) or not len(always):
        return Failures(rate, n_failed)
    axes = [frame.axes[c] for c in always]
    table = build_table(axes, frame.unit[:, always], failed.astype(np.float64), frame.group)
    forest = grow(table, Settings(leaf=5), np.random.default_rng(stream))
    anova = decompose(forest, pairs=False, n_points_log2=0)
    grids = [build_grid(axis, frame.unit[:, c]) for axis, c in zip(axes, always, strict=True)]
    curves = {
        axis.name: np.clip(marginal_at(forest, anova, column, grids[column].points), 0.0, 1.0)
        for column, axis in enumerate(axes)
    }
    return Failures(rate, n_failed, curves)


def failure_rules(frame: Frame, level: float, stream: np.random.SeedSequence) -> list[Rule]:
    """At most one avoid rule a parameter, the clearest region first."""
    failed = frame.state == FAILED
    if failed.sum() < MIN_FAILURES or failed.all():
        return []
    regions = _regions(frame)
    if not regions:
        return []
    inside = np.stack([rows for _, _, _, rows in regions]).astype(np.float64)
    observed = _contrasts(inside, failed[None].astype(np.float64))[0]
    rng = np.random.default_rng(stream)
    shuffles = np.stack([rng.permutation(failed) for _ in range(N_SHUFFLES)]).astype(np.float64)
    threshold = np.quantile(_contrasts(inside, shuffles).max(axis=1), 0.95)
    rules: dict[int, Rule] = {}
    for index in np.argsort(-observed):
        column, low, high, rows = regions[index]
        if observed[index] <= threshold or column in rules:
            continue
        if failed[rows].mean() >= MIN_RATE:
            rules[column] = _rule(frame, level, column, low, high, rows)
    return list(rules.values())


def _regions(frame: Frame) -> list[tuple[int, float, float, Bools]]:
    """(column, low, high, rows inside): both sides of every cut, every category."""
    regions = []
    for column, axis in enumerate(frame.axes):
        unit = frame.unit[:, column]
        known = np.unique(unit[~np.isnan(unit)])
        if axis.is_categorical:
            bounds = [(value, value) for value in known]
        else:
            cuts = np.unique(np.quantile(known, np.linspace(0, 1, 41)[1:-1]))
            bounds = [(0.0, float(c)) for c in cuts] + [(float(c), 1.0) for c in cuts]
        for low, high in bounds:
            rows = (unit >= low - 1e-9) & (unit <= high + 1e-9)
            if MIN_REGION <= rows.sum() <= len(unit) - MIN_REGION:
                regions.append((column, float(low), float(high), rows))
    return regions


def _contrasts(inside: Floats, failed: Floats) -> Floats:
    """Standardised excess of failures inside each region: (regions, n), (S, n) -> (S, regions)."""
    n, size = inside.shape[1], inside.sum(axis=1)
    total = failed.sum(axis=1, keepdims=True)
    expected = total * size / n
    spread = np.sqrt(total * (n - total) * size * (n - size) / (n**2 * (n - 1)))
    return np.asarray((failed @ inside.T - expected) / spread)


def _rule(frame: Frame, level: float, column: int, low: float, high: float, rows: Bools) -> Rule:
    axis, failed = frame.axes[column], frame.state == FAILED
    share = float(failed[rows].mean())
    elsewhere = float(failed[~rows].mean())
    return Rule(
        param=axis.name,
        kind="avoid",
        value=axis.from_unit((low + high) / 2),
        low=axis.from_unit(low),
        high=axis.from_unit(high),
        level=level,
        share=Estimate(0.0, 0.0, 0.0),
        gain=None,
        gain_worst=None,
        default=axis.from_unit(float(frame.default[column])),
        metric=frame.metric,
        n_trials=frame.n_trials,
        flags=("failures",),
        detail=f"{share:.0%} of trials fail there, {elsewhere:.0%} elsewhere.",
        unit_low=low,
        unit_high=high,
    )
