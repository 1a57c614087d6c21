"""One parameter in several studies: its curves pooled to one rule (method.md, section 6).

All that pooling takes from an explanation is read here: names, facts, the frame's values, and of
each curve its grid, its mean and copies, and its default.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rich.console import RenderableType
from scipy import stats

from hpsearch.analysis.effects.curve import Curve
from hpsearch.analysis.explanation import Explanation
from hpsearch.analysis.pooling.left_out import when_left_out
from hpsearch.analysis.pooling.moderators import moderators
from hpsearch.analysis.pooling.pooled_curve import (
    PooledCurve,
    StudyCurve,
    piece,
    pool_curves,
    rules_without,
)
from hpsearch.analysis.pooling.random_effects import random_effects
from hpsearch.analysis.pooling.results import (
    MIN_STUDIES,
    PooledOptimum,
    PoolingResults,
    StudyPart,
)
from hpsearch.analysis.read.axes import Floats, Value
from hpsearch.analysis.read.frame import COMPLETE
from hpsearch.analysis.report.pooling import (
    render_html,
    render_json,
    render_markdown,
    render_table,
)
from hpsearch.core.words import how_many
from hpsearch.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

N_PLACES = 101  # of a continuous parameter
OVERLAP = 0.5  # of the studies' median range: less in common is not pooled
IQR = 1.349  # interquartile range of a normal distribution, in standard deviations


@dataclass(frozen=True, repr=False)
class Pooling(PoolingResults):
    """The rules pooled over several studies, and the formats they print in.

    Source: docs/method.md, section 6.
    """

    def to_table(self, *, everything: bool = False) -> RenderableType:
        """Something for `rich.console.Console.print`; it always leaves nothing out."""
        return render_table(self)

    def to_markdown(self) -> str:
        return render_markdown(self)

    def to_json(self) -> str:
        return render_json(self)

    def to_html(self) -> str:
        """One page with forest plots and curves one can hover; it needs no network."""
        return render_html(self)

    def forest_plot(self, param: str) -> go.Figure:
        """The forest plot of one parameter, for a notebook."""
        from hpsearch.analysis.report.plots.forest import forest_plot

        for one in self.optima:
            if one.param == param:
                return forest_plot(one).figure
        known = ", ".join(one.param for one in self.optima) or "none"
        raise InputError(f"'{param}' is not pooled: {known} is.")

    def to_frame(self) -> pd.DataFrame:
        """The pooled rules as a table: a row a parameter, values in its own unit, the expected
        `cost` of the value in a new study in that of `PooledOptimum.unit`."""
        import pandas as pd

        rows = [
            (one.value, one.low, one.high, one.loss.mean, len(one.studies)) for one in self.optima
        ]
        index = pd.Index([one.param for one in self.optima], name="parameter")
        return pd.DataFrame(rows, index=index, columns=["value", "low", "high", "cost", "studies"])

    def __repr__(self) -> str:
        return f"<Pooling of {', '.join(self.studies)}: {how_many(len(self.optima), 'rule')}>"

    def _repr_html_(self) -> str:
        from hpsearch.analysis.report.notebook import pooling_html

        return pooling_html(self)

    def __rich__(self) -> RenderableType:
        return self.to_table()


@dataclass(frozen=True)
class Member:
    """One study's explanation and its curve of the parameter that is pooled."""

    explanation: Explanation
    curve: Curve

    @property
    def study(self) -> str:
        return self.explanation.study

    def span(self, log: bool) -> tuple[float, float]:
        """The ends of what was searched, on the pooled scale."""
        places = [_scaled(value, log) for value in self.curve.grid.values()]
        return places[0], places[-1]


@dataclass(frozen=True)
class About:
    """What holds of all members: `log` scale of the parameter, the `unit` of costs, and `most`, by
    how much two results of a study can differ in that unit; `notes` say which studies are left out.
    """

    log: bool
    unit: str
    most: float
    notes: Sequence[str]


def pool_studies(explanations: Sequence[Explanation]) -> Pooling:
    """Pool the curves of every parameter that two or more studies have.

    Every study enters, also one that has no rule about the parameter.

    Source: docs/method.md, section 6.

    Args:
        explanations: two or more, of studies with different names.

    Returns:
        The pooled rules, and why parameters that several studies have are not among them.

    Raises:
        InputError: for fewer than two studies, and for two of one name, which nobody could tell
            apart.

    Example:
        >>> import optuna
        >>> from hpsearch.analysis import explain
        >>> explanations = []
        >>> for name, best in (("one", 0.3), ("two", 0.35)):
        ...     sampler = optuna.samplers.RandomSampler(seed=0)
        ...     study = optuna.create_study(study_name=name, sampler=sampler)
        ...     study.optimize(lambda t: (t.suggest_float("x", 0, 1) - best) ** 2, n_trials=60)
        ...     explanations.append(explain(study))
        >>> pooling = pool_studies(explanations)
        >>> pooling.optima[0].studies
        ('one', 'two')
    """
    names = [one.study for one in explanations]
    if twice := sorted(name for name, count in Counter(names).items() if count > 1):
        raise InputError(
            f"two of the studies are called '{twice[0]}': give one another name, "
            "as with optuna.copy_study or hpsearch import."
        )
    if len(explanations) < MIN_STUDIES:
        raise InputError(f"pooling needs two or more studies, not {len(explanations)}: name more.")
    explanations = _of_one_metric(explanations)
    found: dict[str, list[Member]] = {}
    for explanation in explanations:
        for curve in explanation.curves:
            found.setdefault(curve.param, []).append(Member(explanation, curve))
    optima, left_out = [], []
    unit, scales = _metric_unit(explanations)
    for param, members in found.items():
        if len(members) < MIN_STUDIES:
            continue
        pooled = _pool_one(members, unit, scales)
        if isinstance(pooled, str):
            left_out.append((param, pooled))
        else:
            optima.append(pooled)
    return Pooling(tuple(names), explanations[0].level, tuple(optima), tuple(left_out))


