"""Optuna's storage as one worker sees it: few statements, and none of the trials that still wait.

Optuna's own cache reads every unfinished trial again, in six statements, whenever a sampler or a
pruner looks at the study, and writes each parameter and attribute in a transaction of its own. A
run's waiting trials are all unfinished, and a server may be far away.
"""

from __future__ import annotations

import copy
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.trial import FrozenTrial, TrialState

from hpsearch.store import frozen, schema
from hpsearch.store.connections import reader
from hpsearch.store.optuna_tables import TRIALS
from hpsearch.store.queue import FINISHED
from hpsearch.store.reports import Gathered, write_end, write_gathered

STARTED = (TrialState.RUNNING, *FINISHED)


@dataclass
class Held:
    """A trial that the worker runs. Nobody else writes its parameters, attributes and reports, so
    they need not be read again; `deaths` is how many workers in a row died on it."""

    trial: FrozenTrial
    deaths: int
    gathered: Gathered | None = field(default_factory=Gathered)


@dataclass
class Seen:
    """A study's trials by number; all up to the id `settled` are among the finished ones."""

    finished: dict[int, FrozenTrial] = field(default_factory=dict)
    running: dict[int, FrozenTrial] = field(default_factory=dict)
    settled: int = -1
    settled_number: int = -1


class LeanStorage(_CachedStorage):
    """The storage `base` for one worker, which does `hold` the trials that it claimed.

    `get_trials` of a study loaded from it does not contain trials that wait and never ran. What is
    set on a trial between `hold` and `start`, and after `finish_with`, is written at once with its
    start or its end.
    """

    def __init__(self, base: RDBStorage) -> None:
        super().__init__(base)
        self._engine: sa.Engine = base.engine
        self._seen: dict[int, Seen] = {}
        self._held: dict[int, Held] = {}

    # The worker's own trials

    def hold(self, trial_ids: Sequence[int]) -> list[Held]:
        """Read the claimed trials, in the order of their ids: they are this worker's from now on,
        and those that it held before no longer."""
        ours = schema.trial
        query = frozen.ROWS.add_columns(ours.c.deaths).where(TRIALS.c.trial_id.in_(trial_ids))
        query = query.outerjoin_from(TRIALS, ours, ours.c.trial_id == TRIALS.c.trial_id)
        with reader(self._engine) as connection:
            rows = connection.execute(query.order_by(TRIALS.c.trial_id)).all()
            trials = frozen.read(connection, rows)
        held = [Held(one, row.deaths or 0) for one, row in zip(trials, rows, strict=True)]
        self._held = {one.trial._trial_id: one for one in held}
        return held

    def start(self, trial_id: int, context: Mapping[str, Any]) -> None:
        """Write what was gathered since `hold`, and columns of the trial's row of hps_trial."""
        held = self._held[trial_id]
        if held.gathered is not None:
            held.gathered.context.update(context)
            write_gathered(self._engine, trial_id, held.gathered)
        held.gathered = None

    def finish_with(
        self, trial_id: int, attrs: Mapping[str, Any], context: Mapping[str, Any] | None = None
    ) -> None:
        """Keep user attributes and columns of hps_trial to be written with the trial's end."""
        held = self._held.get(trial_id)
        if held is None:  # another worker ended it
            return
        if held.gathered is None:
            held.gathered = Gathered()
        held.gathered.attrs.update(attrs)
        held.gathered.context.update(context or {})

    # What Optuna asks of a storage

    def get_trial(self, trial_id: int) -> FrozenTrial:
        held = self._held.get(trial_id)
        return super().get_trial(trial_id) if held is None else held.trial

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        held = self._held.get(trial_id)
        if held is None:
            raise RuntimeError("A worker sets parameters of its own trial only.")
        drawn = Gathered(params={param_name: (param_value_internal, distribution)})
        if held.gathered is None:
            write_gathered(self._engine, trial_id, drawn)
        else:
            held.gathered.params.update(drawn.params)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:  # noqa: ANN401
        held = self._held.get(trial_id)
        if held is None:
            super().set_trial_system_attr(trial_id, key, value)
            return
        held.trial.system_attrs[key] = value
        if held.gathered is None:
            write_gathered(self._engine, trial_id, Gathered(system_attrs={key: value}))
        else:
            held.gathered.system_attrs[key] = value

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        held = self._held.get(trial_id)
        if held is None or not state.is_finished():
            return super().set_trial_state_values(trial_id, state, values)
        if not write_end(self._engine, trial_id, state, values, held.gathered or Gathered()):
            del self._held[trial_id]
            raise UpdateFinishedTrialError(f"Trial {held.trial.number} has ended already.")
        held.trial.state = state
        held.trial.values = None if values is None else list(values)
        return True

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        seen = self._look(study_id)
        known = {**seen.finished, **seen.running}
        trials = [known[number] for number in sorted(known)]
        if states is not None:
            trials = [trial for trial in trials if trial.state in states]
        return copy.deepcopy(trials) if deepcopy else trials

    def _look(self, study_id: int) -> Seen:
        """Read what changed in the study since the last look.

        Optuna gives a trial the number of those with smaller ids, so both have one order.
        """
        seen = self._seen.setdefault(study_id, Seen())
        query = frozen.ROWS.where(
            TRIALS.c.study_id == study_id,
            TRIALS.c.trial_id > seen.settled,
            TRIALS.c.state.in_(STARTED),
        )
        with reader(self._engine) as connection:
            rows = connection.execute(query.order_by(TRIALS.c.trial_id)).all()
            new = [row for row in rows if row.number not in seen.finished and not self._is_own(row)]
            trials = frozen.read(connection, new)
        seen.running = {one.number: one for one in trials if one.state == TrialState.RUNNING}
        seen.finished |= {one.number: one for one in trials if one.state.is_finished()}
        for row in rows:
            if row.state.is_finished() and row.number == seen.settled_number + 1:
                seen.settled, seen.settled_number = row.trial_id, row.number
            elif self._is_own(row):
                seen.running[row.number] = self._held[row.trial_id].trial
        return seen

    def _is_own(self, row: Any) -> bool:  # noqa: ANN401
        return row.state == TrialState.RUNNING and row.trial_id in self._held
