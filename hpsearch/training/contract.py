"""What a trainer is: plain data types and the one protocol that the search knows.

A trainer is a module with `prepare` (everything that trials share, built once and cached) and
`train` (one explicit epoch loop). Progress, pruning and storage all happen through `report`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hpsearch.errors import HpsearchError

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch of one trial did: a row of `hps_epoch`.

    `epoch` counts from 1 through the whole trial (it is Optuna's step), `epochs` is how many the
    trial will have if nothing stops it. `lrs` holds the learning rate of each parameter group,
    first layers first, at its highest in this epoch. `seconds` is wall time.
    """

    stage: str
    epoch: int
    epochs: int
    train_loss: float
    valid_loss: float
    metrics: Mapping[str, float]
    lrs: tuple[float, ...]
    seconds: float


@dataclass(frozen=True)
class TrainResult:
    """The metrics after the last epoch, and what it took."""

    metrics: Mapping[str, float]
    epochs: int
    seconds: float
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Member:
    """One of the trials that train together: what `train` would get for it alone."""

    params: Mapping[str, Any]
    seed: int
    report: Report
    checkpoint: Path | None


class DivergedError(HpsearchError):
    """The loss became infinite or not a number; the trial is recorded as failed for that reason."""


Report = Callable[[EpochRecord], None]
Progress = Callable[[str, float, float], None]
"""progress(what, done, total): called now and then during long shared work."""
Say = Callable[[str], None]
"""say(sentence): what the user should know, such as a source of data that was passed over."""


class Prepared(Protocol):
    """What `prepare` returns: opaque to the search but for where the data came from."""

    @property
    def source(self) -> str:
        """One phrase for people: which of the possible sources the data came from."""

    @property
    def summary(self) -> str:
        """One line for people: sizes, and what they should know about the data."""

    @property
    def precision(self) -> str:
        """The type of the large products in every trial, such as bfloat16."""

    @property
    def fingerprint(self) -> str:
        """A hex digest of the data's content and of how it was prepared."""


class Trainer(Protocol):
    """A module such as `hpsearch.text.train_classifier`."""

    def prepare(
        self,
        data: Mapping[str, Any],
        settings: Mapping[str, Any],
        *,
        data_path: Path | None,
        device: str,
        progress: Progress,
        say: Say,
    ) -> Prepared:
        """Find the data, build or load the cached stages that all trials share."""

    def train(
        self,
        settings: Mapping[str, Any],
        params: Mapping[str, Any],
        data: Any,  # noqa: ANN401 (what this trainer's own prepare returned)
        *,
        seed: int,
        device: str,
        report: Report,
        checkpoint: Path | None,
    ) -> TrainResult:
        """Train one model with the preset's `settings` and the trial's `params`.

        `checkpoint` is a folder that is this trial's alone: the state after each epoch is kept
        there, and a run that finds one continues from it to the same result.

        Our own trainers also take `keep`, a folder to write the trained model to, and `progress`,
        told of every step. A module whose KEEPS_BEST is true is always given the first by the
        search, which keeps the best trial's model.
        """


class Together(Protocol):
    """A trainer that also trains several trials side by side, in less time than one by one."""

    def train_together(
        self,
        settings: Mapping[str, Any],
        members: Sequence[Member],
        data: Any,  # noqa: ANN401 (what this trainer's own prepare returned)
        *,
        device: str,
    ) -> Iterator[tuple[int, TrainResult | Exception]]:
        """The place among `members` and the end of each trial, as soon as it ends.

        To the bit it is the end that `train` comes to. An exception is one that ended this trial
        alone (its `report` raised it, it diverged); one that is raised ends all of them.
        """


class Previewer(Protocol):
    """A module such as `hpsearch.text.preview`: what `hpsearch data show` prints."""

    def preview(
        self,
        data: Mapping[str, Any],
        settings: Mapping[str, Any],
        *,
        data_path: Path | None,
        rows: int,
        progress: Progress,
        say: Say,
    ) -> list[RenderableType]:
        """What a model sees of the data that a study names, with `rows` examples, to be printed
        part by part; `settings` are the study's before any preset's changes."""
