"""A prior: the first exploit trials are drawn from the rules of earlier studies.

The first has the values that the rules name, the others are drawn from what the rules expect of a
new study. They are a small share of the exploit trials, so a wrong prior costs little: the sampler
learns from them as from all others, and the design is as without a prior.
(Mallik et al. 2023, "PriorBand", section 4, mixes a prior with other trials for the same reason.)
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from pydantic import BaseModel, Field, ValidationError

from hpsearch.core.words import first_problem, format_value
from hpsearch.errors import HpsearchError, InputError
from hpsearch.exchange.recorded import Recording
from hpsearch.exchange.together import all_recorded, names_recorded
from hpsearch.store import Store
from hpsearch.study.space import Space, from_unit, to_unit
from hpsearch.study.spec import load_spec

if TYPE_CHECKING:
    from hpsearch.analysis import Explanation
    from hpsearch.analysis.pooling.results import PoolingResults

ALL = "rules"
"""In place of a name: all other studies of the store."""
RECORDED = "recorded"
"""In place of a name: the studies of the same trainer whose trials come with hpsearch."""
SHARE, MOST = 0.25, 10  # of the exploit trials; so many trials of a study
LEFT_OPEN = 0.1  # chance that a draw leaves a parameter to the sampler
LEAST, OF_ONE_STUDY = 0.05, 0.15  # smallest standard deviation, as a part of the range
NAMING = ("optimum", "threshold", "edge")  # kinds of rule that name a value


class Expected(BaseModel):
    """What a rule expects of a new study: `value`, within `low` to `high` at `level`.

    For a choice, `low` and `high` are None, and `also` holds what may be as good. `studies` is how
    many studies the rule is from.
    """

    param: str
    value: bool | int | float | str | None
    low: float | None
    high: float | None
    level: float = Field(gt=0, lt=1)
    also: tuple[bool | int | float | str | None, ...] = ()
    studies: int = 1


@dataclass(frozen=True)
class Belief:
    """Where a parameter's best value may be, as places in [0, 1] (see study.space.from_unit).

    `value` is the rule's, as the space can take it, and `best` its place. A number's place is drawn
    from a normal distribution with the standard deviation `spread`; a choice from `weights` (number
    of choices,).
    """

    value: Any
    best: float
    spread: float = 0.0
    weights: tuple[float, ...] = ()

    def draw(self, generator: np.random.Generator) -> float:
        if self.weights:
            chosen = generator.choice(len(self.weights), p=self.weights)
            return (int(chosen) + 0.5) / len(self.weights)
        normal = NormalDist(self.best, self.spread)
        low, high = normal.cdf(0.0), normal.cdf(1.0)
        drawn = min(max(low + (high - low) * generator.random(), 1e-12), 1 - 1e-12)
        return min(max(normal.inv_cdf(drawn), 0.0), 1.0)


@dataclass(frozen=True)
class Prior:
    """What earlier studies say of the parameters of a space."""

    space: Space
    beliefs: Mapping[str, Belief]

    def configurations(
        self, count: int, defaults: Mapping[str, Any], generator: np.random.Generator
    ) -> list[dict[str, Any]]:
        """`count` configurations: first the rules' values among the `defaults`, then draws, which
        leave to the sampler what no rule names."""
        if not self.beliefs or count < 1:
            return []
        first = {name: one.value for name, one in self.beliefs.items()}
        drawn = [
            {
                name: from_unit(self.space[name], one.draw(generator))
                for name, one in self.beliefs.items()
                if generator.random() >= LEFT_OPEN
            }
            for _ in range(count - 1)
        ]
        return [{**defaults, **first}, *drawn]

    @property
    def sentence(self) -> str:
        """What is believed, for the user."""
        if not self.beliefs:
            return "prior: no rule names a value of a parameter of this study; it starts as without"
        named = ", ".join(
            f"{name} near {format_value(one.value)}" for name, one in self.beliefs.items()
        )
        return f"prior: {named}"


def count_of(exploit: int, had: int) -> int:
    """How many of a run's exploit trials are drawn from the prior, if the study `had` some."""
    return max(min(math.ceil(exploit * SHARE), MOST - had), 0)


