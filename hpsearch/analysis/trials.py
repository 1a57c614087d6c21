"""The trials of any Optuna study as columns: by SQL where they are in a database."""

from __future__ import annotations

import math

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from hpsearch.store.columns import (
    KEPT_ATTRS,
    NO_REPORTS,
    ParamColumn,
    Reports,
    TrialColumns,
    group_params,
)
from hpsearch.store.sql_columns import read_columns


def columns_of(study: optuna.Study) -> TrialColumns:
    """The finished trials of a study, whatever its storage."""
    storage = getattr(study._storage, "_backend", study._storage)  # what Optuna's cache reads from
    if isinstance(storage, RDBStorage):
        return read_columns(storage.engine, study._study_id)
    return columns_of_trials(study)


def columns_of_trials(study: optuna.Study) -> TrialColumns:
    """The same from `Study.trials`, for storages in memory, in a journal and elsewhere."""
    trials = [t for t in study.get_trials(deepcopy=False) if t.state.is_finished()]
    count, objectives = len(trials), len(study.directions)
    values = np.full((count, objectives), np.nan)
    for row, trial in enumerate(trials):
        if trial.values is not None:
            values[row] = trial.values
    reports = [max(t.intermediate_values.items(), default=(math.nan, math.nan)) for t in trials]
    durations = (trial.duration for trial in trials)
    return TrialColumns(
        study=study.study_name,
        directions=tuple(study.directions),
        metric_names=None if study.metric_names is None else tuple(study.metric_names),
        study_attrs=study.user_attrs,
        number=np.array([trial.number for trial in trials], np.int64),
        state=np.array([int(trial.state) for trial in trials], np.int64),
        values=values,
        last_step=np.array([step for step, _ in reports], np.float64),
        last_report=np.array([value for _, value in reports], np.float64),
        seconds=np.array([math.nan if d is None else d.total_seconds() for d in durations]),
        reports=_reports(trials),
        params=_params(trials),
        attrs={
            key: {row: t.user_attrs[key] for row, t in enumerate(trials) if key in t.user_attrs}
            for key in KEPT_ATTRS
        },
    )


def _reports(trials: list[optuna.trial.FrozenTrial]) -> Reports:
    if not any(trial.state == TrialState.PRUNED for trial in trials):
        return NO_REPORTS
    flat = [
        (row, step, value)
        for row, trial in enumerate(trials)
        for step, value in trial.intermediate_values.items()
    ]
    rows, steps, values = np.array(flat, np.float64).reshape(-1, 3).T
    return Reports(rows.astype(np.int64), steps, values)


def _params(trials: list[optuna.trial.FrozenTrial]) -> dict[str, ParamColumn]:
    known: dict[tuple[str, int], int] = {}
    pairs: list[tuple[str, BaseDistribution]] = []
    rows, internal, codes = [], [], []
    for row, trial in enumerate(trials):
        for name, value in trial.params.items():
            distribution = trial.distributions[name]
            code = known.setdefault((name, id(distribution)), len(pairs))
            if code == len(pairs):
                pairs.append((name, distribution))  # which keeps the id its own
            rows.append(row)
            internal.append(distribution.to_internal_repr(value))
            codes.append(code)
    if not rows:
        return {}
    return group_params(
        np.array(rows, np.int64), np.array(internal, np.float64), np.array(codes, np.int64), pairs
    )
