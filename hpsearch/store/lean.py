"""Optuna's storage as a worker sees it: without the trials that still wait.

Optuna's cache reads every unfinished trial again whenever a sampler or a pruner looks at the study.
A run's waiting trials are all unfinished, so with a thousand of them each epoch's look at the
pruner would read a thousand trials that neither sampler nor pruner uses.
"""

from __future__ import annotations

from collections.abc import Container

import optuna
import sqlalchemy as sa
from optuna.trial import FrozenTrial, TrialState

from hpsearch.store.queue import FINISHED, TRIALS

STARTED = (TrialState.RUNNING, *FINISHED)


class LeanStorage(optuna.storages.RDBStorage):
    """The storage `base` (engine, tables and all) for the study of one worker.

    `get_trials` of a study loaded from it does not contain trials that wait and never ran.
    """

    def __init__(self, base: optuna.storages.RDBStorage) -> None:
        self.__dict__.update(base.__dict__)
        self._waiting: dict[int, set[int]] = {}

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        """What Optuna's cache asks for: these trials and those with a greater id, if started.

        One that left the queue since the last call is included whatever its id: a later one may be
        finished already, and the cache looks no further back than that.
        """
        if states is not None:
            return super()._get_trials(study_id, states, included_trial_ids, trial_id_greater_than)
        query = sa.select(TRIALS.c.trial_id).where(
            TRIALS.c.study_id == study_id, TRIALS.c.state == TrialState.WAITING
        )
        with self.engine.connect() as connection:
            waiting = {row.trial_id for row in connection.execute(query)}
        left = self._waiting.get(study_id, set()) - waiting
        started = super()._get_trials(
            study_id, STARTED, included_trial_ids | left, trial_id_greater_than
        )
        self._waiting[study_id] = waiting
        # What the cache holds as running and was put back must not stay running there.
        put_back = [self.get_trial(trial_id) for trial_id in included_trial_ids & waiting]
        return started + put_back