def read_prior(store: Store, sources: Sequence[str], space: Space, own: str, trainer: str) -> Prior:
    """What the `sources` say: studies of the store, ALL of its others, those RECORDED, or JSON
    files of `explain`.

    `own` is the name of the study that starts, `trainer` what trains its trials. Raises InputError
    for a source that there is not or that cannot be read.
    """
    expected: list[Expected] = []
    names: list[str] = []
    for one in sources:
        if one.endswith(".json"):
            expected += read_file(Path(one))
        elif one == RECORDED:
            expected += _of_recorded(own, trainer)
        else:
            names += _others(store, own) if one == ALL else [one]
    if names:
        expected += _of_studies(store, list(dict.fromkeys(names)), many=ALL in sources)
    return Prior(space, believe(space, expected))


def believe(space: Space, expected: Sequence[Expected]) -> dict[str, Belief]:
    """What the rules say of the space's parameters; of two rules that of more studies."""
    beliefs: dict[str, Belief] = {}
    for rule in sorted(expected, key=lambda rule: -rule.studies):
        if rule.param in space and rule.param not in beliefs:
            found = belief(space[rule.param], rule)
            if found is not None:
                beliefs[rule.param] = found
    return {name: beliefs[name] for name in space if name in beliefs}


def belief(distribution: BaseDistribution, rule: Expected) -> Belief | None:
    """What a rule says on the scale of a parameter; None where it says nothing within its range.

    Of one study alone nobody knows how far the next one differs, so its interval counts as wider.
    """
    if isinstance(distribution, CategoricalDistribution):
        choices = distribution.choices
        if rule.value not in choices:
            return None
        weights = np.zeros(len(choices))
        good = {choices.index(one) for one in (rule.value, *rule.also) if one in choices}
        weights[list(good)] = 0.5 / len(good)
        weights[choices.index(rule.value)] += 0.5
        place = to_unit(distribution, rule.value)
        return Belief(rule.value, place, weights=tuple(weights.tolist()))
    if isinstance(rule.value, bool | str | None) or rule.low is None or rule.high is None:
        return None  # it was a choice there
    try:
        best, low, high = (to_unit(distribution, v) for v in (rule.value, rule.low, rule.high))
    except ValueError:  # no logarithm
        return None
    if high < 0 or low > 1:
        return None
    within = NormalDist().inv_cdf((1 + rule.level) / 2)
    least = OF_ONE_STUDY if rule.studies == 1 else LEAST
    spread = max((min(high, 1.0) - max(low, 0.0)) / (2 * within), least)
    best = min(max(best, 0.0), 1.0)
    value = from_unit(distribution, best)
    if math.isclose(value, rule.value):  # the way over the scale leaves a last digit
        value = type(value)(rule.value)
    return Belief(value, best, spread)


def _others(store: Store, own: str) -> list[str]:
    names = [one.name for one in store.studies() if one.name != own]
    if not names:
        raise InputError(
            f"--prior {ALL}: the store {store.shown_url} holds no other study; "
            "hpsearch import brings one from another store."
        )
    return names


def _of_studies(store: Store, names: Sequence[str], *, many: bool) -> list[Expected]:
    """The rules of studies of the store: of two or more pooled, and each one's own.

    With `many`, a study that cannot be explained is passed over; else that is an InputError.
    """
    from hpsearch.analysis.explain import explain

    known = {one.name: one for one in store.studies()}
    explanations: list[Explanation] = []
    for name in names:
        if name not in known:
            raise InputError(
                f"--prior {name}: the store {store.shown_url} has no such study; it has "
                f"{', '.join(known) or 'none'}. A file of rules ends in .json."
            )
        try:
            known[name].check()
            study = optuna.load_study(study_name=name, storage=store.optuna)
            explanations.append(explain(study))
        except HpsearchError as error:
            if not many:
                raise InputError(f"--prior {name}: {error}") from error
    return _pooled_first(explanations)


