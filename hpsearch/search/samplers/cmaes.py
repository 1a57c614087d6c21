"""CMA-ES without pickles.

Optuna's sampler keeps the optimizer's state in the trials' attributes as a pickle, which whoever
can write to the database may have made. Here the state is worked out again from the trials' values,
generation after generation: a millisecond each.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import optuna
from cmaes import CMA
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hpsearch.store.tables import attributes
from hpsearch.store.tables.optuna_private import SearchSpaceTransform

TOLD = (TrialState.COMPLETE, TrialState.PRUNED)
SIGMA = 1 / 6  # of each range, as in Optuna


class CmaEsSampler(optuna.samplers.CmaEsSampler):
    """Optuna's CMA-ES (Hansen 2016) for numbers, beginning at the best trial there is; TPE for
    choices. Deterministic: what it draws depends on `seed` and the study's trials alone."""

    def __init__(self, *, seed: int) -> None:
        others = optuna.samplers.TPESampler(seed=seed)
        super().__init__(independent_sampler=others, warn_independent_sampling=False, seed=seed)
        self._seed = seed

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        self._raise_error_if_multi_objective(study)
        trials = [
            t for t in study.get_trials(deepcopy=False) if t.params.keys() >= search_space.keys()
        ]
        told = [t for t in trials if t.state in TOLD and t.value is not None]
        if len(search_space) < 2 or not told:  # CMA needs two dimensions
            return {}
        sign = 1.0 if study.direction == StudyDirection.MINIMIZE else -1.0
        cube = SearchSpaceTransform(search_space, transform_0_1=True)
        asked = [
            t
            for t in trials
            if t.system_attrs.get(attributes.CMAES, {}).get("params") == list(search_space)
        ]
        if asked:
            mean = asked[0].system_attrs[attributes.CMAES]["mean"]
        else:
            mean = cube.transform(min(told, key=lambda t: sign * cast(float, t.value)).params)
        optimizer = CMA(
            np.asarray(mean), SIGMA, cube.bounds,
            seed=self._seed + trial.number, n_max_resampling=10 * len(search_space),
        )  # fmt: skip
        while len(points := _generation(asked, optimizer, cube, sign)) == optimizer.population_size:
            optimizer.tell(points)
        note = {
            "params": list(search_space),
            "mean": list(map(float, mean)),
            "generation": optimizer.generation,
        }
        study._storage.set_trial_system_attr(trial._trial_id, attributes.CMAES, note)
        return cube.untransform(optimizer.ask())


def _generation(
    asked: list[FrozenTrial], optimizer: CMA, cube: SearchSpaceTransform, sign: float
) -> list[tuple[NDArray[np.float64], float]]:
    """The first told points and losses of the optimizer's present generation."""
    told = [
        (cube.transform(trial.params), sign * trial.value)
        for trial in asked
        if trial.system_attrs[attributes.CMAES]["generation"] == optimizer.generation
        and trial.state in TOLD
        and trial.value is not None
    ]
    return told[: optimizer.population_size]
