"""The shapes: spaces and functions whose truth is known, one for each thing that happens to users.

A shape's functions take points: the position of each parameter on its sampling scale, by name.
Integers and categories are already at the centres of their cells. The mean varies over the space
by about one standard deviation unless the metric has a unit of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from hpsearch.study.space import from_unit, scale_between, to_unit
from tests.benchmarks.surfaces import SHAPES as SURFACES
from tests.benchmarks.surfaces import bump

Points = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Shape:
    """A space and what a trial in it gives.

    `mean` is what a trial's value is on average, `noise` the standard deviation of one trial.
    `draw` makes a value of mean, deviation and generator. `failure` is the chance to fail.
    `only_with`: a conditional parameter -> (partner, the choice with which it is active).
    `epochs` names the parameter that counts epochs; such studies are pruned. `bounds`: what the
    metric can be. A table has its `cells` (m, d), which stand for the space, or what was `observed`
    at points in the place of `draw`.
    """

    name: str
    space: dict[str, BaseDistribution]
    mean: Callable[[Points], np.ndarray]
    noise: Callable[[Points], np.ndarray]
    defaults: dict[str, float] = field(default_factory=dict)
    maximize: bool = True
    draw: Callable = lambda mean, sd, rng: mean + sd * rng.normal()
    failure: Callable[[Points], np.ndarray] | None = None
    only_with: dict[str, tuple[str, str]] = field(default_factory=dict)
    epochs: str | None = None
    bounds: tuple[float, float] = (-np.inf, np.inf)
    cells: np.ndarray | None = None
    observed: Callable[[Points, np.random.Generator], float] | None = None

    @property
    def sign(self) -> float:
        return 1.0 if self.maximize else -1.0

    @cached_property
    def levels(self) -> dict[str, np.ndarray]:
        """Positions of the values of each discrete parameter."""
        return {name: levels_of(one) for name, one in self.space.items() if is_discrete(one)}

    @cached_property
    def _cuts(self) -> dict[str, np.ndarray]:
        return {name: cuts_of(one) for name, one in self.space.items() if is_discrete(one)}

    def snap(self, name: str, unit: np.ndarray) -> np.ndarray:
        """The positions of the values that uniform numbers `unit` draw."""
        if name not in self.levels:
            return unit
        return self.levels[name][np.searchsorted(self._cuts[name], unit, side="right")]

    def points(self, unit: np.ndarray) -> dict[str, np.ndarray]:
        """Points of uniform numbers (m, d)."""
        return {name: self.snap(name, unit[:, j]) for j, name in enumerate(self.space)}

    def full(self, config: Mapping[str, float]) -> dict[str, np.ndarray]:
        """One configuration's positions as points; inactive parameters stand in the middle."""
        return {name: np.array([config.get(name, 0.5)]) for name in self.space}

    def value(self, points: Points, rng: np.random.Generator) -> float:
        """What a trial at one point gives."""
        if self.observed is not None:
            return self.observed(points, rng)
        return float(self.draw(float(self.mean(points)[0]), float(self.noise(points)[0]), rng))

    def active(self, name: str, params: Mapping[str, object]) -> bool:
        if name not in self.only_with:
            return True
        partner, choice = self.only_with[name]
        return params[partner] == choice

    def default_params(self) -> dict[str, object]:
        params = {
            name: from_unit(one, self.defaults.get(name, 0.5)) for name, one in self.space.items()
        }
        return {name: value for name, value in params.items() if self.active(name, params)}

    def to_unit(self, params: Mapping[str, object]) -> dict[str, float]:
        return {name: to_unit(self.space[name], value) for name, value in params.items()}


def is_discrete(one: BaseDistribution) -> bool:
    return isinstance(one, CategoricalDistribution | IntDistribution)


def levels_of(one: BaseDistribution) -> np.ndarray:
    if isinstance(one, CategoricalDistribution):
        values = list(one.choices)
    else:
        values = list(range(one.low, one.high + 1, one.step))
    return np.array([to_unit(one, value) for value in values])


def cuts_of(one: BaseDistribution) -> np.ndarray:
    """Where on the sampling scale one value of a discrete parameter ends and the next begins."""
    if isinstance(one, CategoricalDistribution):
        return np.arange(1, len(one.choices)) / len(one.choices)
    scale = scale_between(one.low, one.high, log=one.log, step=one.step)
    between = np.arange(one.low, one.high, one.step) + one.step / 2
    return np.array([scale.to_unit(value) for value in between])


