"""The plan of a verification: the contrast, the claim, the pairs. Written down before any run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from scipy import stats

from hpsearch.analysis import Explanation
from hpsearch.analysis.effects.advice import BEST, Model, choose_model
from hpsearch.analysis.read.axes import Axis, Floats, Value
from hpsearch.analysis.read.frame import COMPLETE
from hpsearch.analysis.read.subspaces import Subspace
from hpsearch.core.words import Quoted, digits, format_value, nearest, told_apart
from hpsearch.errors import InputError
from hpsearch.study.conditions import When, is_active
from hpsearch.study.space import Space, describe, space_from_unit
from hpsearch.verification.paired_test import (
    MIN_PAIRS,
    error_of_look,
    new_pairs,
    power,
)
from hpsearch.verification.verdict import Pairs

CANDIDATES = 1024  # how many random configurations the good region is chosen from
LIKELY = 0.8  # the probability that the noise is below the limit computed from few replicates
WORTH = 0.5  # a gain is worth having if it is this part of the claimed one
TEST = "all pairs of the contrast together, corrected for skewness and for looking again"


@dataclass(frozen=True)
class Contrast:
    """Two values of a parameter: whether `value` is better than `against` is the question."""

    param: str
    value: Any
    against: Any

    def turned(self) -> Contrast:
        """The opposite one."""
        return Contrast(self.param, self.against, self.value)


@dataclass(frozen=True)
class Design:
    """What a user says about the number of pairs.

    `pairs`: so many. None: as many as find the claimed gain with a power of 80%, and `bound` at
    most. `level` is that of the interval. `rules` is how many rules share its error.
    """

    pairs: int | None
    bound: int
    level: float
    rules: int = 1


@dataclass(frozen=True)
class DrawnFrom:
    """What the configurations of pairs are drawn from: a space, and which parameters are there
    `when` others have certain values."""

    space: Space
    when: When = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What a verification is going to do.

    `claimed` is the gain of `value` over `against` that it is to find, `worth` the smallest gain
    that is worth having, `spread` the standard deviation of a pair's gain, all in the metric's
    unit, `power` the probability to confirm the claimed gain. `pairs` new pairs are planned. Their
    number is computed again after `first` of them. `configs` and `seeds` hold the remaining
    parameters and the seed of each pair, as many as there may be in the end. The rule comes from
    `trials` trials; the pairs are run in `trials_study`. It is the verification number `look` of
    its contrast, one of `rules` that share the error.
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
    worth: float
    pairs: int
    first: int
    look: int
    rules: int
    test: str = TEST

    @property
    def bound(self) -> int:
        """How many new pairs there are at most."""
        return len(self.configs)

    @property
    def error(self) -> float:
        """The error of this look on one side."""
        return error_of_look(self.level, self.look, self.rules)

    @property
    def statement(self) -> str:
        """The plan in a sentence."""
        text = (
            f"{self.pairs} pairs of {self.param} {format_value(self.value)} against "
            f"{format_value(self.against)}, to find a gain of {digits(self.claimed, 2)} "
            f"{self.metric} "
            f"({self.claim}) with a "
            f"probability of {self.power:.0%} where one pair's gain varies by "
            f"{digits(self.spread, 2)}; "
        )
        if self.first < self.bound:
            text += f"after {self.first} of them the number is computed again; "
        return f"{text}{self.test}, {self.level:.0%} interval."

    def enough(self, seen: Pairs, earlier: int) -> tuple[int, float]:
        """How many new pairs there should be after the first ones, and how much their gains vary.

        The spread of the gains alone decides, never their mean: the number of pairs then says
        nothing about the verdict.

        Args:
            seen: all pairs of the contrast up to now.
            earlier: how many pairs the contrast had before this verification.
        """
        if len(seen.gains) < 2:
            return self.pairs, self.spread
        spread = float(np.std(seen.gains, ddof=1))
        needed = new_pairs(
            self.claimed, spread, earlier, level=self.level, look=self.look, rules=self.rules
        )
        return min(max(needed, self.first), self.bound), spread

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Plan:
        """The plan of a row. A plan without a second part, as there were, is of one part."""
        lists = {key: tuple(content[key]) for key in ("configs", "seeds")}
        pairs = len(lists["configs"])
        one_part = {
            "worth": WORTH * content["claimed"],
            "pairs": pairs,
            "first": pairs,
            "look": 1,
            "rules": 1,
        }
        return cls(**{**one_part, **content, **lists})


def make_plan(
    explanation: Explanation,
    drawn_from: DrawnFrom,
    contrast: Contrast,
    design: Design,
    *,
    earlier: Sequence[Pairs],
    trials_study: str,
    seed: Sequence[int],
) -> Plan:
    """The plan for a contrast of two values that the space holds.

    `earlier` holds the pairs of the contrast's verifications before this one: the verdict is on
    all pairs. Raises InputError where it takes more pairs than the design's bound.
    """
    rng = np.random.default_rng(list(seed))
    noise = _noise(explanation)
    claimed, claim = _claim(explanation, contrast, noise)
    configs, gains = _good_region(explanation, drawn_from, contrast, rng)
    spread = math.sqrt(2 * noise**2 + float(np.var(gains)))
    look = 1 + len(earlier)
    error = error_of_look(design.level, look, design.rules)
    had = sum(len(one.gains) for one in earlier)
    if design.pairs is None:
        count = new_pairs(claimed, spread, had, level=design.level, look=look, rules=design.rules)
        if count > design.bound:
            raise InputError(
                f"To find a gain of {digits(claimed, 2)} beside a noise of {digits(noise, 2)} "
                f"takes {count:,} "
                "pairs: give --pairs to run fewer, with less hope of an answer."
            )
        first = max(MIN_PAIRS, -(-count // 2))
        bound = design.bound
    else:
        count = first = bound = design.pairs
    chosen = rng.choice(len(configs), bound, replace=bound > len(configs))
    return Plan(
        study=explanation.study,
        param=contrast.param,
        value=contrast.value,
        against=contrast.against,
        metric=explanation.metric,
        maximize=explanation.maximize,
        level=design.level,
        power=power(had + count, claimed, spread, error),
        claimed=claimed,
        claim=claim,
        noise=noise,
        spread=spread,
        configs=tuple(configs[int(one)] for one in chosen),
        seeds=tuple(int(one) for one in rng.integers(0, 2**31, bound)),
        trials=explanation.n_trials,
        trials_study=trials_study,
        worth=WORTH * claimed,
        pairs=count,
        first=first,
        look=look,
        rules=design.rules,
    )


def parse_contrast(space: Space, given: Contrast) -> Contrast:
    """The contrast with the values that a person typed (or gave) as the space has them.

    Raises InputError for a parameter that there is not, a value outside its range, and two values
    that are the same.
    """
    value = _parse_value(space, given.param, "--value", given.value)
    against = _parse_value(space, given.param, "--against", given.against)
    if value == against:
        raise InputError(f"--value and --against are both {format_value(value)}: give two values.")
    return Contrast(given.param, value, against)


def _parse_value(space: Space, param: str, option: str, given: object) -> Value:
    if param not in space:
        raise InputError(
            f"--param {param}: the study has no such parameter{nearest(param, space)}; "
            f"it has {', '.join(space)}."
        )
    distribution = space[param]
    values = _values(distribution, given)
    if not values:
        raise InputError(
            f"{option} {given} is no value of {param}, which is {describe(distribution)}."
        )
    return values[0]


def _values(distribution: BaseDistribution, given: object) -> list[Value]:
    """What the given value may stand for, the likeliest first; None may be a choice."""
    if isinstance(distribution, CategoricalDistribution):
        given = given.plain if isinstance(given, Quoted) else given
        choices = list(distribution.choices)
        same = [one for one in choices if type(one) is type(given) and one == given]
        labels = zip(choices, told_apart(choices), strict=True)
        return [*same, *(one for one, label in labels if str(label) == str(given))]
    try:
        number = float(str(given))
    except (TypeError, ValueError):
        return []
    whole = isinstance(distribution, IntDistribution)
    if (whole and not number.is_integer()) or not distribution._contains(number):
        return []
    return [int(number) if whole else number]


def _noise(explanation: Explanation) -> float:
    """The standard deviation between runs of one configuration, rather too large than too small.

    The explanation may take the noise from the forest's residuals. Residuals hold the forest's own
    error, too. If there are a few replicates, this computes an upper limit of the noise from them,
    and returns the smaller of both values.
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


