"""What would other trials have said: refits on resampled and on shuffled configurations.

Bootstrap refits resample configurations and give every interval; refits on parameters shuffled
against the values give what a forest finds where there is nothing (spec, sections 2 and 3).
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
from hpsearch.analysis.effects import Grid, cell_curves
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
    """One forest read: its ANOVA and the curves of its axes (each (C,), in the metric's unit)."""

    forest: Forest
    settings: Settings
    anova: Anova
    curves: list[Floats]


@dataclass(frozen=True)
class Refits:
    """B bootstrap refits and S refits on shuffled parameters, d axes.

    `main` (B, d), `pair` (B, d, d), `variance` (B,) in the metric's unit squared; `curves[j]`
    (B, C); `null_r2` (S,) and `null_main` (S, d).
    """

    main: Floats
    pair: Floats
    variance: Floats
    curves: list[Floats]
    null_r2: Floats
    null_main: Floats


def fit(table: Table, grids: Sequence[Grid], surrogate: str, rng: np.random.Generator) -> Fit:
    """The forest that is explained: leaf size and stages chosen out of bag, or the exact tree."""
    settings = Settings(n_trees=1) if surrogate == "exact" else choose_settings(table, rng)
    forest = grow_exact(table) if surrogate == "exact" else grow(table, settings, rng)
    anova = decompose(forest)
    return Fit(forest, settings, anova, cell_curves(forest, anova, grids))


def refit(
    table: Table,
    grids: Sequence[Grid],
    settings: Settings,
    seed: np.random.SeedSequence,
    *,
    n_refits: int = N_REFITS,
    n_shuffles: int = N_SHUFFLES,
) -> Refits:
    """All refits, with fewer trees each than the forest itself; threads, same result with any."""
    small = Settings(settings.leaf, settings.stages, N_REFIT_TREES)
    pairs = table.n_axes * (table.n_axes - 1) // 2 <= MAX_PAIRS_IN_REFITS

    def resampled(child: np.random.SeedSequence) -> tuple[Anova, list[Floats]]:
        forest = grow(table, small, np.random.default_rng(child), resample=True)
        anova = decompose(forest, pairs=pairs, n_points_log2=10)
        return anova, cell_curves(forest, anova, grids)

    def shuffled(child: np.random.SeedSequence) -> tuple[float, Floats]:
        rng = np.random.default_rng(child)
        forest = grow(permuted(table, rng), settings, rng)
        null = decompose(forest, pairs=False, n_points_log2=0)
        return r2(forest.table.y, forest.out_of_bag), null.main

    boot = _map(resampled, seed.spawn(n_refits))
    null = _map(shuffled, seed.spawn(n_shuffles))
    return Refits(
        main=np.array([anova.main for anova, _ in boot]),
        pair=np.array([anova.pair for anova, _ in boot]),
        variance=np.array([anova.variance for anova, _ in boot]),
        curves=[np.array([c[j] for _, c in boot]) for j in range(table.n_axes)],
        null_r2=np.array([value for value, _ in null]),
        null_main=np.array([main for _, main in null]),
    )


def no_refits(fitted: Fit) -> Refits:
    """One "refit" that is the fit itself: a complete table leaves nothing uncertain."""
    anova = fitted.anova
    return Refits(
        main=anova.main[None],
        pair=anova.pair[None],
        variance=np.array([anova.variance]),
        curves=[curve[None] for curve in fitted.curves],
        null_r2=np.zeros(1),
        null_main=np.zeros((1, len(anova.main))),
    )


def _map(
    work: Callable[[np.random.SeedSequence], _T], seeds: Sequence[np.random.SeedSequence]
) -> list[_T]:
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    with ThreadPoolExecutor(max_workers=max(1, min(workers, 8))) as pool:
        return list(pool.map(work, seeds))
