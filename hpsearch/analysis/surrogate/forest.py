"""The surrogate: a random forest from the sampling scale to the metric (method.md, section 2).

scikit-learn's trees, but our own bootstrap: it draws configurations, not trials, so that replicates
of one configuration never split between bag and out-of-bag. Further stages may be grown on the
out-of-bag residuals of the stages before (Ghosal and Hooker 2018, "Boosting random forests to
reduce bias"): a plain forest flattens peaks and starves weak parameters (Sobol's g at 2,000 points:
.76, .17, .002 instead of .72, .18, .024), the second stage gives that back. Leaf size and number of
stages are those with the smallest out-of-bag error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.tree._criterion import MSE
from sklearn.tree._splitter import BestSplitter
from sklearn.tree._tree import DepthFirstTreeBuilder, Tree

from hpsearch.analysis.read.axes import Axis, Bools, Floats, Ints

Singles = NDArray[np.float32]

N_TREES = 64
LEAF_SIZES = (1, 3, 8, 20)
MAX_STAGES = 3
# More different values than this on an axis are binned: it bounds the grids of the ANOVA, and a
# 256th of a range is far below what any study resolves.
MAX_BINS = 256
MAX_ROWS_FOR_LEAF_SIZE = 2000
MAX_DRAWS = 10_000  # configurations drawn for a tree: 64 trees still see nearly all of 100,000
MAX_DEPTH = 2**31 - 1  # none


@dataclass(frozen=True)
class Table:
    """What a forest is grown on: n rows, d axes of one subspace.

    `x` (n, d) is on the sampling scale, `y` (n,) the metric at the full budget, `group` (n,)
    numbers configurations from 0 without gaps.
    `levels` (d,) holds the number of categories of each categorical axis, else 0.
    """

    x: Singles
    y: Floats
    group: Ints
    levels: Ints

    @property
    def n_axes(self) -> int:
        return len(self.levels)

    @property
    def n_groups(self) -> int:
        return int(self.group.max()) + 1


@dataclass(frozen=True)
class Settings:
    """How a forest is grown: smallest leaf, stages, trees in a stage."""

    leaf: int = 1
    stages: int = 1
    n_trees: int = N_TREES


@dataclass(frozen=True)
class Forest:
    """Grown trees (scikit-learn's low-level ones), stage after stage, and how they encode.

    A prediction is the sum over stages of the mean of a stage's trees: the sum of all trees over
    `n_trees`. `ranks[j]` (K,) is the rank of each category of axis j by its mean value: splits
    along that order are the best ones (Fisher 1958), and the choices' order does not matter.
    `unseen` (n_trees, n) says which trees of a stage did not see the row's configuration;
    `out_of_bag` (n,) predicts each row by those, NaN where there are none; `stage_errors` (stages,)
    is 1 - R2 of it after each stage.
    """

    trees: tuple[Any, ...]
    n_trees: int
    ranks: dict[int, Ints]
    table: Table
    unseen: Bools
    out_of_bag: Floats
    stage_errors: tuple[float, ...]

    def encode(self, x: Singles) -> Singles:
        """Points (m, d) on the sampling scale -> what the trees take."""
        return _encode(x, self.ranks, self.table.levels)

    def predict(self, x: Singles) -> Floats:
        """The forest at points (m, d) of the sampling scale, (m,)."""
        return self.predict_encoded(self.encode(x))

    def predict_encoded(self, x: Singles) -> Floats:
        total = np.zeros(len(x))
        for tree in self.trees:
            total += tree.predict(x)[:, 0]
        return total / self.n_trees


def build_table(axes: Sequence[Axis], unit: Floats, y: Floats, group: Ints) -> Table:
    """The table of one subspace. `unit` (n, d) without NaN."""
    columns = [_binned(unit[:, j]) for j in range(len(axes))]
    levels = np.array([axis.n_categories for axis in axes], np.int64)
    _, compact = np.unique(group, return_inverse=True)
    x = np.ascontiguousarray(np.column_stack(columns), np.float32)
    return Table(x, np.asarray(y, np.float64), compact, levels)


def grow(table: Table, settings: Settings, rng: np.random.Generator) -> Forest:
    """Grow a forest, each tree on configurations drawn with replacement."""
    n_groups, n_trees = table.n_groups, settings.n_trees
    draws = rng.integers(0, n_groups, (n_trees, min(n_groups, MAX_DRAWS)))
    weights = [np.bincount(draw, minlength=n_groups)[table.group] for draw in draws]
    ranks = _category_ranks(table, np.ones(len(table.y)))
    x = _encode(table.x, ranks, table.levels)
    unseen = np.stack([weight == 0 for weight in weights])
    n_unseen = unseen.sum(0)
    predicted = np.where(n_unseen > 0, 0.0, np.nan)
    trees: list[Any] = []
    errors = []
    for _ in range(settings.stages):
        residual = table.y - np.where(n_unseen > 0, predicted, table.y if trees else 0.0)
        stage = _fit_trees(x, residual, weights, rng, settings.leaf)
        outputs = np.stack([tree.predict(x)[:, 0] for tree in stage])
        predicted = predicted + (outputs * unseen).sum(0) / np.maximum(n_unseen, 1)
        trees += stage
        errors.append(1.0 - r2(table.y, predicted))
    return Forest(tuple(trees), n_trees, ranks, table, unseen, predicted, tuple(errors))


def grow_exact(table: Table) -> Forest:
    """One full tree on all rows, no bootstrap: exact for tables that hold every combination."""
    ones = np.ones(len(table.y))
    ranks = _category_ranks(table, ones)
    x = _encode(table.x, ranks, table.levels)
    trees = _fit_trees(x, table.y, [ones], np.random.default_rng(0), 1)
    unseen = np.zeros((1, len(ones)), bool)
    return Forest(tuple(trees), 1, ranks, table, unseen, np.full(len(ones), np.nan), (np.nan,))


def choose_settings(table: Table, rng: np.random.Generator) -> Settings:
    """The leaf size and number of stages with the smallest out-of-bag error."""
    if len(table.y) > MAX_ROWS_FOR_LEAF_SIZE:
        table = subset(table, MAX_ROWS_FOR_LEAF_SIZE, rng)
    seed = rng.integers(2**31)
    best, best_error = Settings(), np.inf
    for leaf in LEAF_SIZES:
        if leaf > 1 and leaf > len(table.y) // 6:
            break
        # The same bags for every size: the comparison is paired.
        tried = Settings(leaf, MAX_STAGES, N_TREES // 2)
        errors = grow(table, tried, np.random.default_rng(seed)).stage_errors
        for stages, error in enumerate(errors, start=1):
            if error < best_error:
                best, best_error = Settings(leaf, stages), error
    return best


def r2(y: Floats, predicted: Floats) -> float:
    """Share of variance explained over the rows that have a prediction; can be negative."""
    seen = np.isfinite(predicted)
    if seen.sum() < 2 or np.ptp(y[seen]) == 0:
        return 0.0
    y, predicted = y[seen], predicted[seen]
    return float(1.0 - np.sum((y - predicted) ** 2) / np.sum((y - y.mean()) ** 2))


def rank_correlation(y: Floats, predicted: Floats) -> float:
    """Spearman's correlation over the rows that have a prediction; 0 where undefined."""
    seen = np.isfinite(predicted)
    if seen.sum() < 3 or np.ptp(y[seen]) == 0 or np.ptp(predicted[seen]) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(y[seen]), rankdata(predicted[seen]))[0, 1])


