"""The plan of a verification: the contrast, the claim, the pairs. Written down before any run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from scipy import stats

from hpsearch.analysis import Explanation
from hpsearch.analysis.axes import Axis, Floats, Value
from hpsearch.analysis.frame import COMPLETE
from hpsearch.analysis.rules import show
from hpsearch.analysis.verification import MAX_PAIRS, pairs_needed, power
from hpsearch.errors import InputError
from hpsearch.search.space import Space, describe, space_from_unit
from hpsearch.wording import nearest

CANDIDATES = 1024  # configurations that the good region is looked for among
GOOD_SHARE = 0.25  # of them, those that the forest predicts to be best, make it up
LIKELY = 0.8  # the probability that the noise is no larger than what few replicates are read as
TEST = "paired t-test, one-sided, once, after all pairs"


@dataclass(frozen=True)
class Plan:
    """What a verification is going to do.

    `claimed` is the gain of `value` over `against` that it is to find, `spread` the standard
    deviation of a pair's gain, both in the metric's unit, `power` the probability to confirm it.
    `configs` and `seeds` hold the remaining parameters and the seed of each pair. So many `trials`
    proposed it; the pairs are run in `trials_study`.
    """

    study: str
    param: str
    value: Value
    against: Value
    metric: str
    maximize: bool
    level: float
    power: float
    claimed: float
    claim: str
    noise: float
    spread: float
    configs: tuple[dict[str, Any], ...]
    seeds: tuple[int, ...]
    trials: int
    trials_study: str
    test: str = TEST

    @property
    def pairs(self) -> int:
        return len(self.configs)

    @property
    def statement(self) -> str:
        """The plan in a sentence."""
        return (
            f"{self.pairs} pairs of {self.param} {show(self.value)} against {show(self.against)}, "
            f"to find a gain of {self.claimed:.2g} {self.metric} ({self.claim}) with a "
            f"probability of {self.power:.0%} where one pair's gain varies by {self.spread:.2g}; "
            f"{self.test}, {self.level:.0%} interval."
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Plan:
        lists = {key: tuple(content[key]) for key in ("configs", "seeds")}
        return cls(**{**content, **lists})


def make_plan(
    explanation: Explanation,
    space: Space,
    param: str,
    value: Value,
    against: Value,
    *,
    pairs: int | None,
    level: float,
    trials_study: str,
    seed: Sequence[int],
) -> Plan:
    """The plan for `value` against `against`, both of the space's `param`.

    `pairs` None: as many as find the claimed gain with a power of 80%. Raises InputError
    where that takes more than MAX_PAIRS.
    """
    rng = np.random.default_rng(list(seed))
    noise = _noise(explanation)
    claimed, claim = _claim(explanation, param, value, against, noise)
    configs, gains = _good_region(explanation, space, param, value, against, rng)
    spread = math.sqrt(2 * noise**2 + float(np.var(gains)))
    needed = pairs_needed(claimed, spread, level)
    if pairs is None and needed > MAX_PAIRS:
        raise InputError(
            f"To find a gain of {claimed:.2g} beside a noise of {noise:.2g} takes {needed:,} "
            "pairs: give --pairs to run fewer, with less hope of an answer."
        )
    count = needed if pairs is None else pairs
    chosen = rng.choice(len(configs), count, replace=count > len(configs))
    return Plan(
        study=explanation.study,
        param=param,
        value=value,
        against=against,
        metric=explanation.metric,
        maximize=explanation.maximize,
        level=level,
        power=power(count, claimed, spread, level),
        claimed=claimed,
        claim=claim,
        noise=noise,
        spread=spread,
        configs=tuple(configs[int(one)] for one in chosen),
        seeds=tuple(int(one) for one in rng.integers(0, 2**31, count)),
        trials=explanation.n_trials,
        trials_study=trials_study,
    )


def parse_value(space: Space, param: str, option: str, given: object) -> Value:
    """The parameter's value that a person typed (or gave), one that the space holds.

    Raises InputError for a parameter that there is not, and for a value outside its range.
    """
    if param not in space:
        raise InputError(
            f"--param {param}: the study has no such parameter{nearest(param, space)}; "
            f"it has {', '.join(space)}."
        )
    distribution = space[param]
    value = _value(distribution, given)
    if value is None:
        raise InputError(
            f"{option} {given} is no value of {param}, which is {describe(distribution)}."
        )
    return value


def _value(distribution: BaseDistribution, given: object) -> Value:
    if isinstance(distribution, CategoricalDistribution):
        same = [c for c in distribution.choices if type(c) is type(given) and c == given]
        return next(iter(same or [c for c in distribution.choices if str(c) == str(given)]), None)
    try:
        number = float(str(given))
    except (TypeError, ValueError):
        return None
    whole = isinstance(distribution, IntDistribution)
    if (whole and not number.is_integer()) or not distribution._contains(number):
        return None
    return int(number) if whole else number


def _noise(explanation: Explanation) -> float:
    """The standard deviation of repeating one configuration, rather too large than too small.

    Where the explanation has it from the forest's residuals, which hold what the forest does not
    know as well, a few replicates say more: by the upper end of what is likely of them.
    """
    frame, known = explanation.frame, explanation.noise
    complete = frame.state == COMPLETE
    _, group, count = np.unique(frame.group[complete], return_inverse=True, return_counts=True)
    freedom = int(np.sum(count - 1))
    if known.source == "replicates" or freedom == 0:
        return known.value
    value = frame.value[complete]
    squares = float(np.sum((value - (np.bincount(group, value) / count)[group]) ** 2))
    return min(known.value, math.sqrt(squares / float(stats.chi2.ppf(1 - LIKELY, freedom))))


def _claim(
    explanation: Explanation, param: str, value: Value, against: Value, noise: float
) -> tuple[float, str]:
    """The gain to be found, and where it comes from: the rule that claims it, else the curve."""
    for rule in explanation.rules:
        same = rule.param == param and rule.value == value and rule.default == against
        if same and rule.gain is not None and rule.gain.value > 0:
            return rule.gain.value, "the rule's gain over the default"
    for effect in explanation.effects:
        if effect.param == param:
            axis = next(axis for axis in explanation.frame.axes if axis.name == param)
            gain = _at(axis, effect.unit, effect.mean, value) - _at(
                axis, effect.unit, effect.mean, against
            )
            gain = gain if explanation.maximize else -gain
            if gain > 0:
                return gain, "the difference on the curve of the proposing trials"
    return noise, "the noise of one run: the proposing trials show no gain"


def _at(axis: Axis, unit: Floats, mean: Floats, value: Value) -> float:
    """The curve at a value of the parameter."""
    return float(np.interp(axis.to_unit([value])[0], unit, mean))


def _good_region(
    explanation: Explanation,
    space: Space,
    param: str,
    value: Value,
    against: Value,
    rng: np.random.Generator,
) -> tuple[list[dict[str, Any]], Floats]:
    """(configurations without `param` that the forest predicts to be good, its gain in each)."""
    points = rng.random((CANDIDATES, len(space)))
    configs = [space_from_unit(space, point) for point in points]
    sign = 1.0 if explanation.maximize else -1.0
    with_value = sign * _predict(explanation, [{**one, param: value} for one in configs])
    with_reference = sign * _predict(explanation, [{**one, param: against} for one in configs])
    best = np.argsort(-(with_value + with_reference), kind="stable")
    best = best[: int(CANDIDATES * GOOD_SHARE)]
    rest = [{k: v for k, v in configs[int(one)].items() if k != param} for one in best]
    return rest, (with_value - with_reference)[best]


def _predict(explanation: Explanation, configs: Sequence[Mapping[str, Any]]) -> Floats:
    """The forest at configurations (m,), at the full budget, (m,)."""
    subspace, fitted = explanation.fits[0]
    axes = [explanation.frame.axes[column] for column in subspace.columns]
    columns = [axis.to_unit([one[axis.name] for one in configs]) for axis in axes]
    return fitted.forest.predict(np.column_stack(columns).astype(np.float32))
