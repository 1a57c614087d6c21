"""Read any Optuna study into arrays on the sampling scale (method.md, section 1)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

from hpsearch.analysis.read.axes import Axis, Bools, Floats, Ints, Value, build_axis
from hpsearch.analysis.read.pruned import at_full_budget
from hpsearch.core.words import Quoted, told_apart
from hpsearch.errors import InputError
from hpsearch.store.tables import attributes
from hpsearch.store.trials.columns import ParamColumn, TrialColumns
from hpsearch.store.trials.read_columns import columns_of
from hpsearch.study.metric_names import UNBOUNDED, bounds_of

COMPLETE, PRUNED, FAILED = 0, 1, 2
FACTS = (
    attributes.STUDY, attributes.PRESET, attributes.SETTINGS, attributes.DATA, attributes.SHARED,
)  # fmt: skip
OVERFLOW = 1e100  # a value beyond it has diverged, and its square would be infinite


@dataclass(frozen=True)
class Frame:
    """The finished trials of one study, one row each (n rows, d axes).

    `unit` (n, d) is on the sampling scale, NaN where a conditional parameter was inactive. `value`
    (n,) is in the metric's unit, NaN for failed trials; `final` (n,) the same with pruned trials
    carried on to the full budget. `state` (n,) holds COMPLETE, PRUNED or FAILED. `steps` (n,) is
    the last step reported, the study's largest for complete trials.
    `group` (n,) numbers the configurations: replicates share one. `seconds` (n,) may be NaN.
    `drawn` are the values of each of the p parameters as trials had them, to the last digit, and
    `which` (n, p) of them each trial has, -1 where it had none.
    `default` (d,) is on the sampling scale; `default_given` (d,) says where it is the study's own.
    `bounds` are the least and the greatest value of the metric, infinite where its name tells none.
    `constants` are the parameters that took one value only. `made_by`: study and preset of
    `hpsearch run`, where it made the trials. `facts` are what the study's attributes say of it in
    single words and numbers: the user's own, and the settings and data of `hpsearch run`.
    """

    study: str
    metric: str
    maximize: bool
    axes: tuple[Axis, ...]
    unit: Floats
    value: Floats
    final: Floats
    state: Ints
    steps: Floats
    number: Ints
    group: Ints
    cohort: tuple[str, ...]
    seed: Floats
    seconds: Floats
    default: Floats
    default_given: Bools
    constants: tuple[tuple[str, Value], ...]
    notes: tuple[str, ...]
    made_by: tuple[str, str] | None = None
    facts: dict[str, Value] = field(default_factory=dict)
    bounds: tuple[float, float] = UNBOUNDED
    drawn: dict[str, list[Value]] = field(default_factory=dict)
    which: Ints = field(default_factory=lambda: np.zeros((0, 0), np.int64))

    @property
    def n_trials(self) -> int:
        return len(self.value)

    @property
    def usable(self) -> Bools:
        """Rows with a finite value, (n,)."""
        return np.asarray(self.state != FAILED)

    def params(self, row: int) -> dict[str, Value]:
        """The parameters of a row's trial, as it was run with them."""
        places = zip(self.drawn.items(), self.which[row], strict=True)
        return {name: values[place] for (name, values), place in places if place >= 0}


def _told_apart(param: ParamColumn) -> list[Any]:
    """The values that trials have, texts quoted that print like another choice."""
    offered = [c for d in param.distributions for c in getattr(d, "choices", ())]
    alike = {one for one in told_apart(offered) if isinstance(one, Quoted)}
    return [Quoted(v) if isinstance(v, str) and v in alike else v for v in param.distinct()]


def read_study(study: optuna.Study, metric: str | None = None) -> Frame:
    """The frame of `study`. InputError, one sentence, where nothing can be learned from it."""
    return build_frame(columns_of(study), metric)


