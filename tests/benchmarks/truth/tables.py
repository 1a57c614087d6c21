"""Tables of real experiments as shapes, from HPSEARCH_DATA (README.md there says where from).

`svm`: 1,400 cells of a structured SVM, complete and without noise. `nn boston`: 50,000 random
points of a small network; the mean is what boosted trees predict, a trial's value that of the
nearest point.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from optuna.distributions import FloatDistribution, IntDistribution

from tests.benchmarks.truth.shapes import SHAPES, Shape, constant

FOLDER = Path(os.environ.get("HPSEARCH_DATA", "")) / "tables"


def _svm() -> Shape:
    rows = np.loadtxt(FOLDER / "svm_on_grid.csv", delimiter=",")
    place = [np.unique(column, return_inverse=True)[1] for column in rows[:, :3].T]
    sizes = [int(one.max()) + 1 for one in place]
    names = ("C", "alpha", "epsilon")
    table = np.empty(sizes)
    table[tuple(place)] = rows[:, 3]

    def mean(u):
        cells = [
            np.minimum((u[n] * k).astype(int), k - 1) for n, k in zip(names, sizes, strict=True)
        ]
        return table[tuple(cells)]

    centres = [(np.arange(size) + 0.5) / size for size in sizes]
    cells = np.stack([axis.ravel() for axis in np.meshgrid(*centres, indexing="ij")], axis=1)
    space = {n: IntDistribution(0, k - 1) for n, k in zip(names, sizes, strict=True)}
    return Shape("svm", space, mean, constant(0.0), maximize=False, cells=cells)


def _nn_boston() -> Shape:
    from scipy.spatial import cKDTree
    from sklearn.ensemble import HistGradientBoostingRegressor

    rows = np.loadtxt(FOLDER / "nn_boston_on_grid.csv", delimiter=",")
    x, y = rows[:, :4], rows[:, 4]
    trees = HistGradientBoostingRegressor(max_iter=100, random_state=0).fit(x, y)
    nearest = cKDTree(x)
    names = [f"h{j}" for j in range(4)]

    def stacked(u):
        return np.stack([u[name] for name in names], axis=1)

    def observed(u, rng):
        return float(y[nearest.query(stacked(u))[1][0]])

    space = {name: FloatDistribution(0.0, 1.0) for name in names}
    left = float((y - trees.predict(x)).std())
    return Shape("nn boston", space, lambda u: trees.predict(stacked(u)), constant(left),
                 maximize=False, observed=observed)  # fmt: skip


TABLES: dict[str, Callable[[], Shape]] = {"svm": _svm, "nn boston": _nn_boston}


@cache
def shape_of(name: str) -> Shape:
    """A shape or a table by its name; FileNotFoundError where HPSEARCH_DATA has no such table."""
    return SHAPES[name] if name in SHAPES else TABLES[name]()
