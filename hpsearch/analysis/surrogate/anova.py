"""Exact functional ANOVA of a forest (Hutter, Hoos and Leyton-Brown 2014; method.md, section 3).

A tree is constant on boxes. So the mean of the forest over all parameters but one or two is a step
function. Difference arrays compute it for all trees at once: each leaf adds its value, times its
volume along the other axes, where its box begins, and subtracts the same where its box ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from hpsearch.analysis.read.axes import Floats, Ints
from hpsearch.analysis.surrogate.forest import Forest, Singles

N_POINTS_LOG2 = 13


@dataclass(frozen=True)
class Boxes:
    """All leaves of a forest: L boxes in d axes.

    Box l spans cells `lower[l, j]` to `upper[l, j]` (exclusive) of axis j, whose cells are bounded
    by `edges[j]` (G_j + 1,) on the encoded sampling scale. `mass` (L,) is value times volume over
    the number of trees, so that the masses add up to the forest's mean; `tree` (L,) is the leaf's.
    """

    lower: Ints
    upper: Ints
    value: Floats
    mass: Floats
    edges: tuple[Floats, ...]
    tree: Ints

    def side(self, axis: int) -> Floats:
        return self.edges[axis][self.upper[:, axis]] - self.edges[axis][self.lower[:, axis]]


@dataclass(frozen=True)
class Anova:
    """Variance of the forest over the sampling scale, in the metric's unit squared.

    `main` (d,), `pair` (d, d) symmetric with a zero diagonal, `rest` of higher order.
    `marginals[j]` (G_j,) is the mean of the forest in each cell of `edges[j]`.
    """

    mean: float
    main: Floats
    pair: Floats
    rest: float
    marginals: tuple[Floats, ...]
    edges: tuple[Floats, ...]

    @property
    def variance(self) -> float:
        return float(self.main.sum() + self.pair.sum() / 2 + self.rest)


def leaf_boxes(forest: Forest) -> Boxes:
    """The leaves of all trees as boxes."""
    trees, n_axes = forest.trees, forest.table.n_axes
    sizes = np.array([tree.node_count for tree in trees])
    offset = np.repeat(np.cumsum(sizes) - sizes, sizes)
    tree_of = np.repeat(np.arange(len(trees)), sizes)
    left = np.concatenate([tree.children_left for tree in trees]) + offset
    right = np.concatenate([tree.children_right for tree in trees]) + offset
    feature = np.concatenate([tree.feature for tree in trees])
    threshold = np.concatenate([tree.threshold for tree in trees])
    value = np.concatenate([tree.value[:, 0, 0] for tree in trees])
    edges = tuple(
        np.unique(np.concatenate([[0.0, 1.0], threshold[feature == axis]]))
        for axis in range(n_axes)
    )
    lower = np.zeros((len(feature), n_axes), np.int32)
    upper = np.zeros((len(feature), n_axes), np.int32)
    upper[:] = [len(edge) - 1 for edge in edges]
    cut = np.zeros(len(feature), np.int32)
    for axis in range(n_axes):
        on_axis = feature == axis
        cut[on_axis] = np.searchsorted(edges[axis], threshold[on_axis])
    leaves = []
    nodes = np.cumsum(sizes) - sizes
    while len(nodes):
        leaves.append(nodes[feature[nodes] < 0])
        nodes = nodes[feature[nodes] >= 0]
        for child, bound in ((left[nodes], upper), (right[nodes], lower)):
            lower[child], upper[child] = lower[nodes], upper[nodes]
            bound[child, feature[nodes]] = cut[nodes]
        nodes = np.concatenate([left[nodes], right[nodes]])
    leaf = np.concatenate(leaves)
    return _with_mass(lower[leaf], upper[leaf], value[leaf], edges, forest.n_trees, tree_of[leaf])


def decompose(forest: Forest, *, pairs: bool = True, n_points_log2: int = N_POINTS_LOG2) -> Anova:
    """Main effects, pairs (if asked for, else part of the rest) and the rest of a forest.

    Main effects and pairs are exact. The rest of a single tree is exact too; that of several is
    the variance of what mains and pairs leave over at 2**`n_points_log2`
    Sobol points; 0 with `n_points_log2` = 0.
    """
    boxes = leaf_boxes(forest)
    n_axes = len(boxes.edges)
    mean = float(boxes.mass.sum())
    widths = [np.diff(edge) for edge in boxes.edges]
    marginals = tuple(_marginal(boxes, axis) for axis in range(n_axes))
    main = np.array([w @ (m - mean) ** 2 for w, m in zip(widths, marginals, strict=True)])
    surfaces: dict[tuple[int, int], Floats] = {}
    pair = np.zeros((n_axes, n_axes))
    if pairs:
        for i, j in combinations(range(n_axes), 2):
            surface = pair_surface(boxes, i, j)
            surface += mean - marginals[i][:, None] - marginals[j][None, :]
            pair[i, j] = pair[j, i] = widths[i] @ surface**2 @ widths[j]
            surfaces[i, j] = surface
    rest = 0.0
    if len(forest.trees) == 1:
        total = float(boxes.mass @ boxes.value) - mean**2
        rest = total - float(main.sum() + pair.sum() / 2)
    elif n_points_log2:
        rest = _rest_at_points(forest, boxes, marginals, surfaces, mean, n_points_log2)
    return Anova(mean, main, pair, max(rest, 0.0), marginals, boxes.edges)


def pair_surface(boxes: Boxes, i: int, j: int) -> Floats:
    """Mean of the forest in each cell of axes i and j, (G_i, G_j)."""
    shape = (len(boxes.edges[i]), len(boxes.edges[j]))
    weight = boxes.mass / (boxes.side(i) * boxes.side(j))
    flat = np.zeros(shape[0] * shape[1])
    for ends_i, sign_i in ((boxes.lower[:, i], 1.0), (boxes.upper[:, i], -1.0)):
        for ends_j, sign_j in ((boxes.lower[:, j], 1.0), (boxes.upper[:, j], -1.0)):
            corner = ends_i.astype(np.int64) * shape[1] + ends_j
            flat += np.bincount(corner, sign_i * sign_j * weight, minlength=len(flat))
    surface = flat.reshape(shape)
    return np.asarray(surface.cumsum(0).cumsum(1)[:-1, :-1])


def unseen_marginal(forest: Forest, boxes: Boxes, axis: int) -> Floats:
    """Marginal of an axis at each row by the trees that did not see the row, (n,); NaN for none.

    With it a row's out-of-bag prediction splits into what one parameter adds and the rest, both by
    the same trees.
    """
    x, unseen, edge = forest.encode(forest.table.x)[:, axis], forest.unseen, boxes.edges[axis]
    count = unseen.sum(axis=0)
    weight = boxes.mass * forest.n_trees / boxes.side(axis)
    start = (boxes.tree % forest.n_trees) * len(edge)  # trees of all stages that share one bag
    length = forest.n_trees * len(edge)
    begins = np.bincount(start + boxes.lower[:, axis], weight, minlength=length)
    ends = np.bincount(start + boxes.upper[:, axis], weight, minlength=length)
    steps = np.cumsum((begins - ends).reshape(forest.n_trees, len(edge)), axis=1)
    total = (steps[:, cell_of(edge, x)] * unseen).sum(axis=0)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def restrict(boxes: Boxes, axis: int, low: float, high: float) -> Boxes:
    """The part of the leaves with `low` < axis < `high` (encoded), as if that were all of it."""
    left = np.maximum(boxes.edges[axis][boxes.lower[:, axis]], low)
    right = np.minimum(boxes.edges[axis][boxes.upper[:, axis]], high)
    kept = right > left
    share = (right - left)[kept] / boxes.side(axis)[kept] / (high - low)
    return Boxes(
        boxes.lower[kept],
        boxes.upper[kept],
        boxes.value[kept],
        boxes.mass[kept] * share,
        boxes.edges,
        boxes.tree[kept],
    )


def cell_of(edges: Floats, x: NDArray[np.floating[Any]]) -> Ints:
    """The cell of each position (m,); trees send one that equals a threshold to the left."""
    return np.clip(np.searchsorted(edges, x, side="left") - 1, 0, len(edges) - 2)


def _marginal(boxes: Boxes, axis: int) -> Floats:
    """Mean of the forest in each cell of one axis, (G,)."""
    weight = boxes.mass / boxes.side(axis)
    size = len(boxes.edges[axis])
    begins = np.bincount(boxes.lower[:, axis], weight, minlength=size)
    ends = np.bincount(boxes.upper[:, axis], weight, minlength=size)
    return np.asarray(np.cumsum(begins - ends)[:-1], np.float64)


def _with_mass(
    lower: Ints, upper: Ints, value: Floats, edges: tuple[Floats, ...], n_trees: int, tree: Ints
) -> Boxes:
    volume = np.ones(len(value))
    for axis, edge in enumerate(edges):
        volume *= edge[upper[:, axis]] - edge[lower[:, axis]]
    return Boxes(lower, upper, value, value * volume / n_trees, edges, tree)


@lru_cache(maxsize=8)
def sobol_points(n_axes: int, n_points_log2: int = N_POINTS_LOG2) -> Singles:
    """Points that fill the sampling scale evenly, (2**n_points_log2, n_axes)."""
    points: Floats = qmc.Sobol(n_axes, rng=0).random_base2(n_points_log2)
    return points.astype(np.float32)


def _rest_at_points(
    forest: Forest,
    boxes: Boxes,
    marginals: tuple[Floats, ...],
    surfaces: dict[tuple[int, int], Floats],
    mean: float,
    n_points_log2: int,
) -> float:
    n_axes = len(boxes.edges)
    points = sobol_points(n_axes, n_points_log2)
    left_over = forest.predict_encoded(points) - mean
    cells = [cell_of(boxes.edges[axis], points[:, axis]) for axis in range(n_axes)]
    for axis in range(n_axes):
        left_over -= marginals[axis][cells[axis]] - mean
    for (i, j), surface in surfaces.items():
        left_over -= surface[cells[i], cells[j]]
    return float(np.mean(left_over**2))