def build_frame(trials: TrialColumns, metric: str | None = None) -> Frame:
    """The frame of a study's finished trials, as `read_study`."""
    column, name = choose_metric(trials, metric)
    where = f"study '{trials.study}'"
    trials, silent = _without_silent(trials)
    count = len(trials.number)
    if count < 2:
        found = "one finished trial only" if count else "no finished trial"
        raise InputError(f"{where} has {found}: run more trials, then explain it.")
    value, state = _values(trials, column)
    _check_values(value[state != FAILED], count, where)
    axes, constants, notes = _axes(trials)
    if not trials.params:
        raise InputError(f"no trial of {where} has a parameter: there is nothing to explain.")
    if not axes:
        raise InputError(
            f"no parameter of {where} takes more than one value: widen a range of its space."
        )
    default, given = _defaults(axes, trials.study_attrs.get(attributes.DEFAULTS))
    cohort = trials.attrs.get(attributes.COHORT, {})
    bounds = bounds_of(name, float(np.nanmin(value)), float(np.nanmax(value)))
    unit = _unit(trials, axes)
    levels = np.array([axis.n_categories for axis in axes], np.int64)
    pruned = state == PRUNED
    final = at_full_budget(value, pruned, trials.last_step, trials.reports, unit, levels)
    return Frame(
        study=trials.study,
        metric=name,
        maximize=trials.directions[column] == optuna.study.StudyDirection.MAXIMIZE,
        axes=axes,
        unit=unit,
        value=value,
        final=np.clip(final, *bounds),
        state=state,
        steps=_steps(trials, state),
        number=trials.number,
        group=_groups(trials),
        cohort=tuple(str(cohort.get(row, "")) for row in range(count)),
        seed=_seeds(trials),
        seconds=trials.seconds,
        default=default,
        default_given=given,
        constants=constants,
        notes=(*_whose(trials.study_attrs), *silent, *_broken(trials, state), *notes),
        made_by=_made_by(trials.study_attrs),
        facts=_facts(trials.study_attrs),
        bounds=bounds,
        drawn={name: _told_apart(param) for name, param in trials.params.items()},
        which=_which(trials),
    )


def _whose(attrs: Mapping[str, Any]) -> list[str]:
    """Which trials are the user's, where others' are among them."""
    return [str(attrs[attributes.WHOSE])] if attributes.WHOSE in attrs else []


def _seeds(trials: TrialColumns) -> Floats:
    """(n,), NaN where a trial has none."""
    seeds = np.full(len(trials.number), np.nan)
    for row, one in trials.attrs.get(attributes.SEED, {}).items():
        seeds[row] = _number(one)
    return seeds


def _made_by(attrs: Mapping[str, Any]) -> tuple[str, str] | None:
    if attributes.STUDY not in attrs or attributes.PRESET not in attrs:
        return None
    return str(attrs.get(attributes.FILE) or attrs[attributes.STUDY]), str(attrs[attributes.PRESET])


def _facts(attrs: Mapping[str, Any]) -> dict[str, Value]:
    """Single words and numbers among a study's attributes; those inside of others as a.b."""
    found: dict[str, Value] = {}

    def collect(name: str, value: object) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                collect(f"{name}.{key}", inner)
        elif isinstance(value, str | int | float | bool):
            found[name] = value

    for name, value in attrs.items():
        if name in FACTS or not name.startswith(attributes.PREFIX):
            collect(name.removeprefix(attributes.PREFIX), value)
    return found


def _without_silent(trials: TrialColumns) -> tuple[TrialColumns, list[str]]:
    """Without pruned trials that reported nothing: they say neither how good they were nor that
    they failed (many studies prune duplicates so)."""
    silent = (trials.state == int(TrialState.PRUNED)) & np.isnan(trials.last_step)
    if not silent.any():
        return trials, []
    note = f"{silent.sum()} pruned trials reported no value and are left out."
    return trials.only(~silent), [note]


def _broken(trials: TrialColumns, state: Ints) -> list[str]:
    """What to say of trials that ended well, but with a value that is none."""
    count = int(((trials.state != int(TrialState.FAIL)) & (state == FAILED)).sum())
    if not count:
        return []
    return [f"{count} trials with an infinite, enormous or undefined value count as failed."]


def choose_metric(trials: TrialColumns, metric: str | None) -> tuple[int, str]:
    """(index of the objective, its name); `metric` is a name or a number as text."""
    numbers = [str(index) for index in range(len(trials.directions))]
    names = trials.objectives
    if metric is None and len(numbers) == 1:
        return 0, names[0]
    if metric is None:
        raise InputError(
            f"study '{trials.study}' has {len(numbers)} objectives: "
            f"choose one as metric ({', '.join(names)})."
        )
    for known in (list(names), numbers):
        if metric in known:
            return known.index(metric), names[known.index(metric)]
    raise InputError(f"study '{trials.study}' has no metric '{metric}': it has {', '.join(names)}.")