def _claim(explanation: Explanation, contrast: Contrast, noise: float) -> tuple[float, str]:
    """The gain to be found, and where it comes from: the rule that claims it, else the curve."""
    param, value, against = contrast.param, contrast.value, contrast.against
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
    drawn_from: DrawnFrom,
    contrast: Contrast,
    rng: np.random.Generator,
) -> tuple[list[dict[str, Any]], Floats]:
    """Choose the configurations that are set well: (the configurations without the parameter, the
    predicted gain of the contrast's value in each).

    The model and the share of the space are those that the rules speak of (analysis'
    effects/advice.py). A pair has one configuration for both values, so it is their mean that is
    among the best."""
    param, value, against = contrast.param, contrast.value, contrast.against
    space = drawn_from.space
    points = rng.random((CANDIDATES, len(space)))
    configs = [space_from_unit(space, point) for point in points]
    subspace, fitted = explanation.fits[_place(explanation, param)]
    configs = [one for one in configs if is_active(param, one, drawn_from.when)]
    model = choose_model(fitted)
    with_value, with_reference = (
        (1.0 if explanation.maximize else -1.0)
        * _predict(explanation, model, subspace, [{**one, param: which} for one in configs])
        for which in (value, against)
    )
    best = np.argsort(-(with_value + with_reference), kind="stable")
    best = best[: max(1, int(len(configs) * BEST))]
    rest = [{k: v for k, v in configs[int(one)].items() if k != param} for one in best]
    return rest, (with_value - with_reference)[best]


def _place(explanation: Explanation, param: str) -> int:
    """Of which fit the parameter is: of all trials, or of the branch that has it."""
    axes = explanation.frame.axes
    having = (
        place
        for place, (subspace, _) in enumerate(explanation.fits)
        if any(axes[column].name == param for column in subspace.columns)
    )
    return next(having, 0)


def _predict(
    explanation: Explanation, model: Model, subspace: Subspace, configs: Sequence[Mapping[str, Any]]
) -> Floats:
    """The model behind the rules at configurations (m,), at the full budget, (m,)."""
    axes = [explanation.frame.axes[column] for column in subspace.columns]
    columns = [axis.to_unit([one[axis.name] for one in configs]) for axis in axes]
    return model.predict(np.column_stack(columns).astype(np.float64))
