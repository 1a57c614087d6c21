"""What a worker needs to know, as plain JSON: it goes to another process's standard input."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution

from hpsearch.core.environment import own_memory
from hpsearch.core.home import CHECKPOINTS, TRIAL_MODELS, trial_folder
from hpsearch.errors import InputError
from hpsearch.store.server import clock
from hpsearch.store.tables.space_json import space_from_json
from hpsearch.study.search_options import Search

if TYPE_CHECKING:
    from hpsearch.store import Store


PER_MACHINE = ("storage", "run_id", "data", "data_path", "device", "measures")
"""What each machine that works on a run knows for itself: its way to the store and the data."""


@dataclass(frozen=True)
class Job:
    """The work of one run, the same for all its workers.

    `storage` is the URL with its password: nobody logs or prints a job, or puts it into arguments.
    A worker takes the waiting trials of run `run_id`, or with None any of the study. `uid` tells
    the study's checkpoints from those of a study of the same name in another store. `trainer` is
    the registered name, for people: no worker imports it. `deadline` is in seconds since 1970 by
    the database's clock. A trainer that can may train `together` trials side by side. The worker
    that `measures` says before its first trial how long the run will take.
    """

    storage: str
    study: str
    uid: str
    run_id: int | None
    trainer: str
    metric: str
    space: dict[str, Any]
    settings: dict[str, Any]
    data: dict[str, Any]
    data_path: str | None
    preset: str
    device: str
    seed: int
    search: Search
    deadline: float | None
    trial_seconds: float | None = None
    trial_memory: int | None = None
    halve_batch: bool = False
    together: int = 1
    measures: bool = False
    when: dict[str, dict[str, list[Any]]] = field(default_factory=dict)

    @property
    def limits(self) -> Limits:
        return Limits(self.trial_seconds, self.trial_memory, self.halve_batch)

    @property
    def objectives(self) -> list[str]:
        """The study's metric and whatever else it is to improve."""
        return [self.metric, *(name.removeprefix("+") for name in self.search.also)]

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        return space_from_json(self.space)

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "search": self.search.model_dump()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Job:
        return cls(**{**content, "search": Search(**content["search"])})

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), default=str)

    @classmethod
    def from_json(cls, text: str) -> Job:
        return cls.from_dict(json.loads(text))

    def shared(self) -> dict[str, Any]:
        """What the run's workers have in common on all machines; without any URL or path."""
        return {key: value for key, value in self.to_dict().items() if key not in PER_MACHINE}

    @property
    def path(self) -> Path | None:
        return None if self.data_path is None else Path(self.data_path)

    def ends_at(self, store: Store) -> float:
        """The time after which no trial may begin, by this process's monotonic clock.

        The database's clock gives the seconds until then: the clocks of two machines differ.
        """
        if self.deadline is None:
            return math.inf
        now = store.retry(clock.seconds, store.engine)
        return time.monotonic() + self.deadline - now

    def checkpoint(self, number: int) -> Path:
        """The folder for the state of trial `number` after each of its epochs."""
        return trial_folder(CHECKPOINTS, self.study, self.uid, number)

    def model(self, number: int) -> Path:
        """The folder in which trial `number` leaves its model."""
        return trial_folder(TRIAL_MODELS, self.study, self.uid, number)


@dataclass(frozen=True)
class Limits:
    """Of one trial: seconds, and bytes of its worker's own memory (files it maps do not count), and
    as many of its GPU's.

    With `halve_batch` a trial that ran out of memory is trained once more with half of its batch.
    """

    seconds: float | None = None
    memory: int | None = None
    halve_batch: bool = False

    def check(self) -> None:
        """Raises InputError for what cannot be kept."""
        if self.seconds is not None and not self.seconds > 0:
            raise InputError(
                f"--trial-timeout {self.seconds:g} is not possible: give a time above zero."
            )
        if self.memory is not None and self.memory <= 0:
            raise InputError(f"--trial-memory {self.memory} is not possible: give 4G or 500M.")
        if self.memory is not None and own_memory() is None:
            raise InputError("--trial-memory needs Linux, which tells how much a process uses.")
