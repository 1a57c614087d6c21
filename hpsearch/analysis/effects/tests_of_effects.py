"""The test of "no main effect" of every parameter of one subspace (method.md, section 4).

A residual is what is left of a value when a model takes out all other parameters. The noise that is
left decides how small an effect the test finds. Among trials that were drawn evenly the residual is
the mean of the forest's and of a Gaussian process'. They get random signs, which leaves each as
large as it is at its place: where noise differs along a parameter, shuffled residuals would make an
effect of it.

A sampler that learns moves its parameters together, and there a forest takes the effect of one for
that of another: so the residual is the process' alone. Such residuals are shuffled along a
parameter, between configurations that could have changed places (read/exchangeable.py). The few
trials far from where it crowds have large residuals for the effect's sake, and with signs they
would hide it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import chi2

from hpsearch.analysis.effects.partial_residuals import PartialResiduals
from hpsearch.analysis.effects.smooth import (
    TEST_BANDWIDTH,
    Scatter,
    floor_bandwidth,
    local_quadratic,
)
from hpsearch.analysis.read.axes import Bools, Floats, Ints
from hpsearch.analysis.read.exchangeable import Strata

Change = Callable[[Floats], Floats]  # of residuals (n,), (N_BY_CHANCE, n)
Null = Callable[[Ints, np.random.Generator], Change]

N_BY_CHANCE = 999
MANY = 2000  # configurations from which on sums of residuals are drawn as normal numbers
LEARNED_WEIGHT = 0.5  # of trials of a sampler that learns: they crowd where little changes


def effect_p_values(
    residuals: PartialResiduals, levels: Sequence[bool], strata: Strata, rng: np.random.Generator
) -> list[float]:
    """The p-value of each axis of the forest's table; `levels` says which have no smooth curve.

    The statistic is the variance of the curve over the configurations. It is computed among trials
    that were drawn evenly and among the others, each in units of its mean by chance, and added up.

    Source: of the signs, the wild bootstrap with the null hypothesis imposed (Liu 1988; Davidson
    and Flachaire 2008), one sign a configuration.
    """
    if residuals.bare:  # the exact surrogate: nothing is uncertain
        return [0.0 if main > 0 else 1.0 for main in residuals.fitted.anova.main]
    x, residual, size, seen = _configurations(residuals, strata.even)
    stratum, even = strata.stratum[seen], strata.even[seen]
    statistics = np.zeros((len(levels), 1 + N_BY_CHANCE))
    kinds: tuple[tuple[Bools, float, Null], ...] = (
        (even, 1.0, random_signs),
        (~even, LEARNED_WEIGHT, shuffles),
    )
    for rows, weight, null in kinds:
        if rows.sum() < 2:
            continue
        change = None if rows.sum() > MANY else null(stratum[rows], rng)
        for j, of_levels in enumerate(levels):
            positions, index = np.unique(x[rows, j], return_inverse=True)
            scatter = Scatter(positions, index, residual[rows, j], size[rows])
            one = curve_variances(scatter, stratum[rows], change, levels=of_levels, rng=rng)
            statistics[j] += weight * one / (one[1:].mean() or 1.0)
    return [p_value(one[0], one[1:]) for one in statistics]


def random_signs(stratum: Ints, rng: np.random.Generator) -> Change:
    """Residuals (n,), centred in each stratum (n,), with random signs and centred again."""
    _, rank, count = np.unique(stratum, return_inverse=True, return_counts=True)
    signs = rng.choice(np.array([-1.0, 1.0]), (N_BY_CHANCE, len(stratum)))
    onto = np.eye(len(count))[rank]
    # Centring has made the residuals smaller, by this factor (HC2).
    wider = np.sqrt(count / np.maximum(count - 1, 1))[rank]

    def change(centred: Floats) -> Floats:
        signed = signs * (centred * wider)
        return np.asarray(signed - (signed @ onto / count) @ onto.T)

    return change


def shuffles(stratum: Ints, rng: np.random.Generator) -> Change:
    """Residuals (n,) that change places within their stratum (n,)."""
    n = len(stratum)
    _, rank = np.unique(stratum, return_inverse=True)
    order = np.empty((N_BY_CHANCE, n), np.int64)
    order[:, np.argsort(rank, kind="stable")] = np.argsort(
        rng.random((N_BY_CHANCE, n)) + rank, axis=1
    )
    return lambda centred: centred[order]


def curve_variances(
    scatter: Scatter,
    stratum: Ints,
    change: Change | None,
    *,
    levels: bool,
    rng: np.random.Generator,
) -> Floats:
    """The variance of the curve as it is, then by chance: (1 + N_BY_CHANCE,).

    `change` makes N_BY_CHANCE residuals of each; None where sums are drawn instead.
    """
    size = scatter.totals(np.ones((1, len(scatter.r))))[0][0]
    _, rank = np.unique(stratum, return_inverse=True)
    means = np.bincount(rank, scatter.r * scatter.w) / np.bincount(rank, scatter.w)
    centred = scatter.r - means[rank]
    observed = np.bincount(scatter.index, centred * scatter.w)
    if levels:
        smoother = np.diag(1 / size)
    else:
        width = floor_bandwidth(scatter, scatter.x, TEST_BANDWIDTH)
        smoother = _linear_in_total(scatter.x, size, width)
    if change is None:
        spread = np.sqrt(np.bincount(scatter.index, (centred * scatter.w) ** 2))
        totals = spread * rng.standard_normal((N_BY_CHANCE, len(size)))
        curves = np.vstack([observed, totals]) @ smoother.T
    else:
        by_chance = (change(centred) * scatter.w) @ smoother.T[scatter.index]
        curves = np.vstack([observed @ smoother.T, by_chance])
    share = size / size.sum()
    return np.asarray(curves**2 @ share - (curves @ share) ** 2)


def p_value(observed: float, by_chance: Floats) -> float:
    """The trials as they are count as one of those by chance.

    Where no value by chance reaches the observed one, the tail is that of the scaled chi-squared
    distribution with the mean and the variance of these values (Satterthwaite 1946).
    """
    reached = int(np.sum(by_chance >= observed * (1 - 1e-9)))
    bound = (1 + reached) / (1 + len(by_chance))
    mean, spread = float(by_chance.mean()), float(by_chance.var())
    if reached or spread <= 0:
        return bound
    return min(bound, float(chi2.sf(2 * mean * observed / spread, 2 * mean**2 / spread)))


def _configurations(
    residuals: PartialResiduals, even: Bools
) -> tuple[Floats, Floats, Floats, Bools]:
    """`x` and residuals (G, d), trials (G,) of the configurations that some tree did not see, and
    which those are among all."""
    table = residuals.table
    known = np.isfinite(residuals.residual)
    size = np.bincount(table.group, known).astype(np.float64)
    seen = size > 0
    per = 1 / np.maximum(size, 1)

    def mean(of: Floats) -> Floats:
        return np.asarray((np.bincount(table.group, np.where(known, of, 0.0)) * per)[seen])

    x = np.empty((table.n_groups, table.n_axes))
    x[table.group] = table.x
    x, size = x[seen], size[seen]
    forest = np.stack([mean(residuals.partial(j)) for j in range(table.n_axes)], axis=1)
    if residuals.fitted.process is None:
        return x, forest, size, seen
    process = residuals.fitted.process.partial_residuals()[seen]
    both = (process + forest - forest.mean(axis=0)) / 2
    return x, np.where(even[seen, None], both, process), size, seen


def _linear_in_total(x: Floats, weight: Floats, width: Floats) -> Floats:
    """The local quadratic fit at the positions themselves as a matrix (m, m) on totals."""
    size = len(x)
    values, _ = local_quadratic(x, np.broadcast_to(weight, (size, size)), np.eye(size), x, width)
    return values.T
