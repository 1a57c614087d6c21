"""Read any Optuna study into arrays on the sampling scale (spec "explain", section 1)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from hpsearch.analysis.axes import Axis, Bools, Floats, Ints, Value, build_axis
from hpsearch.errors import InputError

COMPLETE, PRUNED, FAILED = 0, 1, 2
OVERFLOW = 1e100  # a value beyond it has diverged, and its square would be infinite


@dataclass(frozen=True)
class Frame:
    """The finished trials of one study, one row each (n rows, d axes).

    `unit` (n, d) is on the sampling scale, NaN where a conditional parameter was inactive. `value`
    (n,) is in the metric's unit, NaN for failed trials. `state` (n,) holds COMPLETE, PRUNED or
    FAILED. `steps` (n,) is the last step reported, the study's largest for complete trials.
    `group` (n,) numbers the configurations: replicates share one. `seconds` (n,) may be NaN.
    `default` (d,) is on the sampling scale; `default_given` (d,) says where it is the study's own.
    `constants` are the parameters that took one value only.
    """

    study: str
    metric: str
    maximize: bool
    axes: tuple[Axis, ...]
    unit: Floats
    value: Floats
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

    @property
    def n_trials(self) -> int:
        return len(self.value)

    @property
    def usable(self) -> Bools:
        """Rows with a finite value, (n,)."""
        return np.asarray(self.state != FAILED)


def read_study(study: optuna.Study, metric: str | None = None) -> Frame:
    """The frame of `study`. InputError, one sentence, where nothing can be learned from it."""
    column, name = choose_metric(study, metric)
    where = f"study '{study.study_name}'"
    trials = [t for t in study.get_trials(deepcopy=False) if t.state.is_finished()]
    if len(trials) < 2:
        count = "one finished trial only" if trials else "no finished trial"
        raise InputError(f"{where} has {count}: run more trials, then explain it.")
    value, state = _values(trials, column)
    _check_values(value[state != FAILED], len(trials), where)
    axes, constants, notes = _axes(trials)
    if not axes:
        raise InputError(
            f"no parameter of {where} takes more than one value: widen a range of its space."
        )
    default, given = _defaults(axes, study.user_attrs.get("hps_defaults"))
    return Frame(
        study=study.study_name,
        metric=name,
        maximize=study.directions[column] == optuna.study.StudyDirection.MAXIMIZE,
        axes=axes,
        unit=_unit(trials, axes),
        value=value,
        state=state,
        steps=_steps(trials, state),
        number=np.array([t.number for t in trials], np.int64),
        group=_groups(trials),
        cohort=tuple(str(t.user_attrs.get("hps_cohort", "")) for t in trials),
        seed=np.array([_number(t.user_attrs.get("hps_seed")) for t in trials]),
        seconds=np.array([t.duration.total_seconds() if t.duration else math.nan for t in trials]),
        default=default,
        default_given=given,
        constants=constants,
        notes=notes,
    )


def choose_metric(study: optuna.Study, metric: str | None) -> tuple[int, str]:
    """(index of the objective, its name); `metric` is a name or a number as text."""
    numbers = [str(index) for index in range(len(study.directions))]
    names = list(study.metric_names or (["value"] if len(numbers) == 1 else numbers))
    if metric is None and len(numbers) == 1:
        return 0, names[0]
    if metric is None:
        raise InputError(
            f"study '{study.study_name}' has {len(numbers)} objectives: "
            f"choose one as metric ({', '.join(names)})."
        )
    for known in (names, numbers):
        if metric in known:
            return known.index(metric), names[known.index(metric)]
    raise InputError(
        f"study '{study.study_name}' has no metric '{metric}': it has {', '.join(names)}."
    )


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


def _values(trials: Sequence[FrozenTrial], column: int) -> tuple[Floats, Ints]:
    """Values and states; a pruned trial counts with its last report, a non-finite one as failed."""
    value = np.full(len(trials), np.nan)
    state = np.full(len(trials), FAILED, np.int64)
    for row, trial in enumerate(trials):
        if trial.state == TrialState.COMPLETE and trial.values is not None:
            value[row], state[row] = trial.values[column], COMPLETE
        elif trial.state == TrialState.PRUNED and trial.intermediate_values:
            last = max(trial.intermediate_values)
            value[row], state[row] = trial.intermediate_values[last], PRUNED
    broken = ~(np.abs(value) < OVERFLOW)
    value[broken], state[broken] = np.nan, FAILED
    return value, state


def _steps(trials: Sequence[FrozenTrial], state: Ints) -> Floats:
    """Last step reported; complete trials had their full budget whatever their epochs were."""
    last = np.array([max(t.intermediate_values, default=0) for t in trials], np.float64)
    last[state == COMPLETE] = last.max(initial=0.0)
    return last


def _axes(
    trials: Sequence[FrozenTrial],
) -> tuple[tuple[Axis, ...], tuple[tuple[str, Value], ...], tuple[str, ...]]:
    """Axes in order of first appearance, parameters with one value, and notes."""
    seen: dict[str, list[BaseDistribution]] = {}
    values: dict[str, set[Any]] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            known = seen.setdefault(name, [])
            if distribution not in known:
                known.append(distribution)
            values.setdefault(name, set()).add(trial.params[name])
    axes, constants, notes = [], [], []
    for name, distributions in seen.items():
        if len(values[name]) < 2:
            constants.append((name, next(iter(values[name]))))
            continue
        axes.append(build_axis(name, distributions, values[name]))
        if len(distributions) > 1:
            notes.append(f"The range of '{name}' changed between trials: all of it is read.")
    return tuple(axes), tuple(constants), tuple(notes)


def _unit(trials: Sequence[FrozenTrial], axes: Sequence[Axis]) -> Floats:
    unit = np.full((len(trials), len(axes)), np.nan)
    for column, axis in enumerate(axes):
        rows = [row for row, trial in enumerate(trials) if axis.name in trial.params]
        unit[rows, column] = axis.to_unit([trials[row].params[axis.name] for row in rows])
    return unit


def _groups(trials: Sequence[FrozenTrial]) -> Ints:
    """Configuration of each trial: same parameters, or `hps_replicate_of`, are one of them."""
    by_number: dict[int, tuple[Any, ...]] = {}
    index: dict[tuple[Any, ...], int] = {}
    groups = []
    for trial in trials:
        key = tuple(sorted((name, repr(value)) for name, value in trial.params.items()))
        key = by_number.get(trial.user_attrs.get("hps_replicate_of", -1), key)
        by_number[trial.number] = key
        groups.append(index.setdefault(key, len(index)))
    return np.array(groups, np.int64)


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
