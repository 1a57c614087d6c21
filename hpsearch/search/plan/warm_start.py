"""A warm start: the best configurations of earlier studies of the same space are tried first.

Values are not carried over, only configurations: another data set has another level of the metric
(Feurer, Springenberg and Hutter 2015, "Initializing Bayesian hyperparameter optimization via
meta-learning").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hpsearch.errors import InputError
from hpsearch.store import Store
from hpsearch.store.trials.frozen import all_trials
from hpsearch.study.search_options import Search
from hpsearch.study.space import Space

BEST = 5
"""So many configurations of all earlier studies together, taken in turns."""


def warm_start(
    store: Store, trials: Sequence[FrozenTrial], space: Space, search: Search
) -> list[dict[str, Any]]:
    """Configurations of `search.warm_start`'s studies that the `trials` have not had, best first.

    Raises InputError for a study that the store does not have, or that has another space.
    """
    have = {trial_key(trial.params) for trial in trials}
    rankings = [_ranking(store, name, space) for name in search.warm_start]
    chosen: list[dict[str, Any]] = []
    for rank in range(max(map(len, rankings), default=0)):
        for ranking in rankings:
            if rank >= len(ranking) or len(chosen) == BEST:
                continue
            params = {**ranking[rank], **search.fix}
            if trial_key(params) not in have:
                have.add(trial_key(params))
                chosen.append(params)
    return chosen


def trial_key(params: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """A key for comparing configurations: equal configurations have equal keys."""
    return tuple(sorted((name, repr(value)) for name, value in params.items()))


def _ranking(store: Store, name: str, space: Space) -> list[dict[str, Any]]:
    """The configurations of an earlier study that lie in the space, best first."""
    summary = store.study(name)
    if summary is None:
        have = ", ".join(one.name for one in store.studies())
        raise InputError(
            f"--warm-start {name}: the store {store.shown_url} has no such study; it has {have}. "
            "One of another store is brought here by hpsearch export and import."
        )
    study = optuna.load_study(study_name=name, storage=store.optuna)
    summary.check()
    trials = [one for one in all_trials(study) if one.state == TrialState.COMPLETE]
    had = {one for trial in trials for one in trial.params}  # a trial may lack conditional ones
    if missing := [one for one in space if trials and one not in had]:
        raise InputError(
            f"--warm-start {name}: that study has another space, without {', '.join(missing)}."
        )
    sign = -1.0 if study.directions[0] == StudyDirection.MAXIMIZE else 1.0
    ranked = sorted(_feasible(trials), key=lambda trial: sign * trial.values[0])
    return [
        {one: trial.params[one] for one in space if one in trial.params}
        for trial in ranked
        if all(_holds(space, one, trial.params[one]) for one in space if one in trial.params)
    ]


def _feasible(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    return [trial for trial in trials if all(one <= 0 for one in trial.constraints.values())]


def _holds(space: Space, name: str, value: Any) -> bool:  # noqa: ANN401
    try:
        return space[name]._contains(space[name].to_internal_repr(value))
    except (ValueError, TypeError):
        return False
