"""Regions to avoid, where trials fail (method.md, section 2).

A rule needs more than a curve of failures: a region beyond a cut, or one category, where trials
fail clearly more often than elsewhere. Elsewhere means among the trials that have this parameter.
The largest contrast over all parameters and cuts is compared with the largest that shuffled
failures give. Then the trials of the clearest region are set aside, and the rest is searched again:
what failed for that reason is no evidence against another value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpsearch.analysis.effects.failures import MIN_FAILURES
from hpsearch.analysis.estimates import Estimate
from hpsearch.analysis.read.axes import Bools, Floats
from hpsearch.analysis.read.frame import FAILED, Frame
from hpsearch.analysis.rules.rules import NAMING, Rule

MIN_REGION = 5  # trials inside a region that is to be avoided
MIN_RATE = 0.25  # of failures inside it
N_SHUFFLES = 499


@dataclass(frozen=True)
class Region:
    """Values of one column from `low` to `high`, and the trials (n,) `inside`.

    `among` (n,) are the trials that have the parameter.
    """

    column: int
    low: float
    high: float
    inside: Bools
    among: Bools


def failure_rules(frame: Frame, level: float, stream: np.random.SeedSequence) -> list[Rule]:
    """At most one avoid rule a parameter, the clearest region first."""
    failed = frame.state == FAILED
    rng = np.random.default_rng(stream)
    left, columns = np.ones(len(failed), bool), set(range(len(frame.axes)))
    rules: list[Rule] = []
    while columns and failed[left].sum() >= MIN_FAILURES and not failed[left].all():
        region = _clearest(frame, failed, left, columns, rng)
        if region is None:
            break
        rules.append(_rule(frame, level, region))
        columns.remove(region.column)
        left &= ~region.inside
    return rules


def beside(frame: Frame, avoid: Sequence[Rule], named: Sequence[Rule]) -> list[Rule]:
    """The rules to avoid a region, without the values that another rule says may be as good.

    Near a cliff of failures a value may gain more than it fails. A region of fewer than MIN_REGION
    trials beside those values is none.
    """
    names = {rule.param: rule for rule in named if rule.kind in NAMING}
    found = [_without(frame, one, names[one.param]) if one.param in names else one for one in avoid]
    return [rule for rule in found if rule is not None]


def _without(frame: Frame, rule: Rule, named: Rule) -> Rule | None:
    column = next(c for c, axis in enumerate(frame.axes) if axis.name == rule.param)
    axis, unit = frame.axes[column], frame.unit[:, column]
    ((low, high),) = rule.unit_pieces
    if axis.is_categorical:
        return None if rule.value in (named.value, *named.alternatives) else rule
    beyond = 1e-6 if axis.n_levels else 0.0  # the last whole number to use is none to avoid
    if high >= np.nanmax(unit):
        low = max(low, *(end + beyond for _, end in named.unit_pieces))
    else:
        high = min(high, *(start - beyond for start, _ in named.unit_pieces))
    if (low, high) == rule.unit_pieces[0]:
        return rule
    has = ~np.isnan(unit)
    inside = (unit >= low - 1e-9) & (unit <= high + 1e-9)
    if inside.sum() < MIN_REGION:
        return None
    return _rule(frame, rule.level, Region(column, low, high, inside, has))


def _clearest(
    frame: Frame, failed: Bools, left: Bools, columns: set[int], rng: np.random.Generator
) -> Region | None:
    """The region with the largest contrast of those in which enough fail, where chance gives none.

    Trials are shuffled among those that have the parameter: a branch may fail more than others.
    """
    best, best_contrast, by_chance = None, 0.0, np.zeros(N_SHUFFLES)
    for among, regions in _regions(frame, left, columns):
        inside = np.stack([region.inside[among] for region in regions]).astype(np.float64)
        here = failed[among]
        shuffled = [here] + [rng.permutation(here) for _ in range(N_SHUFFLES)]
        contrasts = _contrasts(inside, np.stack(shuffled).astype(np.float64))
        by_chance = np.maximum(by_chance, contrasts[1:].max(axis=1))
        often = (inside @ here) / inside.sum(axis=1) >= MIN_RATE
        index = int(np.argmax(np.where(often, contrasts[0], -np.inf)))
        if often[index] and contrasts[0][index] > best_contrast:
            best, best_contrast = regions[index], float(contrasts[0][index])
    return best if best_contrast > np.quantile(by_chance, 0.95) else None


def _regions(frame: Frame, left: Bools, columns: set[int]) -> list[tuple[Bools, list[Region]]]:
    """Both sides of every cut and every category of `columns`, by the trials that have them."""
    found: dict[bytes, tuple[Bools, list[Region]]] = {}
    for column in sorted(columns):
        axis, unit = frame.axes[column], frame.unit[:, column]
        among = ~np.isnan(unit) & left
        known = np.unique(unit[among])
        if not MIN_FAILURES <= (frame.state[among] == FAILED).sum() < among.sum():
            continue
        if axis.is_categorical:
            bounds = [(value, value) for value in known]
        else:
            cuts = np.unique(np.quantile(known, np.linspace(0, 1, 41)[1:-1]))
            bounds = [(0.0, float(c)) for c in cuts] + [(float(c), 1.0) for c in cuts]
        for low, high in bounds:
            inside = (unit >= low - 1e-9) & (unit <= high + 1e-9) & among
            if MIN_REGION <= inside.sum() <= among.sum() - MIN_REGION:
                region = Region(column, float(low), float(high), inside, among)
                found.setdefault(among.tobytes(), (among, []))[1].append(region)
    return list(found.values())


def _contrasts(inside: Floats, failed: Floats) -> Floats:
    """Standardised excess of failures inside each region: (regions, n), (S, n) -> (S, regions)."""
    n, size = inside.shape[1], inside.sum(axis=1)
    total = failed.sum(axis=1, keepdims=True)
    expected = total * size / n
    spread = np.sqrt(total * (n - total) * size * (n - size) / (n**2 * (n - 1)))
    return np.asarray((failed @ inside.T - expected) / spread)


def _rule(frame: Frame, level: float, region: Region) -> Rule:
    axis, failed = frame.axes[region.column], frame.state == FAILED
    low, high = region.low, region.high
    if axis.n_levels:  # the cut lies between two values
        own = frame.unit[region.inside, region.column]
        low, high = float(own.min()), float(own.max())
    has = ~np.isnan(frame.unit[:, region.column])
    conditional = not has.all()
    share = float(failed[region.inside].mean())
    elsewhere = float(failed[region.among & ~region.inside].mean())
    whose = f"trials that have `{axis.name}`" if conditional else "trials"
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
        default=axis.from_unit(float(frame.default[region.column])),
        metric=frame.metric,
        n_trials=int(has.sum()),
        flags=("failures", "conditional-parameter") if conditional else ("failures",),
        detail=f"{share:.0%} of {whose} fail there, {elsewhere:.0%} elsewhere.",
        unit_low=low,
        unit_high=high,
        best_low=axis.from_unit(low),
        best_high=axis.from_unit(high),
        pieces=((axis.from_unit(low), axis.from_unit(high)),),
        unit_pieces=((low, high),),
    )
