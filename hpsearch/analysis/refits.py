"""The forest that is explained, and refits on shuffled parameters (spec, section 2).

Parameters shuffled against the values give the R2 that a forest reaches where nothing is to find.
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
    subset,
)

N_SHUFFLES = 59
N_SHUFFLE_TREES = 24
# Rows beyond which the test is done on a part of them. It keeps its level, since both sides are
# grown on that part, and loses power only where an effect is too weak to be of use.
MAX_ROWS = 2000

_T = TypeVar("_T")


@dataclass(frozen=True)
class Fit:
    """One forest, how it was grown, and its ANOVA."""

    forest: Forest
    settings: Settings
    anova: Anova


@dataclass(frozen=True)
class Null:
    """What forests reach where there is nothing to find.

    `r2` (S,) of refits on shuffled parameters, `as_it_is` of an equally small forest on the trials
    as they are.
    """

    r2: Floats
    as_it_is: float

    @property
    def p_value(self) -> float:
        """Of the permutation test: the trials as they are count as one of the shuffles."""
        return float((1 + np.sum(self.r2 >= self.as_it_is)) / (1 + len(self.r2)))


def fit(table: Table, surrogate: str, rng: np.random.Generator) -> Fit:
    """The forest that is explained: leaf size and stages chosen out of bag, or the exact tree."""
    if surrogate == "exact":
        forest = grow_exact(table)
        return Fit(forest, Settings(n_trees=1), decompose(forest))
    settings = choose_settings(table, rng)
    forest = grow(table, settings, rng)
    return Fit(forest, settings, decompose(forest))


def shuffle(table: Table, settings: Settings, seed: np.random.SeedSequence) -> Null:
    """Refits on shuffled parameters; on any number of threads the result is the same."""
    small = Settings(settings.leaf, settings.stages, N_SHUFFLE_TREES)
    if len(table.y) > MAX_ROWS:
        table = subset(table, MAX_ROWS, np.random.default_rng(seed))

    def shuffled(child: np.random.SeedSequence) -> float:
        rng = np.random.default_rng(child)
        forest = grow(permuted(table, rng), small, rng)
        return r2(forest.table.y, forest.out_of_bag)

    unshuffled = grow(table, small, np.random.default_rng(seed.spawn(1)[0]))
    return Null(
        np.array(_map(shuffled, seed.spawn(N_SHUFFLES))), r2(table.y, unshuffled.out_of_bag)
    )


def _map(
    work: Callable[[np.random.SeedSequence], _T], seeds: Sequence[np.random.SeedSequence]
) -> list[_T]:
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    with ThreadPoolExecutor(max_workers=max(1, min(workers, 8))) as pool:
        return list(pool.map(work, seeds))
