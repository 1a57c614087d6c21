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
from hpsearch.store.queue import FINISHED, TRIALS
from hpsearch.store.reports import Gathered, write_end, write_gathered

STARTED = (TrialState.RUNNING, *FINISHED)


@dataclass
class Held:
    """The trial that the worker runs. Nobody else writes its parameters, attributes and reports, so
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
    """The storage `base` for one worker, which runs one trial at a time: `hold` it, then `start`.

    `get_trials` of a study loaded from it does not contain trials that wait and never ran. What is
    set on the trial between `hold` and `start`, and after `finish_with`, is written at once with
    the start or the end.
    """

    def __init__(self, base: RDBStorage) -> None:
        super().__init__(base)
        self._engine: sa.Engine = base.engine
        self._seen: dict[int, Seen] = {}
        self._held: Held | None = None

    # The worker's own trial

    def hold(self, trial_id: int) -> Held:
        """Read the claimed trial: it is this worker's from now on."""
        ours = schema.trial
        query = frozen.ROWS.add_columns(ours.c.deaths).where(TRIALS.c.trial_id == trial_id)
        query = query.outerjoin_from(TRIALS, ours, ours.c.trial_id == TRIALS.c.trial_id)
        with reader(self._engine) as connection:
            row = connection.execute(query).one()
            (trial,) = frozen.read(connection, [row])
        self._held = Held(trial, row.deaths or 0)
        return self._held

    def start(self, context: Mapping[str, Any]) -> None:
        """Write what was gathered since `hold`, and columns of the trial's row of hps_trial."""
        assert self._held is not None
        gathered = self._held.gathered
        if gathered is not None:
            gathered.context.update(context)
            write_gathered(self._engine, self._held.trial._trial_id, gathered)
        self._held.gathered = None

    def finish_with(
        self, attrs: Mapping[str, Any], context: Mapping[str, Any] | None = None
    ) -> None:
        """Keep user attributes and columns of hps_trial to be written with the trial's end."""
        assert self._held is not None
        if self._held.gathered is None:
            self._held.gathered = Gathered()
        self._held.gathered.attrs.update(attrs)
        self._held.gathered.context.update(context or {})

    def _own(self, trial_id: int) -> Held | None:
        held = self._held
        return held if held is not None and held.trial._trial_id == trial_id else None

    # What Optuna asks of a storage

    def get_trial(self, trial_id: int) -> FrozenTrial:
        held = self._own(trial_id)
        return super().get_trial(trial_id) if held is None else held.trial

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        held = self._own(trial_id)
        if held is None:
            raise RuntimeError("A worker sets parameters of its own trial only.")
        drawn = Gathered(params={param_name: (param_value_internal, distribution)})
        if held.gathered is None:
            write_gathered(self._engine, trial_id, drawn)
        else:
            held.gathered.params.update(drawn.params)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:  # noqa: ANN401
        held = self._own(trial_id)
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
        held = self._own(trial_id)
        if held is None or not state.is_finished():
            return super().set_trial_state_values(trial_id, state, values)
        if not write_end(self._engine, trial_id, state, values, held.gathered or Gathered()):
            self._held = None
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
                held = self._own(row.trial_id)
                assert held is not None
                seen.running[row.number] = held.trial
        return seen

    def _is_own(self, row: Any) -> bool:  # noqa: ANN401
        return row.state == TrialState.RUNNING and self._own(row.trial_id) is not None