def _of_recorded(own: str, trainer: str) -> list[Expected]:
    """The rules of the recorded studies of the trainer, those of the study itself first."""
    from hpsearch.analysis.explain import explain

    found = [one for one in all_recorded() if load_spec(one.declared).trainer == trainer]
    if not found:
        raise InputError(
            f"--prior {RECORDED}: of the trainer {trainer} nothing is recorded; hpsearch comes "
            f"with trials of {', '.join(names_recorded()) or 'no study'}."
        )
    largest: dict[str, Recording] = {}
    for one in sorted(found, key=lambda one: (one.study != own, -one.count)):
        largest.setdefault(one.study, one)
    return _pooled_first([explain(one.load()) for one in largest.values()])


def _pooled_first(explanations: Sequence[Explanation]) -> list[Expected]:
    from hpsearch.analysis.pool_studies import pool_studies

    single = [rule for one in explanations for rule in _of_rules(one.rules)]
    pooled = pooled_rules(pool_studies(explanations)) if len(explanations) > 1 else []
    return pooled + single


def pooled_rules(pooling: PoolingResults) -> list[Expected]:
    return [_of_pooled(vars(one), pooling.level, one.may_be_best) for one in pooling.optima]


def _of_rules(rules: Iterable[Any]) -> list[Expected]:
    return [
        Expected(
            param=rule.param, value=rule.value, level=rule.level, also=rule.alternatives,
            low=rule.low if rule.best_low is None else rule.best_low,
            high=rule.high if rule.best_high is None else rule.best_high,
        )
        for rule in rules
        if rule.kind in NAMING
    ]  # fmt: skip


def _of_pooled(one: Mapping[str, Any], level: float, also: Sequence[Any]) -> Expected:
    return Expected(
        param=one["param"], value=one["value"], low=one["new_low"], high=one["new_high"],
        level=level, also=tuple(also), studies=len(one["studies"]),
    )  # fmt: skip


class _RuleInFile(BaseModel):
    param: str
    kind: str
    value: bool | int | float | str | None
    low: float | str | None
    high: float | str | None
    best_low: float | str | None = None  # files of earlier versions have none
    best_high: float | str | None = None
    level: float = Field(gt=0, lt=1)
    alternatives: tuple[bool | int | float | str | None, ...] = ()


class _OptimumInFile(BaseModel):
    param: str
    value: bool | int | float | str | None
    new_low: float | None
    new_high: float | None
    values: list[bool | int | float | str | None]
    inside: list[bool]
    studies: list[str]


class _Explained(BaseModel):
    schema_: Literal["hpsearch.explain/1"] = Field(alias="schema")
    rules: list[_RuleInFile]


class _Pooled(BaseModel):
    schema_: Literal["hpsearch.pool/2"] = Field(alias="schema")
    level: float = Field(gt=0, lt=1)
    optima: list[_OptimumInFile]


def read_file(path: Path) -> list[Expected]:
    """The rules in a JSON file that `hpsearch explain` wrote of one study, or pooled of several.

    Raises InputError for a file that cannot be read or is no such file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and content.get("schema") == "hpsearch.pool/2":
            pooled = _Pooled.model_validate(content)
            return [
                _of_pooled(
                    vars(one), pooled.level,
                    [v for v, inside in zip(one.values, one.inside, strict=True) if inside],
                )
                for one in pooled.optima
            ]  # fmt: skip
        return _of_rules(_Explained.model_validate(content).rules)
    except OSError as error:
        raise InputError(f"--prior {path}: it cannot be read ({error.strerror}).") from error
    except ValidationError as error:
        raise InputError(
            f"--prior {path}: it is no file of hpsearch explain --format json "
            f"({first_problem(error)})."
        ) from error
    except ValueError as error:
        raise InputError(f"--prior {path}: it is no JSON file ({error}).") from error