def slope(x, by):
    """A straight line whose standard deviation over the range is |by|."""
    return by * np.sqrt(12) * (x - 0.5)


def level(x, heights):
    """The height of the category (of equal cells) at position x."""
    return np.asarray(heights)[np.minimum((x * len(heights)).astype(int), len(heights) - 1)]


def constant(sd):
    return lambda u: np.full(len(next(iter(u.values()))), sd)


LOG_LR = FloatDistribution(1e-4, 1.0, log=True)
LOG_WD = FloatDistribution(1e-6, 1e-1, log=True)
DROP = FloatDistribution(0.0, 0.5)
BATCH = IntDistribution(8, 256, log=True)
UNIT = FloatDistribution(0.0, 1.0)


def usual(**more):
    """Learning rate, weight decay and dropout, and what a shape has beside them."""
    return {"lr": LOG_LR, "wd": LOG_WD, "drop": DROP, **more}


def numbered(count):
    return {f"x{j}": UNIT for j in range(count)}


def _cliff(u):
    hit = np.where(u["lr"] <= 0.62, u["lr"] / 0.62, 0.1)
    return 3 * hit + slope(u["wd"], 0.5) + slope(u["width"], 0.35)


def _moving(u):
    centre = level(u["opt"], [0.7, 0.35, 0.5])
    return (2.5 * bump(u["lr"], centre, 0.15) + level(u["opt"], [0, 0.6, -0.2])
            + slope(u["wd"], 0.4))  # fmt: skip


def _integers(u):
    height = level(u["layers"], [-1.2, 0.1, 1.0, 0.7, 0.3, -0.1, -0.6, -1.2])
    return height + 1.5 * bump(u["units"], 0.6, 0.25) + slope(u["bs"], -0.4)


def _branches(u):
    own = np.select(
        [level(u["opt"], [1, 0, 0]) == 1, level(u["opt"], [0, 1, 0]) == 1],
        [2 * bump(u["momentum"], 0.8, 0.2), slope(u["beta"], 0.6)], 0.0,
    )  # fmt: skip
    return level(u["opt"], [0, 0.8, -0.4]) + own + 1.5 * bump(u["lr"], 0.45, 0.2)


def _categories(u):
    heights = level(u["act"], [0, 0.2, 1.5, 1.3, -0.5])
    heights = heights + level(u["norm"], [0.6, -0.6, 0.1, 0.2, -0.2])
    return heights + 1.2 * bump(u["lr"], 0.5, 0.2)


def _sparse(u):
    return 2.5 * bump(u["x3"], 0.4, 0.2) + slope(u["x8"], 0.7)


def _loss(u):
    bowl = np.exp(6 * (u["lr"] - 0.4) ** 2 + 1.2 * (u["wd"] - 0.3) ** 2)
    return bowl + np.where(u["lr"] > 0.85, np.expm1(40 * (np.maximum(u["lr"], 0.85) - 0.85)), 0)


def _accuracy(u):
    score = 3 * bump(u["lr"], 0.5, 0.25) + slope(u["wd"], 0.6) + slope(u["width"], 0.4)
    return 0.96 / (1 + np.exp(-score))


def _plain(u):
    return 2.5 * bump(u["lr"], 0.4, 0.2) + slope(u["wd"], 0.6)


def _fails(u):
    return slope(u["lr"], 1.0) + slope(u["wd"], 0.5)


def _epochs(u):
    return 2.5 * bump(u["lr"], 0.55, 0.2) + slope(u["wd"], 0.4) + slope(u["epochs"], 0.3)


def _scaling(u):
    return -10 * (u["lr"] - 0.25 - 0.4 * u["bs"]) ** 2 + slope(u["wd"], 0.4)


def _narrow(u):
    return 4 * bump(u["x0"], 0.37, 0.05) + slope(u["x2"], 0.5)


def _uneven(u):
    return 2.5 * bump(u["x0"], 0.4, 0.2) + slope(u["x2"], 0.6)


def _safe(u):
    """High x0 is safe whatever x1 is; the best has x0 low and x1 right."""
    return 4 * bump(u["x1"], 0.7, 0.12) * (1 - u["x0"]) + 2.4 * u["x0"] + slope(u["x2"], 0.4)


def _surface(name):
    """One of the surfaces in x0 and x1, scaled, with its line in x2."""
    middle = (np.arange(200) + 0.5) / 200
    scale = SURFACES[name][0](middle[:, None], middle[None, :]).std()
    return lambda u: SURFACES[name][0](u["x0"], u["x1"]) / scale + slope(u["x2"], 0.7)