def _check_values(value: Floats, n_trials: int, where: str) -> None:
    """InputError when the finite values (n,) cannot tell trials apart."""
    if len(value) == 0:
        raise InputError(
            f"all {n_trials} trials of {where} failed or have no finite value: "
            "mend what makes them fail, then run more."
        )
    if len(value) == 1:
        raise InputError(f"only one trial of {where} has a finite value: run more trials.")
    if np.ptp(value) == 0:
        raise InputError(
            f"all {len(value)} values of {where} equal {value[0]:g}, so nothing tells trials "
            "apart: check what the objective returns."
        )


def _values(trials: TrialColumns, column: int) -> tuple[Floats, Ints]:
    """Values and states; a pruned trial counts with its last report, a non-finite one as failed."""
    complete = trials.state == int(TrialState.COMPLETE)
    pruned = trials.state == int(TrialState.PRUNED)
    value = np.where(complete, trials.values[:, column], np.nan)
    value = np.where(pruned, trials.last_report, value)
    state = np.where(complete, COMPLETE, np.where(pruned, PRUNED, FAILED))
    broken = ~(np.abs(value) < OVERFLOW)
    value[broken], state[broken] = np.nan, FAILED
    return value, state.astype(np.int64)


def _steps(trials: TrialColumns, state: Ints) -> Floats:
    """Last step reported; complete trials had their full budget whatever their epochs were."""
    last = np.nan_to_num(trials.last_step)
    last[state == COMPLETE] = last.max(initial=0.0)
    return last


def _axes(
    trials: TrialColumns,
) -> tuple[tuple[Axis, ...], tuple[tuple[str, Value], ...], tuple[str, ...]]:
    """Axes in order of first appearance, parameters with one value, and notes."""
    axes, constants, notes = [], [], []
    for name, param in trials.params.items():
        values = param.distinct()
        if len(values) < 2:
            constants.append((name, values[0]))
            continue
        axes.append(build_axis(name, param.distributions, values))
        if len(param.distributions) > 1:
            notes.append(f"The range of '{name}' changed between trials: all of it is read.")
    return tuple(axes), tuple(constants), tuple(notes)


def _unit(trials: TrialColumns, axes: Sequence[Axis]) -> Floats:
    unit = np.full((len(trials.number), len(axes)), np.nan)
    for column, axis in enumerate(axes):
        param = trials.params[axis.name]
        values, which = param.distinct(), param.which
        unit[param.row, column] = axis.to_unit(values)[which]
    return unit


def _which(trials: TrialColumns) -> Ints:
    """(n, p): the place of each trial's value among those of its parameter, -1 for none."""
    places = np.full((len(trials.number), len(trials.params)), -1, np.int64)
    for column, param in enumerate(trials.params.values()):
        places[param.row, column] = param.which
    return places


def _groups(trials: TrialColumns) -> Ints:
    """Configuration of each trial: trials with the same parameters are of one. What a trial says it
    repeats is not asked: the trials of a part of a study may have other numbers."""
    return _in_order(_which(trials))


def _in_order(codes: Ints) -> Ints:
    """Equal rows (n, d) get equal numbers, from 0 in the order in which they first appear."""
    _, first, inverse = np.unique(codes, axis=0, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return np.asarray(rank[inverse.reshape(-1)], np.int64)


def _defaults(axes: Sequence[Axis], given: Mapping[str, Any] | None) -> tuple[Floats, Bools]:
    """Sampling-scale defaults (d,): `hps_defaults` where valid, else the range's middle."""
    default = np.full(len(axes), 0.5)
    known = np.zeros(len(axes), bool)
    for column, axis in enumerate(axes):
        if given is None or axis.name not in given:
            continue
        try:
            default[column] = axis.to_unit([given[axis.name]])[0]
        except (ValueError, TypeError):
            continue
        known[column] = True
    return default, known


def _number(value: Any) -> float:  # noqa: ANN401 - a user attribute may hold anything
    return float(value) if isinstance(value, int | float) else math.nan
