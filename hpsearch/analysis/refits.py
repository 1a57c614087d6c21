"""What would other trials have said: refits on resampled and on shuffled configurations.

Bootstrap refits resample configurations and give the intervals of the shares; refits on parameters
shuffled against the values give the R2 that a forest reaches where there is nothing to find (spec,
sections 2 and 3).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from hpsearch.analysis.anova import Anova, decompose
from hpsearch.analysis.axes import Floats
from hpsearch.analysis.forest import (
    Forest,
    Settings,
    Table,
    choose_settings,
    grow,
    grow_exact,
    permuted,
    r2,
)

N_REFITS = 200
N_REFIT_TREES = 24
N_SHUFFLES = 59
MAX_PAIRS_IN_REFITS = 60

_T = TypeVar("_T")


@dataclass(frozen=True)
class Fit:
    """One forest, how it was grown, and its ANOVA."""

    forest: Forest
    settings: Settings
    anova: Anova


@dataclass(frozen=True)
class Refits:
    """B bootstrap refits and S refits on shuffled parameters, d axes.

    `main` (B, d), `pair` (B, d, d) and `variance` (B,) in the metric's unit squared; `null_r2` (S,)
    of shuffled refits, `small_r2` of an equally small forest on the trials as they are.
    """

    main: Floats
    pair: Floats
    variance: Floats
    null_r2: Floats
    small_r2: float


def fit(table: Table, surrogate: str, rng: np.random.Generator) -> Fit:
    """The forest that is explained: leaf size and stages chosen out of bag, or the exact tree."""
    if surrogate == "exact":
        forest = grow_exact(table)
        return Fit(forest, Settings(n_trees=1), decompose(forest))
    settings = choose_settings(table, rng)
    forest = grow(table, settings, rng)
    return Fit(forest, settings, decompose(forest))


def refit(table: Table, settings: Settings, seed: np.random.SeedSequence) -> Refits:
    """All refits; on any number of threads the result is the same."""
    small = Settings(settings.leaf, settings.stages, N_REFIT_TREES)
    pairs = table.n_axes * (table.n_axes - 1) // 2 <= MAX_PAIRS_IN_REFITS

    def resampled(child: np.random.SeedSequence) -> Anova:
        forest = grow(table, small, np.random.default_rng(child), resample=True)
        return decompose(forest, pairs=pairs, n_points_log2=10)

    def shuffled(child: np.random.SeedSequence) -> float:
        rng = np.random.default_rng(child)
        forest = grow(permuted(table, rng), small, rng)
        return r2(forest.table.y, forest.out_of_bag)

    unshuffled = grow(table, small, np.random.default_rng(seed.spawn(1)[0]))
    boot = _map(resampled, seed.spawn(N_REFITS))
    return Refits(
        main=np.array([anova.main for anova in boot]),
        pair=np.array([anova.pair for anova in boot]),
        variance=np.array([anova.variance for anova in boot]),
        null_r2=np.array(_map(shuffled, seed.spawn(N_SHUFFLES))),
        small_r2=r2(table.y, unshuffled.out_of_bag),
    )


def no_refits(fitted: Fit) -> Refits:
    """One "refit" that is the fit itself: a complete table leaves nothing uncertain."""
    anova = fitted.anova
    variance = np.array([anova.variance])
    return Refits(anova.main[None], anova.pair[None], variance, np.zeros(1), 1.0)


def _map(
    work: Callable[[np.random.SeedSequence], _T], seeds: Sequence[np.random.SeedSequence]
) -> list[_T]:
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    with ThreadPoolExecutor(max_workers=max(1, min(workers, 8))) as pool:
        return list(pool.map(work, seeds))