def _fit_trees(
    x: Singles,
    y: Floats,
    weights: Sequence[NDArray[Any]],
    rng: np.random.Generator,
    leaf: int,
) -> list[Any]:
    """What `DecisionTreeRegressor(min_samples_leaf=leaf).fit` grows, one tree a weight.

    Without its checks of every argument, which at 100 rows take three times as long as the tree.
    """
    column = np.ascontiguousarray(y, np.float64)[:, None]
    state = np.random.RandomState(rng.integers(2**32))
    n_features, trees = x.shape[1], []
    for weight in weights:
        splitter = BestSplitter(MSE(1, len(y)), n_features, leaf, 0.0, state, None)
        builder = DepthFirstTreeBuilder(splitter, max(2, 2 * leaf), leaf, 0.0, MAX_DEPTH, 0.0)
        tree = Tree(n_features, np.ones(1, np.intp), 1)
        builder.build(tree, x, column, weight.astype(np.float64), None)
        trees.append(tree)
    return trees


def _category_ranks(table: Table, weight: Floats) -> dict[int, Ints]:
    """Rank of each category by its weighted mean value; unseen ones in the middle."""
    ranks = {}
    centre = np.average(table.y, weights=weight)
    for column in np.flatnonzero(table.levels):
        n_levels = int(table.levels[column])
        index = _level(table.x[:, column], n_levels)
        total = np.bincount(index, weight * (table.y - centre), minlength=n_levels)
        count = np.bincount(index, weight, minlength=n_levels)
        mean = total / np.maximum(count, 1e-12)
        ranks[int(column)] = np.argsort(np.argsort(mean, kind="stable"), kind="stable")
    return ranks


def _encode(x: Singles, ranks: dict[int, Ints], levels: Ints) -> Singles:
    if not ranks:
        return np.ascontiguousarray(x, np.float32)
    encoded = x.astype(np.float32, copy=True)
    for column, rank in ranks.items():
        n_levels = int(levels[column])
        encoded[:, column] = (rank[_level(x[:, column], n_levels)] + 0.5) / n_levels
    return np.ascontiguousarray(encoded)


def _level(column: NDArray[np.floating[Any]], n_levels: int) -> Ints:
    return np.clip((column * n_levels).astype(np.int64), 0, n_levels - 1)


def _binned(column: Floats) -> Floats:
    if len(np.unique(column)) <= MAX_BINS:
        return column
    return (np.minimum(np.floor(column * MAX_BINS), MAX_BINS - 1) + 0.5) / MAX_BINS


def subset(table: Table, n_rows: int, rng: np.random.Generator) -> Table:
    """About `n_rows` of the table's rows, whole configurations."""
    share = n_rows / len(table.y)
    chosen: Bools = (rng.random(table.n_groups) < share)[table.group]
    _, group = np.unique(table.group[chosen], return_inverse=True)
    return Table(table.x[chosen], table.y[chosen], group, table.levels)
