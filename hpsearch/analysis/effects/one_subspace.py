"""Analyse one subspace: grow its forest, test it, and read shares and curves off it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from hpsearch.analysis.effects.advice import BEST, Advice, ProcessModel
from hpsearch.analysis.effects.conditional import ConditionalOptimum, find_conditional
from hpsearch.analysis.effects.curve import Curve, tails
from hpsearch.analysis.effects.grids import Grid, Surface, build_grid, build_surface
from hpsearch.analysis.effects.partial_residuals import Marginal, PartialResiduals
from hpsearch.analysis.effects.shares import (
    Components,
    components,
    exact_components,
    process_components,
)
from hpsearch.analysis.effects.tests_of_effects import effect_p_values
from hpsearch.analysis.estimates import Estimate, Importance, Noise, Quality
from hpsearch.analysis.read.axes import Bools, Floats
from hpsearch.analysis.read.exchangeable import strata_of
from hpsearch.analysis.read.frame import COMPLETE, Frame
from hpsearch.analysis.read.subspaces import Subspace
from hpsearch.analysis.surrogate.fit import Fit, Null, fit, refits_by_chance
from hpsearch.analysis.surrogate.forest import Table, build_table, r2, rank_correlation

MIN_CONFIGURATIONS = 10  # below it no forest is trusted, whatever its R2
PER_PARAMETER = 2  # nor with fewer than so many configurations a parameter,
ALWAYS_ENOUGH = 50  # up to this many: with few trials one lucky split names the wrong parameter
MIN_PARTNER_SHARE = 0.03  # of the variance: interactions weaker than that move no optimum
MAX_SURFACES = 3
WORTH = 0.5  # of the noise among the better trials: what is worth having
MIN_REPLICATE_PAIRS = 4  # degrees of freedom below which replicates do not set the noise floor


@dataclass(frozen=True)
class SubspaceResults:
    """What the trials of one subspace say, before studies are judged as a whole.

    `null` is what forests reach where there is nothing to find, None for the exact surrogate.
    `variance` is that of all effects of the parameters that this subspace reports, then its copies
    (1 + B,). `worth`: the smallest difference that is worth having, in the metric's unit.
    """

    subspace: Subspace
    fitted: Fit
    n_configurations: int
    quality: Quality
    null: Null | None
    noise: Noise
    worth: float
    importances: list[Importance]
    remainder: float
    variance: Floats
    curves: list[Curve]
    advice: Advice
    surfaces: list[Surface]

    @property
    def enough(self) -> int:
        """The fewest configurations that a forest on so many parameters is trusted with."""
        return max(MIN_CONFIGURATIONS, min(PER_PARAMETER * len(self.curves), ALWAYS_ENOUGH))

    def may_be_trusted(self) -> bool:
        """Whether there are enough configurations, and the forest predicts better than the mean."""
        return self.n_configurations >= self.enough and self.quality.r2 > 0


@dataclass(frozen=True)
class Settings:
    """What `explain` was asked for.

    `level` of all intervals; `surrogate` "forest" or "exact"; `best`: the share of the space in
    which the other parameters count as set well; `worth`: the smallest difference worth having,
    None for WORTH of the noise.
    """

    level: float
    surrogate: str
    best: float = BEST
    worth: float | None = None


def analyse(
    frame: Frame,
    space: Subspace,
    settings: Settings,
    stream: np.random.SeedSequence,
    branches: Sequence[SubspaceResults] = (),
) -> SubspaceResults:
    """Everything about one subspace; `stream` decides all randomness.

    `branches` are those inside this subspace: what their parameters explain is part of its total.
    """
    rows, level = space.rows, settings.level
    table = _table(frame, space)
    first, second, third, fourth, fifth = stream.spawn(5)
    exact = settings.surrogate == "exact"
    fitted = fit(table, settings.surrogate, np.random.default_rng(first))
    null = None if exact else refits_by_chance(table, fitted.settings, second)
    residuals = PartialResiduals(fitted, np.random.default_rng(third))
    grids = [_grid(frame, space, j) for j in range(table.n_axes)]
    marginals = [residuals.marginal(j, grid) for j, grid in enumerate(grids)]
    strata, levels = strata_of(frame, rows), [grid.levels for grid in grids]
    p_values = effect_p_values(residuals, levels, strata, np.random.default_rng(fourth))
    advice = Advice(residuals, grids, 1.0 if frame.maximize else -1.0, settings.best)
    if exact:
        shares = exact_components(fitted.anova)
    elif isinstance(advice.model, ProcessModel):
        shares = process_components(advice.model.process, grids, np.random.default_rng(fifth))
    else:
        shares = components(residuals, marginals, grids)
    own = shares.variance_of(np.isin(space.columns, space.reported))
    for branch in branches:
        part = branch.subspace.rows.sum() / rows.sum()
        shares = shares.with_more(part * branch.variance)
    importances = _importances(frame, space, shares, level)
    noise = _noise(frame, rows, advice)
    worth = WORTH * noise.at_best if settings.worth is None else settings.worth
    advised = [advice.curve(j) for j in range(table.n_axes)]
    tested = list(zip(advised, marginals, p_values, strict=True))
    return SubspaceResults(
        subspace=space,
        fitted=fitted,
        n_configurations=table.n_groups,
        quality=Quality(1.0, 1.0, 0.0) if null is None else _quality(table, fitted, null),
        null=null,
        noise=noise,
        worth=worth,
        importances=importances,
        remainder=shares.rest / (shares.total or 1.0),
        variance=own,
        curves=_curves(frame, space, residuals, tested, importances, worth, level),
        advice=advice,
        surfaces=_surfaces(frame, space, fitted, importances),
    )


def _table(frame: Frame, space: Subspace) -> Table:
    rows = space.rows
    return build_table(
        [frame.axes[c] for c in space.columns],
        frame.unit[np.ix_(rows, space.columns)],
        frame.final[rows],
        frame.group[rows],
    )


def _quality(table: Table, fitted: Fit, null: Null) -> Quality:
    predicted = fitted.forest.out_of_bag
    return Quality(
        r2=r2(table.y, predicted),
        rank_correlation=rank_correlation(table.y, predicted),
        null=float(np.quantile(null.r2, 0.95)),
    )


def _noise(frame: Frame, rows: Bools, advice: Advice) -> Noise:
    """From replicated configurations; without enough of them from what the model that gives the
    advice leaves over, each trial left out of its own prediction."""
    complete, at_best = rows & (frame.state == COMPLETE), float(advice.errors_at_best().std())
    value, group = frame.final[complete], frame.group[complete]
    _, index, count = np.unique(group, return_inverse=True, return_counts=True)
    freedom = int(np.sum(count - 1))
    if freedom >= MIN_REPLICATE_PAIRS:
        means = np.bincount(index, value) / count
        spread = float(np.sum((value - means[index]) ** 2) / freedom)
        return Noise(math.sqrt(spread), "replicates", at_best)
    residual = advice.table.y - advice.model.left_out
    residual = residual[np.isfinite(residual)]
    return Noise(float(residual.std()) if len(residual) > 1 else 0.0, "residuals", at_best)


def _importances(
    frame: Frame, space: Subspace, found: Components, level: float
) -> list[Importance]:
    """Shares of the reported parameters and their pairs, the largest first."""
    total, totals = found.total or 1.0, np.where(found.total_copies > 0, found.total_copies, 1.0)
    reported = set(space.reported.tolist())
    names = [frame.axes[c].name for c in space.columns]
    importances = []

    def add(params: tuple[str, ...], variance: float, copies: Floats) -> None:
        share = variance / total
        low, high = np.quantile(np.clip(copies / totals, 0.0, 1.0), tails(level))
        low, high = min(float(low), share), max(float(high), share)
        importances.append(Importance(params, share, low, high, space.active, space.within))

    for j, column in enumerate(space.columns):
        if int(column) in reported:
            add((names[j],), float(found.main[j]), found.main_copies[j])
    for i, j in combinations(range(len(names)), 2):
        if {int(space.columns[i]), int(space.columns[j])} & reported:
            add((names[i], names[j]), float(found.pair[i, j]), found.pair_copies[i, j])
    return sorted(importances, key=lambda importance: -importance.share)


def _grid(frame: Frame, space: Subspace, j: int) -> Grid:
    column = space.columns[j]
    return build_grid(frame.axes[column], frame.unit[space.rows, column])


def _surfaces(
    frame: Frame, space: Subspace, fitted: Fit, importances: Sequence[Importance]
) -> list[Surface]:
    """Of the strongest pairs."""
    column = {frame.axes[c].name: j for j, c in enumerate(space.columns)}
    pairs = [i for i in importances if len(i.params) == 2 and i.share >= MIN_PARTNER_SHARE]
    return [
        surface_of(frame, space, fitted, (column[pair.params[0]], column[pair.params[1]]))
        for pair in pairs[:MAX_SURFACES]
    ]


def surface_of(frame: Frame, space: Subspace, fitted: Fit, places: tuple[int, int]) -> Surface:
    """The joint effect of two parameters, by their places among those of the subspace."""
    grids = (_grid(frame, space, places[0]), _grid(frame, space, places[1]))
    return build_surface(fitted.forest, places, grids)


def _curves(
    frame: Frame,
    space: Subspace,
    residuals: PartialResiduals,
    tested: Sequence[tuple[Marginal, Marginal, float]],
    importances: Sequence[Importance],
    worth: float,
    level: float,
) -> list[Curve]:
    shares = {
        i.params[0]: Estimate(i.share, i.low, i.high) for i in importances if len(i.params) == 1
    }
    curves = []
    for j, column in enumerate(space.columns):
        if column not in space.reported:
            continue
        grid, (advised, whole, p_value) = _grid(frame, space, j), tested[j]
        sign = 1.0 if frame.maximize else -1.0
        curves.append(
            Curve(
                grid=grid,
                marginal=advised,
                whole=whole,
                sign=sign,
                share=shares[grid.axis.name],
                worth=worth,
                p_value=p_value,
                level=level,
                default=int(np.argmin(np.abs(grid.points - frame.default[column]))),
                default_value=grid.axis.from_unit(float(frame.default[column])),
                default_given=bool(frame.default_given[column]),
                active=space.active,
                n_trials=int(space.rows.sum()),
                conditional=_conditional(frame, space, residuals, j, importances, worth, level),
                bounds=frame.bounds,
            )
        )
    return curves


def _conditional(
    frame: Frame,
    space: Subspace,
    residuals: PartialResiduals,
    j: int,
    importances: Sequence[Importance],
    worth: float,
    level: float,
) -> ConditionalOptimum | None:
    """How the optimum of axis j moves with its strongest partner, where that is strong."""
    name = frame.axes[space.columns[j]].name
    pairs = [i for i in importances if len(i.params) == 2 and name in i.params and i.low > 0]
    if not pairs or pairs[0].share < MIN_PARTNER_SHARE:
        return None
    other = next(param for param in pairs[0].params if param != name)
    names = [frame.axes[c].name for c in space.columns]
    partner = frame.axes[space.columns[names.index(other)]]
    grid, sign = _grid(frame, space, j), 1.0 if frame.maximize else -1.0
    place = names.index(other), partner
    return find_conditional(residuals, j, grid, place, sign, worth, level)