def _of_one_metric(explanations: Sequence[Explanation]) -> Sequence[Explanation]:
    """Of studies with several objectives the first that all studies have; else each one's first."""
    every = [one.objectives for one in explanations]
    for name, first in every[0].items():
        if all(name in some and some[name].maximize == first.maximize for some in every):
            return [some[name] for some in every]
    return explanations


def _metric_unit(explanations: Sequence[Explanation]) -> tuple[str, dict[str, float]]:
    """The unit of all costs, and what a study's values are divided by.

    That of the metric where all studies have the same one; else each study's own spread, the
    interquartile range of its complete trials as a standard deviation.
    """
    metrics = {(one.metric, one.maximize) for one in explanations}
    if len(metrics) == 1:
        return explanations[0].metric, {one.study: 1.0 for one in explanations}
    scales = {}
    for one in explanations:
        values = one.frame.value[one.frame.state == COMPLETE]
        values = values if len(values) > 1 else one.frame.value[one.frame.usable]
        middle = float(np.subtract(*np.percentile(values, [75, 25]))) / IQR
        scales[one.study] = middle or float(values.std()) or 1.0
    return "standard deviations of a study's trials", scales


def _pool_one(
    members: Sequence[Member], unit: str, scales: dict[str, float]
) -> PooledOptimum | str:
    """The pooled rule of one parameter, or why there is none."""
    categorical = {one.curve.grid.axis.is_categorical for one in members}
    if len(categorical) > 1:
        return "it is a number in one study and a category in another"
    log = all(one.curve.grid.axis.log for one in members)
    notes: list[str] = []
    if categorical == {True}:
        values = _common_categories(members)
        if len(values) < 2:
            return "the studies share fewer than two categories"
        places = np.arange(len(values), dtype=np.float64)
    else:
        members, notes = _overlapping(members, log)
        if len(members) < MIN_STUDIES:
            return "the studies' ranges have too little in common"
        places = _places(members, log)
        whole = all(one.curve.grid.axis.kind == "int" for one in members)
        values = tuple(_value(place, whole, log) for place in places)
        if len(places) < 2:
            return "the studies tried fewer than two values in common"
    curves = [_at_places(one, values, places, log, scales[one.study]) for one in members]
    level = members[0].explanation.level
    pooled = pool_curves(curves, level, None if categorical == {True} else places)
    most = max(float(np.ptp(one.curve.bounds)) / scales[one.study] for one in members)
    return _assemble(members, curves, pooled, values, places, About(log, unit, most, notes))


def _overlapping(members: Sequence[Member], log: bool) -> tuple[list[Member], list[str]]:
    """The studies whose ranges have enough in common; the others one by one are left out."""
    kept = list(members)
    notes: list[str] = []
    while len(kept) >= MIN_STUDIES:
        spans = [one.span(log) for one in kept]
        low, high = _common(spans)
        if high - low >= OVERLAP * float(np.median([b - a for a, b in spans])):
            return kept, notes
        wider = [np.subtract(*_common(spans[:i] + spans[i + 1 :])) for i in range(len(kept))]
        out = kept.pop(int(np.argmin(wider)))
        notes.append(f"{out.study} is left out: it searched another range.")
    return [], notes


