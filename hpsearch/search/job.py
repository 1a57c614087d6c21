"""What a worker needs to know, as plain JSON: it goes to another process's standard input."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from optuna.distributions import BaseDistribution

from hpsearch.search.limits import Limits
from hpsearch.search.space import space_from_json
from hpsearch.search_options import Search
from hpsearch.training.contract import Trainer

CHECKPOINTS = "checkpoints"
OF_A_MACHINE = ("storage", "run_id", "data", "data_path", "device")
"""What each machine that works on a run knows for itself: its way to the store and the data."""


class Preset(Protocol):
    """A study at one size (hpsearch.studies.ResolvedPreset)."""

    @property
    def name(self) -> str: ...
    @property
    def trials(self) -> int: ...
    @property
    def settings(self) -> Mapping[str, Any]: ...
    @property
    def distributions(self) -> Mapping[str, BaseDistribution]: ...
    @property
    def defaults(self) -> Mapping[str, Any]: ...
    @property
    def language_model(self) -> str | None: ...
    def with_language_model(self, place: str) -> Preset: ...


class Spec(Protocol):
    """What the search asks of a study's declaration (hpsearch.studies.StudySpec)."""

    @property
    def name(self) -> str: ...
    @property
    def metric(self) -> str: ...
    @property
    def direction(self) -> str: ...
    @property
    def data(self) -> Mapping[str, Any]: ...
    @property
    def search(self) -> Search: ...
    @property
    def file(self) -> Path | None: ...
    def resolve(self, preset: str) -> Preset: ...
    def trainer_module(self) -> Trainer: ...


@dataclass(frozen=True)
class Job:
    """One run's work, the same for all its workers.

    `storage` is the URL with its password: a job is never logged, printed or put into arguments.
    `run_id` None means any waiting trial of the study. `uid` tells this study's checkpoints from
    those of one of the same name in another store. `deadline` is in seconds since the epoch. So
    many trials as `together` may be trained side by side, by trainers that can.
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

    @property
    def limits(self) -> Limits:
        return Limits(self.trial_seconds, self.trial_memory, self.halve_batch)

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
        return {key: value for key, value in self.to_dict().items() if key not in OF_A_MACHINE}

    @property
    def path(self) -> Path | None:
        return None if self.data_path is None else Path(self.data_path)

    def ends_at(self) -> float:
        """When no trial may begin any more, on this process's own clock, which nobody sets."""
        return math.inf if self.deadline is None else time.monotonic() + self.deadline - time.time()

    def checkpoint(self, number: int) -> Path:
        """The folder for the state of trial `number` after each of its epochs."""
        from hpsearch.data import home

        return home() / CHECKPOINTS / f"{self.study}-{self.uid}" / str(number)
