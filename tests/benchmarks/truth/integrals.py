"""The truth of a shape, by numerical integration over its space (scrambled Sobol points).

For every parameter the curve over the whole space, E[f | x], and over the good region, the mean of
the best quarter at each value: E[f | x, f within the best quarter at that x]. The optimum is the
curve's best point, the level set all points within epsilon of it. Where the chance to fail depends
on the parameter, what is optimal is the gain over the default times the chance to finish: a run
that fails is worth what the default's are, or the median value's where that is less.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from optuna.distributions import CategoricalDistribution
from scipy.stats import qmc

from tests.benchmarks.truth.shapes import Shape
from tests.benchmarks.truth.tables import shape_of

BEST = 0.25  # the share of the space that the good region holds at each value
GRID = np.linspace(0.0, 1.0, 101)
MIDDLES = (np.arange(2000) + 0.5) / 2000  # uniform numbers, to weigh the values of a parameter
LOG2_POINTS = 12  # of the others at each value of a parameter
LOG2_PAIRS = 15  # of variances
FAILS_ALIKE = 0.01  # the chance to fail does not depend on a parameter along which it varies less
TIE = 0.002  # of the way from the best to the median: nearer than that is as good


@dataclass(frozen=True)
class Curve:
    """One parameter's truth at `points` (P,): larger is better.

    `whole` and `good` (P,) as the module says, `chance` (P,) to finish; `default` is the position
    of the parameter's default.
    """

    points: np.ndarray
    whole: np.ndarray
    good: np.ndarray
    chance: np.ndarray
    default: float

    def worth(self, region: str) -> np.ndarray:
        """What a value is worth, (P,): its gain over the default times the chance to finish."""
        curve = getattr(self, region)
        if np.ptp(self.chance) < FAILS_ALIKE:
            return curve
        base = min(self.at(self.default, region), float(np.median(curve)))
        return (curve - base) * self.chance

    def at(self, unit: float, region: str) -> float:
        return float(np.interp(unit, self.points, getattr(self, region)))

    def optimum(self, region: str) -> np.ndarray:
        """The best points; several where they are equally good."""
        worth = self.worth(region)
        below = worth.max() - np.median(worth)  # a few disasters are no measure
        return self.within(region, max(TIE * below, 1e-9 * np.ptp(worth)))

    def within(self, region: str, epsilon: float) -> np.ndarray:
        """The level set: the points whose value is within `epsilon` of the best."""
        worth = self.worth(region)
        return self.points[worth >= worth.max() - epsilon]


@dataclass(frozen=True)
class Truth:
    """All that is known about a shape.

    `main` and `pairs`: shares of the variance of f over the space; of a conditional parameter,
    within its branch. `spread` is the standard deviation of f, `noise` that of a trial in the good
    region. `best` is the joint optimum and `best_value` what it is worth (`worth`). `values` (m,)
    are those of the whole space, sorted. Larger is better.
    """

    shape: Shape
    curves: dict[str, Curve]
    main: dict[str, float]
    pairs: dict[tuple[str, str], float]
    spread: float
    noise: float
    best: dict[str, float]
    best_value: float
    values: np.ndarray

    def rank(self, config: dict[str, float]) -> float:
        """The share of the space that is better than a configuration."""
        better = np.searchsorted(-self.values[::-1], -self.value(config) - 1e-12, side="left")
        return float(better / len(self.values))

    def value(self, config: dict[str, float]) -> float:
        """f at one configuration (positions by name), larger is better."""
        return float(self.shape.sign * self.shape.mean(self.shape.full(config))[0])

    def worth(self, config: dict[str, float]) -> float:
        """The value times the chance to finish, both over the median of the space."""
        median = float(np.median(self.values))
        return median + (self.value(config) - median) * (1 - self.fails(config))

    def fails(self, config: dict[str, float]) -> float:
        """The chance that a configuration fails."""
        failure = self.shape.failure
        return 0.0 if failure is None else float(failure(self.shape.full(config))[0])

    def idle(self) -> set[str]:
        """The parameters on which neither the value nor a failure depends."""
        return {name for name, curve in self.curves.items() if self._flat(name, curve)}

    def _flat(self, name: str, curve: Curve) -> bool:
        paired = any(share > 0.005 for pair, share in self.pairs.items() if name in pair)
        moves = np.ptp(curve.whole) > 1e-6 * max(self.spread, 1e-9)
        return not (moves and self.main[name] > 1e-5) and not paired and np.ptp(curve.chance) < 1e-9


@cache
def truth_of(name: str) -> Truth:
    """The truth of the shape `name`; the first call integrates."""
    shape = shape_of(name)
    cloud = sobol(len(shape.space), LOG2_POINTS) if shape.cells is None else shape.cells
    curves = {param: _curve(shape, param, cloud) for param in shape.space}
    points = shape.points(cloud)
    value = shape.sign * shape.mean(points)
    good = value >= np.quantile(value, 1 - BEST)
    many = sobol(len(shape.space), LOG2_PAIRS) if shape.cells is None else cloud
    main = {param: _main_share(shape, param, curve, many) for param, curve in curves.items()}
    best, best_value = _joint_optimum(shape, float(np.median(value)))
    return Truth(
        shape, curves, main, _pair_shares(shape), float(value.std()),
        float(shape.noise(points)[good].mean()), best, best_value, np.sort(value),
    )  # fmt: skip


def sobol(d: int, log2: int) -> np.ndarray:
    return qmc.Sobol(d, scramble=True, rng=np.random.default_rng(0)).random_base2(log2)


def within_branch(shape: Shape, param: str, cloud: np.ndarray) -> np.ndarray:
    """The points (m, d), moved into the branch in which the parameter is active."""
    if param not in shape.only_with:
        return cloud
    partner, choice = shape.only_with[param]
    one = shape.space[partner]
    assert isinstance(one, CategoricalDistribution)
    moved = cloud.copy()
    moved[:, list(shape.space).index(partner)] = (one.choices.index(choice) + 0.5) / len(
        one.choices
    )
    return moved


def _curve(shape: Shape, param: str, cloud: np.ndarray) -> Curve:
    grid = shape.levels.get(param, GRID)
    points = shape.points(within_branch(shape, param, cloud))
    n_best = int(BEST * len(cloud))
    whole, good, chance = [], [], []
    for at in grid:
        points[param] = np.full(len(cloud), at)
        value = shape.sign * shape.mean(points)
        finish = np.ones(1) if shape.failure is None else 1 - shape.failure(points)
        whole.append(value.mean())
        good.append(np.partition(value, -n_best)[-n_best:].mean())
        chance.append(finish.mean())
    default = shape.defaults.get(param, 0.5)
    default = float(shape.snap(param, np.array([default]))[0])
    return Curve(grid, np.array(whole), np.array(good), np.array(chance), default)


def _main_share(shape: Shape, param: str, curve: Curve, cloud: np.ndarray) -> float:
    total = shape.mean(shape.points(within_branch(shape, param, cloud))).var()
    along = np.interp(shape.snap(param, MIDDLES), curve.points, curve.whole)
    return min(float(along.var() / total), 1.0) if total > 0 else 0.0


def _pair_shares(shape: Shape) -> dict[tuple[str, str], float]:
    """Shares of the interactions of two parameters, those inside branches left out.

    By two samples that share the values of the two (Sobol 1993; Saltelli et al. 2010).
    """
    names, d = list(shape.space), len(shape.space)
    both = sobol(2 * d, LOG2_PAIRS)
    one, other = both[:, :d], both[:, d:]
    value = shape.mean(shape.points(one))
    centre, total = value.mean(), value.var()
    base = shape.mean(shape.points(other)) - centre

    def closed(*columns):
        mixed = other.copy()
        mixed[:, columns] = one[:, columns]
        changed = shape.mean(shape.points(mixed)) - centre
        return float(np.mean((value - centre) * (changed - base)))

    free = [j for j, name in enumerate(names) if name not in shape.only_with]
    alone = {j: closed(j) for j in free}
    return {
        (names[i], names[j]):
            max(float((closed(i, j) - alone[i] - alone[j]) / total), 0.0) if total > 0 else 0.0
        for at, i in enumerate(free) for j in free[at + 1:]
    }  # fmt: skip


def _joint_optimum(shape: Shape, median: float) -> tuple[dict[str, float], float]:
    """Coordinate ascent from the best of many points, by what they are worth."""

    def worth(points: dict[str, np.ndarray]) -> np.ndarray:
        value = shape.sign * shape.mean(points)
        finish = 1.0 if shape.failure is None else 1 - shape.failure(points)
        return median + (value - median) * finish

    cloud = sobol(len(shape.space), LOG2_PAIRS)
    points = shape.points(cloud)
    value = worth(points)
    found = []
    for row in np.argsort(-value)[:5]:
        at, best = {name: points[name][row] for name in shape.space}, -np.inf
        for _ in range(10):
            before = best
            for name in shape.space:
                grid = np.append(shape.levels.get(name, np.linspace(0, 1, 401)), at[name])
                tried = {other: np.full(len(grid), at[other]) for other in shape.space}
                tried[name] = grid
                values = worth(tried)
                best, at[name] = values.max(), grid[np.argmax(values)]
            if best - before < 1e-9:
                break
        found.append((best, at))
    best, at = max(found, key=lambda one: one[0])
    return {name: float(unit) for name, unit in at.items()}, float(best)
