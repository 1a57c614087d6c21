"""Optuna's storage as one worker sees it: few statements, and none of the trials that still wait.

Optuna's own cache reads every unfinished trial again, in six statements, whenever a sampler or a
pruner looks at the study, and writes each parameter and attribute in a transaction of its own. A
run's waiting trials are all unfinished, and a server may be far away.
"""

from __future__ import annotations

import copy
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from hpsearch.store.server.connections import reader
from hpsearch.store.tables.damage import readable
from hpsearch.store.tables.optuna_private import CachedStorage
from hpsearch.store.trials import read
from hpsearch.store.trials.frozen import frozen_of
from hpsearch.store.trials.write.running import PendingWrites, write_end, write_pending

if TYPE_CHECKING:
    from hpsearch.store.queue.fence import Claim


@dataclass
class Held:
    """A trial that the worker runs. Nobody else writes its parameters, attributes and reports, so
    they need not be read again; `deaths` is how many workers in a row died on it."""

    claim: Claim
    trial: FrozenTrial
    deaths: int
    pending: PendingWrites | None = field(default_factory=PendingWrites)


@dataclass
class Seen:
    """A study's trials by number. All trials with ids up to `settled` are in `finished`."""

    finished: dict[int, FrozenTrial] = field(default_factory=dict)
    running: dict[int, FrozenTrial] = field(default_factory=dict)
    settled: int = -1
    settled_number: int = -1


class WorkerStorage(CachedStorage):
    """The storage `base` for one worker. The worker calls `hold` with the trials that it claimed.

    `get_trials` of a study that is loaded from it leaves out trials that wait and never ran. Values
    that are set on a trial between `hold` and `start` are written together with its start. Values
    that are set after `write_with_end` are written together with its end.
    """

    def __init__(self, base: RDBStorage) -> None:
        super().__init__(base)
        self._engine: sa.Engine = base.engine
        self._seen: dict[int, Seen] = {}
        self._held: dict[int, Held] = {}

    # The worker's own trials

    def hold(self, claims: Sequence[Claim]) -> list[Held]:
        """Read the claimed trials, in the order of their ids: the worker holds these from now on.

        Trials that another worker has taken over are left out. The worker no longer holds the
        trials that it held before.
        """
        with readable("A value of a trial"), reader(self._engine) as connection:
            rows = read.content.claimed(connection, [one.own_row() for one in claims])
            trials = frozen_of(connection, rows)
        known = {one.trial_id: one for one in claims}
        held = [
            Held(known[row.trial_id], one, row.deaths)
            for one, row in zip(trials, rows, strict=True)
        ]
        self._held = {one.trial._trial_id: one for one in held}
        return held

    def start(self, trial_id: int, context: Mapping[str, Any]) -> None:
        """Write what was gathered since `hold`, and columns of the trial's row of hps_trial."""
        held = self._held[trial_id]
        if held.pending is not None:
            held.pending.context.update(context)
            write_pending(self._engine, held.claim, held.pending)
        held.pending = None

    def write_with_end(
        self, trial_id: int, attrs: Mapping[str, Any], context: Mapping[str, Any] | None = None
    ) -> None:
        """Keep user attributes and columns of hps_trial to be written with the trial's end."""
        held = self._held.get(trial_id)
        if held is None:  # another worker ended it
            return
        if held.pending is None:
            held.pending = PendingWrites()
        held.pending.attrs.update(attrs)
        held.pending.context.update(context or {})

    def set_now(self, trial_id: int, key: str, value: Any) -> None:  # noqa: ANN401
        """Write a user attribute of one of the worker's trials at once."""
        held = self._held[trial_id]
        held.trial.user_attrs[key] = value
        write_pending(self._engine, held.claim, PendingWrites(attrs={key: value}))

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
        drawn = PendingWrites(params={param_name: (param_value_internal, distribution)})
        if held.pending is None:
            write_pending(self._engine, held.claim, drawn)
        else:
            held.pending.params.update(drawn.params)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:  # noqa: ANN401
        held = self._held.get(trial_id)
        if held is None:
            super().set_trial_system_attr(trial_id, key, value)
            return
        held.trial.system_attrs[key] = value
        if held.pending is None:
            write_pending(self._engine, held.claim, PendingWrites(system_attrs={key: value}))
        else:
            held.pending.system_attrs[key] = value

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        held = self._held.get(trial_id)
        if held is None or not state.is_finished():
            return super().set_trial_state_values(trial_id, state, values)
        if not write_end(self._engine, held.claim, state, values, held.pending or PendingWrites()):
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

        A trial's number is the count of the study's trials with smaller ids, so numbers and ids
        have the same order.
        """
        seen = self._seen.setdefault(study_id, Seen())
        with readable("A value of a trial"), reader(self._engine) as connection:
            rows = read.content.started(connection, study_id, seen.settled)
            new = [row for row in rows if row.number not in seen.finished and not self._is_own(row)]
            trials = frozen_of(connection, new)
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
