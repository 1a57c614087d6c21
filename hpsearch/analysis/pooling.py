"""One parameter in several studies: random-effects pooling of its optimum (spec, section 6).

DerSimonian and Laird (1986) on the scale the parameter is sampled on (logarithms where every study
uses them), with the prediction interval of Higgins, Thompson and Spiegelhalter (2009) for a new
study. The regret says what the rule learned from the other studies would have cost in each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from hpsearch.analysis.axes import Floats
from hpsearch.analysis.effects import Effect
from hpsearch.analysis.explanation import Explanation
from hpsearch.errors import InputError

MIN_STUDIES = 2


@dataclass(frozen=True)
class Pooled:
    """A random-effects summary on the scale of its inputs: mean, its interval, tau, I2 in [0, 1].

    `new_low` to `new_high` is the prediction interval for one more study (infinite below three).
    """

    mean: float
    standard_error: float
    low: float
    high: float
    tau: float
    i2: float
    new_low: float
    new_high: float


@dataclass(frozen=True)
class Regret:
    """What the optimum pooled from the other studies costs in this one, in its metric's unit.

    `loss` against this study's own optimum and `gain` over its default (both as its curve shows
    them); None where the parameter's range there does not hold the pooled value, and `gain` where
    the study names no default.
    """

    study: str
    value: float | None
    loss: float | None
    gain: float | None


@dataclass(frozen=True)
class PooledOptimum:
    """The optimum of one parameter over several studies, in the parameter's own unit.

    The prediction interval `new_low` to `new_high` goes no farther than what the studies searched;
    it is infinite below three studies.
    """

    param: str
    log: bool
    studies: tuple[str, ...]
    value: float
    low: float
    high: float
    new_low: float
    new_high: float
    tau: float
    i2: float
    regrets: tuple[Regret, ...]

    @property
    def statement(self) -> str:
        new = f"a new study's is expected within {self.new_low:.3g} to {self.new_high:.3g}"
        if math.isinf(self.new_high):
            new = "what to expect of a new study takes three to say"
        return (
            f"`{self.param}`: {self.value:.3g} over {len(self.studies)} studies ({self.low:.3g} to "
            f"{self.high:.3g}); {new}; heterogeneity I2 {self.i2:.0%}."
        )


def random_effects(estimates: Floats, errors: Floats, level: float = 0.9) -> Pooled:
    """Pool k >= 2 estimates with standard errors (k,)."""
    precision = 1.0 / np.maximum(errors, 1e-12) ** 2
    fixed = float(np.average(estimates, weights=precision))
    freedom = len(estimates) - 1
    q = float(np.sum(precision * (estimates - fixed) ** 2))
    spread = precision.sum() - np.sum(precision**2) / precision.sum()
    tau2 = max((q - freedom) / float(spread), 0.0)
    weight = 1.0 / (1.0 / precision + tau2)
    mean = float(np.average(estimates, weights=weight))
    error = math.sqrt(1.0 / float(weight.sum()))
    half = float(stats.norm.ppf((1 + level) / 2)) * error
    new = math.inf
    if freedom >= 2:
        new = float(stats.t.ppf((1 + level) / 2, freedom - 1)) * math.sqrt(tau2 + error**2)
    i2 = max((q - freedom) / q, 0.0) if q > 0 else 0.0
    return Pooled(
        mean, error, mean - half, mean + half, math.sqrt(tau2), i2, mean - new, mean + new
    )


def pool(explanations: Sequence[Explanation]) -> tuple[PooledOptimum, ...]:
    """Pool the optimum of every numeric parameter that has one in two or more trusted studies.

    Raises:
        InputError: for fewer than two explanations.
    """
    if len(explanations) < MIN_STUDIES:
        raise InputError(f"pooling needs two or more studies, not {len(explanations)}: name more.")
    found: dict[str, list[tuple[Explanation, Effect]]] = {}
    for explanation in explanations:
        shown = {r.param for r in explanation.rules if r.kind in ("optimum", "edge", "threshold")}
        for effect in explanation.effects:
            if effect.param in shown and not effect.categorical:
                found.setdefault(effect.param, []).append((explanation, effect))
    return tuple(
        _pool_one(param, members) for param, members in found.items() if len(members) >= MIN_STUDIES
    )


def _pool_one(param: str, members: Sequence[tuple[Explanation, Effect]]) -> PooledOptimum:
    log = all(effect.log for _, effect in members)
    level = members[0][0].level
    points = np.array([_scaled(effect.best, log) for _, effect in members])
    errors = np.array([_error(e, effect, log) for e, effect in members])
    pooled = random_effects(points, errors, level)
    regrets = []
    for index, (explanation, effect) in enumerate(members):
        others = np.arange(len(members)) != index
        # Of two studies one is left, which has nothing to be pooled with.
        rest = points[others], errors[others]
        centre = random_effects(*rest).mean if others.sum() > 1 else float(rest[0][0])
        regrets.append(_regret(explanation, effect, centre, log))
    back = math.exp if log else float
    new_low = 0.0 if log and math.isinf(pooled.new_low) else back(pooled.new_low)
    new_high = math.inf if math.isinf(pooled.new_high) else back(pooled.new_high)
    if math.isfinite(new_high):
        new_low = max(new_low, min(_scaled(effect.values[0], False) for _, effect in members))
        new_high = min(new_high, max(_scaled(effect.values[-1], False) for _, effect in members))
    return PooledOptimum(
        param=param,
        log=log,
        studies=tuple(explanation.study for explanation, _ in members),
        value=back(pooled.mean),
        low=back(pooled.low),
        high=back(pooled.high),
        new_low=new_low,
        new_high=new_high,
        tau=pooled.tau,
        i2=pooled.i2,
        regrets=tuple(regrets),
    )


def _scaled(value: object, log: bool) -> float:
    number = float(value)  # type: ignore[arg-type]
    return math.log(number) if log else number


def _error(explanation: Explanation, effect: Effect, log: bool) -> float:
    """The standard error behind the optimum's interval."""
    width = _scaled(effect.best_high, log) - _scaled(effect.best_low, log)
    return width / (2 * float(stats.norm.ppf((1 + explanation.level) / 2)))


def _regret(explanation: Explanation, effect: Effect, centre: float, log: bool) -> Regret:
    place = np.array([_scaled(value, log) for value in effect.values])
    if not place[0] <= centre <= place[-1]:
        return Regret(explanation.study, None, None, None)
    score = effect.mean if explanation.maximize else -effect.mean
    here = float(np.interp(centre, place, score))
    frame = explanation.frame
    column = next(c for c, axis in enumerate(frame.axes) if axis.name == effect.param)
    gain = None
    if frame.default_given[column]:
        gain = here - float(np.interp(frame.default[column], effect.unit, score))
    value = math.exp(centre) if log else centre
    return Regret(explanation.study, value, float(score.max()) - here, gain)
