"""The forest that is explained, and refits where nothing is to find (method.md, section 2).

A refit sees values whose distances from their mean have random signs. What the parameters do to the
mean is gone. What they do to the noise stays, which shuffled values would lose: where one part of
the space is noisier than the rest, more forests than 5% are better than those on shuffled values.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np

from hpsearch.analysis.gaussian_process import MOST, Process, fit_process
from hpsearch.analysis.read.axes import Floats
from hpsearch.analysis.surrogate.anova import Anova, decompose
from hpsearch.analysis.surrogate.forest import (
    Forest,
    Settings,
    Table,
    choose_settings,
    grow,
    grow_exact,
    r2,
    subset,
)

N_REFITS = 59
N_REFIT_TREES = 24
# Rows beyond which the test is done on a part of them. It keeps its level, since both sides are
# grown on that part, and loses power only where an effect is too weak to be of use.
MAX_ROWS = 2000

_T = TypeVar("_T")


@dataclass(frozen=True)
class Fit:
    """One forest, how it was grown, its ANOVA, and a Gaussian process of the same trials."""

    forest: Forest
    settings: Settings
    anova: Anova

    @cached_property
    def process(self) -> Process | None:
        """Of the configurations' mean values. None where they are too many, or where the forest
        is exact, so that nothing is uncertain."""
        table = self.forest.table
        if not self.forest.unseen.any() or table.n_groups > MOST:
            return None
        x = np.empty((table.n_groups, table.n_axes))
        x[table.group] = table.x
        size = np.bincount(table.group).astype(np.float64)
        return fit_process(x, np.bincount(table.group, table.y) / size, size, table.levels)


@dataclass(frozen=True)
class Null:
    """What forests reach where there is nothing to find.

    `r2` (S,) of refits on values with random signs, `as_it_is` of an equally small forest on the
    trials as they are.
    """

    r2: Floats
    as_it_is: float

    @property
    def scores(self) -> Floats:
        """The R2 as it is, then those of the refits, in standard deviations around their mean."""
        every = np.append(self.as_it_is, self.r2)
        return np.asarray((every - every.mean()) / (every.std() or 1.0))


def joint_p_values(nulls: Sequence[Null]) -> list[float]:
    """The p-value of each of several forests, corrected for their number.

    Each R2 is compared with the largest that chance gives in any of them, on a common scale. The
    trials as they are count as one of the refits. So the number of refits need not grow with the
    number of forests, as it must where each p-value is multiplied by that number.

    Source: Westfall and Young (1993), the single-step maximum.

    Example:
        >>> chance = np.linspace(-0.2, 0.1, 59)
        >>> joint_p_values([Null(chance, 0.6), Null(chance, 0.5), Null(chance, -0.1)])
        [0.016666666666666666, 0.016666666666666666, 0.6833333333333333]
    """
    scores = np.stack([null.scores for null in nulls])
    by_chance = scores[:, 1:].max(axis=0)
    return [float((1 + np.sum(by_chance >= one)) / (1 + len(by_chance))) for one in scores[:, 0]]


def fit(table: Table, surrogate: str, rng: np.random.Generator) -> Fit:
    """The forest that is explained: leaf size and stages chosen out of bag, or the exact tree."""
    if surrogate == "exact":
        forest = grow_exact(table)
        return Fit(forest, Settings(n_trees=1), decompose(forest))
    settings = choose_settings(table, rng)
    forest = grow(table, settings, rng)
    return Fit(forest, settings, decompose(forest))


def refits_by_chance(table: Table, settings: Settings, seed: np.random.SeedSequence) -> Null:
    """Refits on values with random signs; on any number of threads the result is the same.

    Source: the wild bootstrap with the null hypothesis imposed (Liu 1988; Davidson and Flachaire
    2008), one sign a configuration.
    """
    small = Settings(settings.leaf, settings.stages, N_REFIT_TREES)
    if len(table.y) > MAX_ROWS:
        table = subset(table, MAX_ROWS, np.random.default_rng(seed))
    centre = table.y.mean()

    def refit(child: np.random.SeedSequence) -> float:
        rng = np.random.default_rng(child)
        signs = rng.choice(np.array([-1.0, 1.0]), table.n_groups)[table.group]
        forest = grow(replace(table, y=centre + signs * (table.y - centre)), small, rng)
        return r2(forest.table.y, forest.out_of_bag)

    as_it_is = grow(table, small, np.random.default_rng(seed.spawn(1)[0]))
    return Null(np.array(_map(refit, seed.spawn(N_REFITS))), r2(table.y, as_it_is.out_of_bag))


def _map(
    work: Callable[[np.random.SeedSequence], _T], seeds: Sequence[np.random.SeedSequence]
) -> list[_T]:
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    with ThreadPoolExecutor(max_workers=max(1, min(workers, 8))) as pool:
        return list(pool.map(work, seeds))