def _accuracy_noise(u):
    mean = _accuracy(u)
    return np.sqrt(mean * (1 - mean) / 60)


def _clipped(mean, sd, rng):
    return min(max(mean + sd * rng.normal(), 0.0), 1.0)


def _times_lognormal(mean, sd, rng):
    """A heavy tail with this mean and standard deviation."""
    log_sd = np.sqrt(np.log1p((sd / mean) ** 2))
    return mean * np.exp(log_sd * rng.normal() - log_sd**2 / 2)


def _student(mean, sd, rng):
    return mean + sd * rng.standard_t(3)


WIDTH = IntDistribution(16, 128, step=16)
ACT = CategoricalDistribution(("relu", "tanh", "gelu"))
SIX = numbered(6)
AT = {"x0": 0.9, "x2": 0.2}  # the defaults of surfaces.py
LR = {"lr": 0.2, "wd": 0.2}

SHAPES = {shape.name: shape for shape in (
    Shape("cliff", usual(bs=BATCH, width=WIDTH, act=ACT), _cliff, constant(0.5), LR),
    Shape("moving", usual(opt=CategoricalDistribution(("sgd", "adam", "rmsprop")), bs=BATCH,
                          width=WIDTH), _moving, constant(0.5), LR),
    Shape("integers", {"layers": IntDistribution(1, 8), "units": IntDistribution(16, 256, step=16),
                       "bs": IntDistribution(2, 64, log=True), "epochs": IntDistribution(1, 5),
                       "wd": LOG_WD, "drop": DROP}, _integers, constant(0.5),
          {"layers": 0.9, "bs": 0.9}),
    Shape("branches", {"opt": CategoricalDistribution(("sgd", "adam", "rmsprop")), "lr": LOG_LR,
                       "wd": LOG_WD, "drop": DROP, "momentum": UNIT, "beta": UNIT, "alpha": UNIT},
          _branches, constant(0.5), {"lr": 0.15, "momentum": 0.2, "beta": 0.2, "opt": 0.1},
          only_with={"momentum": ("opt", "sgd"), "beta": ("opt", "adam"),
                     "alpha": ("opt", "rmsprop")}),
    Shape("categories", {name: CategoricalDistribution(tuple("abcde"))
                         for name in ("act", "norm", "init")} | usual(), _categories,
          constant(0.5), {"act": 0.1, "norm": 0.3, "lr": 0.2}),
    Shape("sparse", numbered(12), _sparse, constant(0.5), {"x3": 0.9, "x8": 0.2}),
    Shape("loss", usual(bs=BATCH, width=WIDTH), _loss, lambda u: 0.4 * _loss(u), LR, maximize=False,
          draw=_times_lognormal, bounds=(0, np.inf)),
    Shape("accuracy", usual(bs=BATCH, width=WIDTH), _accuracy, _accuracy_noise, LR,
          draw=_clipped, bounds=(0, 1)),
    Shape("t noise", usual(bs=BATCH, width=WIDTH), _plain, constant(0.4), LR, draw=_student),
    Shape("failures", usual(bs=BATCH, width=WIDTH), _fails, constant(0.5), LR,
          failure=lambda u: 1 / (1 + np.exp(-(u["lr"] - 0.7) / 0.04))),
    Shape("epochs", usual(bs=BATCH, epochs=IntDistribution(3, 30, log=True)), _epochs,
          lambda u: 1.5 / np.sqrt(2.5 * (30.5 / 2.5) ** u["epochs"]), LR, epochs="epochs"),
    Shape("scaling", usual(bs=BATCH, width=WIDTH), _scaling, constant(0.5), {"lr": 0.9, "wd": 0.2}),
    Shape("pure noise", SIX, lambda u: 0 * u["x0"], lambda u: 0.2 * 15 ** u["x0"], AT),
    Shape("narrow", SIX, _narrow, constant(0.5), AT),
    Shape("safe", SIX, _safe, constant(0.5), AT),
    *(Shape(name, SIX, _surface(name), constant(0.6), AT)
      for name in ("plateau", "two peaks", "ridge", "edge")),
    Shape("uneven noise", SIX, _uneven, lambda u: 0.12 * 15 ** u["x1"], AT),
)}  # fmt: skip
"""The first fourteen are those that the gates speak of; the others are more of our own."""