def _common(spans: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return max(low for low, _ in spans), min(high for _, high in spans)


def _places(members: Sequence[Member], log: bool) -> Floats:
    """An even grid over what all studies searched; of whole numbers and steps those they tried."""
    low, high = _common([one.span(log) for one in members])
    grids = [one.curve.grid for one in members]
    if not all(grid.levels or grid.axis.n_levels for grid in grids):
        return np.linspace(low, high, N_PLACES)
    tried = {_scaled(value, log) for grid in grids for value in grid.values()}
    return np.array(sorted(place for place in tried if low <= place <= high))


def _common_categories(members: Sequence[Member]) -> tuple[Value, ...]:
    first, *rest = (one.curve.grid.values() for one in members)
    return tuple(v for v in first if all(any(_same(v, w) for w in other) for other in rest))


def _same(left: Value, right: Value) -> bool:
    return type(left) is type(right) and left == right


def _at_places(
    member: Member, values: Sequence[Value], places: Floats, log: bool, scale: float
) -> StudyCurve:
    """The study's curve at the pooled places, in the pooled unit."""
    curve, tried = member.curve, member.curve.grid.values()
    if curve.grid.axis.is_categorical:
        known = np.array([next(i for i, w in enumerate(tried) if _same(v, w)) for v in values])
        onto = np.eye(len(tried))[:, known]
        default = next((i for i, v in enumerate(values) if _same(v, curve.default_value)), None)
    else:
        own = np.array([_scaled(value, log) for value in tried])
        onto = np.stack([np.interp(places, own, unit) for unit in np.eye(len(own))])
        at = _scaled(curve.default_value, log)
        inside = places[0] <= at <= places[-1]
        default = int(np.argmin(np.abs(places - at))) if inside else None
    turn = curve.sign / scale
    return StudyCurve(
        score=turn * curve.marginal.mean @ onto,
        copies=turn * curve.marginal.widest() @ onto,
        default=default if curve.default_given else None,
        worth=curve.worth / scale,
    )


def _assemble(
    members: Sequence[Member],
    curves: Sequence[StudyCurve],
    pooled: PooledCurve,
    values: tuple[Value, ...],
    places: Floats,
    about: About,
) -> PooledOptimum:
    log, most = about.log, about.most
    level = members[0].explanation.level
    without = rules_without(curves)
    numeric = not members[0].curve.grid.axis.is_categorical
    near = piece(pooled.inside, pooled.best)
    best = np.array([places[np.argmax(one.score)] for one in curves])
    errors = np.array([one.best_error(places) for one in curves])
    spread = random_effects(best, errors, level) if numeric else None
    loss, gain = when_left_out(curves, without, level, most)
    return PooledOptimum(
        param=members[0].curve.param,
        log=log,
        unit=about.unit,
        studies=tuple(one.study for one in members),
        value=values[pooled.best],
        low=values[near[0]] if numeric else None,
        high=values[near[-1]] if numeric else None,
        new_low=_within(spread.new_low, members[0], places, log) if spread else None,
        new_high=_within(spread.new_high, members[0], places, log) if spread else None,
        tau=spread.tau if spread else None,
        tau_low=spread.tau_low if spread else None,
        tau_high=spread.tau_high if spread else None,
        i2=spread.i2 if spread else None,
        loss=loss,
        gain=gain,
        values=values,
        cost=np.clip(pooled.cost.mean, 0.0, most),
        cost_low=np.clip(pooled.cost.low, 0.0, most),
        cost_high=np.clip(pooled.cost.high, 0.0, most),
        cost_new_high=np.clip(pooled.cost.new_high, 0.0, most),
        inside=pooled.inside,
        safer=pooled.safer,
        parts=tuple(
            _part(member, curve, (float(pooled.weights[i]), without[i]), values, places, log)
            for i, (member, curve) in enumerate(zip(members, curves, strict=True))
        ),
        moderators=moderators([_facts(one) for one in members], best, errors, level)
        if numeric
        else (),
        notes=tuple(about.notes),
    )


def _part(
    member: Member,
    curve: StudyCurve,
    pooled: tuple[float, int],
    values: tuple[Value, ...],
    places: Floats,
    log: bool,
) -> StudyPart:
    weight, without = pooled
    best = int(np.argmax(curve.score))
    low = high = values[best]
    if not member.curve.grid.axis.is_categorical:
        half = float(stats.norm.ppf((1 + member.explanation.level) / 2)) * curve.best_error(places)
        low = _within(float(places[best]) - half, member, places, log)
        high = _within(float(places[best]) + half, member, places, log)
    gain = None
    if curve.default is not None:
        gain = float(curve.score[without] - curve.score[curve.default])
    return StudyPart(
        study=member.study,
        weight=weight,
        best=values[best],
        low=low,
        high=high,
        without=values[without],
        loss=float(curve.score.max() - curve.score[without]),
        gain=gain,
    )


def _facts(member: Member) -> dict[str, Value]:
    """What is known of a study that others may differ in."""
    frame = member.explanation.frame
    return {**frame.facts, **dict(frame.constants), "trials": frame.n_trials}


def _scaled(value: object, log: bool) -> float:
    number = float(value)  # type: ignore[arg-type]
    return math.log(number) if log else number


def _value(place: float, whole: bool, log: bool) -> Value:
    """The parameter's value at a place, rounded for `whole` numbers."""
    value = math.exp(place) if log else float(place)
    return round(value) if whole else value


def _within(place: float, member: Member, places: Floats, log: bool) -> Value:
    """The value of a place, no farther than what is pooled (which keeps exp within the floats)."""
    place = min(max(place, float(places[0])), float(places[-1]))
    return _value(place, member.curve.grid.axis.kind == "int", log)
