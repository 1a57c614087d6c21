"""Analyse one subspace: fit, refit, judge, and read off shares and curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from hpsearch.analysis.axes import Floats
from hpsearch.analysis.effects import Grid, Surface, build_grid, build_surface
from hpsearch.analysis.explanation import Importance, Noise, Quality
from hpsearch.analysis.forest import Table, build_table, r2, rank_correlation
from hpsearch.analysis.frame import COMPLETE, Frame
from hpsearch.analysis.partial import Curve, Partials
from hpsearch.analysis.readings import Estimate, Reading, tails
from hpsearch.analysis.refits import Fit, Null, fit, shuffle
from hpsearch.analysis.shares import Components, components, exact_components
from hpsearch.analysis.splits import Split, find_split
from hpsearch.analysis.subspaces import Subspace

MIN_CONFIGURATIONS = 10  # below it no forest is trusted, whatever its R2
PER_PARAMETER = 2  # nor with fewer than so many configurations a parameter,
ALWAYS_ENOUGH = 50  # up to this many: with few trials one lucky split names the wrong parameter
MIN_PARTNER_SHARE = 0.03  # of the variance: interactions weaker than that move no optimum
MAX_SURFACES = 3
MIN_REPLICATE_PAIRS = 4  # degrees of freedom below which replicates do not set the noise floor


@dataclass(frozen=True)
class Part:
    """One subspace, analysed. `p_value`: share of shuffled refits with an R2 as good."""

    subspace: Subspace
    fitted: Fit
    n_configurations: int
    quality: Quality
    p_value: float
    noise: Noise
    importances: list[Importance]
    remainder: float
    readings: list[Reading]
    surfaces: list[Surface]

    @property
    def enough(self) -> int:
        """The fewest configurations that a forest on so many parameters is trusted with."""
        return max(MIN_CONFIGURATIONS, min(PER_PARAMETER * len(self.readings), ALWAYS_ENOUGH))

    def trusted(self, alpha: float) -> bool:
        enough = self.n_configurations >= self.enough
        return enough and self.quality.r2 > 0 and self.p_value <= alpha


def analyse(
    frame: Frame, space: Subspace, level: float, surrogate: str, stream: np.random.SeedSequence
) -> Part:
    """Everything about one subspace; `stream` decides all randomness."""
    rows = space.rows
    table = _table(frame, space)
    first, second, third = stream.spawn(3)
    exact = surrogate == "exact"
    fitted = fit(table, surrogate, np.random.default_rng(first))
    null = Null(np.zeros(1), 1.0) if exact else shuffle(table, fitted.settings, second)
    noise = _noise(frame.value[rows], frame.group[rows], frame.state[rows] == COMPLETE, fitted)
    partials = Partials(fitted, np.random.default_rng(third))
    grids = [_grid(frame, space, j) for j in range(table.n_axes)]
    curves = [partials.curve(j, grid) for j, grid in enumerate(grids)]
    shares = exact_components(fitted.anova) if exact else components(partials, curves, grids)
    importances = _importances(frame, space, shares, level)
    return Part(
        subspace=space,
        fitted=fitted,
        n_configurations=table.n_groups,
        quality=Quality(1.0, 1.0, 0.0) if exact else _quality(table, fitted, null),
        p_value=0.0 if exact else null.p_value,
        noise=noise,
        importances=importances,
        remainder=shares.rest / (shares.total or 1.0),
        readings=_readings(frame, space, partials, curves, importances, noise.value, level),
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


def _noise(value: Floats, group: np.ndarray, complete: np.ndarray, fitted: Fit) -> Noise:
    """From replicated configurations; without enough of them from out-of-bag residuals."""
    value, group = value[complete], group[complete]
    _, index, count = np.unique(group, return_inverse=True, return_counts=True)
    freedom = int(np.sum(count - 1))
    if freedom >= MIN_REPLICATE_PAIRS:
        means = np.bincount(index, value) / count
        spread = float(np.sum((value - means[index]) ** 2) / freedom)
        return Noise(math.sqrt(spread), "replicates")
    residual = fitted.forest.table.y - fitted.forest.out_of_bag
    residual = residual[np.isfinite(residual)]
    return Noise(float(residual.std()) if len(residual) > 1 else 0.0, "residuals")


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
    surfaces = []
    for pair in pairs[:MAX_SURFACES]:
        i, j = column[pair.params[0]], column[pair.params[1]]
        grids = (_grid(frame, space, i), _grid(frame, space, j))
        surfaces.append(build_surface(fitted.forest, (i, j), grids))
    return surfaces


def _readings(
    frame: Frame,
    space: Subspace,
    partials: Partials,
    curves: Sequence[Curve],
    importances: Sequence[Importance],
    noise: float,
    level: float,
) -> list[Reading]:
    shares = {
        i.params[0]: Estimate(i.share, i.low, i.high) for i in importances if len(i.params) == 1
    }
    readings = []
    for j, column in enumerate(space.columns):
        if column not in space.reported:
            continue
        grid = _grid(frame, space, j)
        sign = 1.0 if frame.maximize else -1.0
        readings.append(
            Reading(
                grid=grid,
                curve=curves[j],
                sign=sign,
                share=shares[grid.axis.name],
                noise=noise,
                level=level,
                default=int(np.argmin(np.abs(grid.points - frame.default[column]))),
                default_value=grid.axis.from_unit(float(frame.default[column])),
                default_given=bool(frame.default_given[column]),
                active=space.active,
                n_trials=int(space.rows.sum()),
                split=_split(frame, space, partials, j, importances, sign, level),
            )
        )
    return readings


def _split(
    frame: Frame,
    space: Subspace,
    partials: Partials,
    j: int,
    importances: Sequence[Importance],
    sign: float,
    level: float,
) -> Split | None:
    """How the optimum of axis j moves with its strongest partner, where that is strong."""
    name = frame.axes[space.columns[j]].name
    pairs = [i for i in importances if len(i.params) == 2 and name in i.params and i.low > 0]
    if not pairs or pairs[0].share < MIN_PARTNER_SHARE:
        return None
    other = next(param for param in pairs[0].params if param != name)
    names = [frame.axes[c].name for c in space.columns]
    partner = frame.axes[space.columns[names.index(other)]]
    return find_split(partials, j, _grid(frame, space, j), names.index(other), partner, sign, level)
