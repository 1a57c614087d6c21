"""What the search and the commands know of a trainer: plain data types and one protocol.

A trainer is a module. Its function `prepare` builds what all trials of a study share, once, and
caches it. Its function `train` trains the model of one trial, in one explicit loop over epochs.
Progress, pruning and storage all happen through the `report` of a TrialSetup.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hpsearch.core.console import Progress, Say, silent
from hpsearch.errors import HpsearchError

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import RenderableType

    from hpsearch.trainers.shared.lr_finder import LrTest


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch of one trial gave: a row of the table `hps_epoch`.

    `epoch` counts from 1 through all stages of the trial; it is Optuna's step. `epochs` is the
    number of epochs that the trial has if nothing stops it. `lrs` holds one learning rate for each
    parameter group, first layers first: the highest rate of the epoch. `seconds` is wall time.
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
    """The metrics after the last epoch, the number of epochs, and the wall time in seconds."""

    metrics: Mapping[str, float]
    epochs: int
    seconds: float
    facts: Mapping[str, Any] = field(default_factory=dict)


class DivergedError(HpsearchError):
    """The loss became infinite or not a number; the trial is recorded as failed for that reason."""


Report = Callable[[EpochRecord], None]
"""report(record): called after every epoch. It may raise, which ends the training."""
Note = Callable[[str, Any], None]


def _not_noted(key: str, value: object) -> None:
    """What a training that is no trial of a study does with an attribute."""


@dataclass(frozen=True)
class PrepareSetup:
    """What `prepare` gets beside the study's data and settings.

    `data_path` replaces the place that the study names for its data. `device` is the one that the
    trials will train on.
    """

    data_path: Path | None
    device: str
    progress: Progress = silent
    say: Say = silent


@dataclass(frozen=True)
class TrialSetup:
    """What `train` gets beside the trial's settings, parameters and data.

    Attributes:
        seed: Determines the result together with settings, parameters and data.
        device: "cpu", "cuda" or "cuda:1".
        report: Hears of every epoch.
        checkpoint: A folder that belongs to this trial alone. The trainer keeps the state after
            each epoch there. A training that finds a state continues from it, to the same result.
        keep: The folder that the trained model is written to.
        progress: Hears of every step.
        number: The trial's number in its study, None for a training that is no trial.
        objectives: The names of what the study improves, its metric first, for a trainer whose
            results have no names.
        note: note(key, value) gives the study's trial an attribute; ValueError for a name that is
            hpsearch's own.
    """

    seed: int
    device: str
    report: Report
    checkpoint: Path | None = None
    keep: Path | None = None
    progress: Progress = silent
    number: int | None = None
    objectives: tuple[str, ...] = ()
    note: Note = _not_noted


@dataclass(frozen=True)
class Member:
    """One of the trials that train side by side: what `train` would get for it alone."""

    params: Mapping[str, Any]
    setup: TrialSetup


class Prepared(Protocol):
    """What `prepare` returns: opaque to the search but for where the data came from."""

    @property
    def source(self) -> str:
        """One phrase for people: which of the possible sources the data came from."""

    @property
    def summary(self) -> str:
        """One line for people: sizes, and what they should know about the data."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of what every trial measures; none if they are not known before."""

    def check(self, settings: Mapping[str, Any]) -> None:
        """Raises InputError if no trial with these settings and parameters can be trained."""

    @property
    def precision(self) -> str:
        """The type of the large products in every trial, such as bfloat16."""

    @property
    def fingerprint(self) -> str:
        """A hex digest of the data's content and of how it was prepared."""

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the cached stages that trials read from disk: other machines need them, too."""

    @property
    def facts(self) -> Mapping[str, float]:
        """Numbers about what trials share, such as the perplexity of their language model."""


class TrainSideBySide(Protocol):
    """Train several trials at the same time, which takes less time than one after the other."""

    def __call__(
        self,
        settings: Mapping[str, Any],
        members: Sequence[Member],
        data: Any,  # noqa: ANN401 (what this trainer's own prepare returned)
    ) -> Iterator[tuple[int, TrainResult | Exception]]:
        """Train the members, all on one device.

        Yields:
            (the trial's index in `members`, its result), as soon as the trial ends. The result
            equals that of `train`, to the bit. An exception in its place ended this trial alone:
            its `report` raised it, or its loss diverged.

        Raises:
            Exception: Whatever ends all trials at once.
        """


class StartLrTest(Protocol):
    """Begin a learning-rate range test."""

    def __call__(
        self,
        config: Any,  # noqa: ANN401 (of the trainer's own config class)
        data: Any,  # noqa: ANN401
        *,
        stage: str,
        seed: int,
        device: str,
    ) -> LrTest:
        """Returns a new model with a function that trains it for one step at a given rate. `stage`
        "head" thaws the last layer group only, "all" thaws every group."""


class MissingPretrained(Protocol):
    """Ask whether the pretrained models can be had that the trials start from."""

    def __call__(
        self,
        settings: Mapping[str, Any],
        *,
        progress: Progress,
        say: Say,
    ) -> str | None:
        """Returns the reason why a model cannot be had, None if all are on this machine now."""


class Trainer(Protocol):
    """A module such as `hpsearch.trainers.text.classifier.train`.

    Every trainer has all of these members. Where one is None, the trainer cannot do what it stands
    for.
    """

    __name__: str
    """The module that worker processes import."""
    KEEPS_BEST: bool
    """Whether the search has every trial write its model, and keeps that of the best trial."""

    @property
    def SPEED(self) -> str | None:  # noqa: N802 (a constant of the module)
        """The module that times trials: a `hpsearch.trainers.shared.speed.Measurable`."""

    @property
    def ASSESS(self) -> str | None:  # noqa: N802
        """The module that judges models: a `hpsearch.trainers.shared.assessment.Assessor`."""

    @property
    def train_side_by_side(self) -> TrainSideBySide | None: ...

    @property
    def lr_test(self) -> StartLrTest | None: ...

    @property
    def missing_pretrained(self) -> MissingPretrained | None: ...

    def prepare(
        self, data: Mapping[str, Any], settings: Mapping[str, Any], setup: PrepareSetup
    ) -> Prepared:
        """Build or load what all trials of a study share.

        Args:
            data: The study's [data].
            settings: The preset's settings, without parameters of the search space.

        Raises:
            InputError: The data cannot be used as the study says.
        """

    def train(
        self,
        settings: Mapping[str, Any],
        params: Mapping[str, Any],
        data: Any,  # noqa: ANN401 (what this trainer's own prepare returned)
        setup: TrialSetup,
    ) -> TrainResult:
        """Train one model.

        Args:
            settings: The preset's settings.
            params: The trial's parameters, which replace settings of the same name.

        Raises:
            DivergedError: A loss is not finite.
            Exception: Whatever `setup.report` raises, such as TrialPruned.
        """


@dataclass(frozen=True)
class TableLook:
    """What a table would be learnt as.

    Attributes:
        task: "classification" or "regression".
        why: Why the target is of that task.
        lists: The lines of [data] that say what each other column is, and why.
        counts: Of each kind of column how many there are.
        without_target: How many rows have no target.
    """

    task: str
    why: str
    lists: Sequence[str]
    counts: Mapping[str, int]
    without_target: int


class Looker(Protocol):
    """The module `hpsearch.trainers.tabular.look`: what is asked about a table before a study."""

    def task_of(self, data: Mapping[str, Any]) -> str: ...

    def look_at(
        self, table: pd.DataFrame, target: str, ignore: Sequence[str], task: str | None
    ) -> TableLook: ...


class OwnTrainer(Trainer, Protocol):
    """A trainer that stands for code that the user names, such as "shop:objective".

    A worker process makes it from its `__name__`, which is what the study calls its trainer.
    """

    @property
    def code(self) -> str | None:
        """A hex digest of the code as far as it decides about results; None if nobody can tell."""

    @property
    def metric(self) -> str:
        """The metric of a study that names none."""

    def find_space(
        self, settings: Mapping[str, Any], data: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, dict[str, list[Any]]]]:
        """(the ranges that the code itself declares, the conditions of those that have some).

        A range is an Optuna distribution, or has a method `to_space`, which gives the parameter as
        the [space] of a study.toml has it.

        Raises:
            InputError: It declares none, or they cannot be searched.
        """

    def defaults(self) -> dict[str, Any]:
        """The values that the code itself gives its parameters."""

    def check(self, settings: Mapping[str, Any], space: Sequence[str]) -> None:
        """Raises InputError if the code does not take these settings and parameters."""


class OwnTrainerBase:
    """What no trainer that stands for code of the user's can do, whatever the code."""

    KEEPS_BEST = False
    SPEED = None
    train_side_by_side = None
    ASSESS = None
    lr_test = None
    missing_pretrained = None


class Previewer(Protocol):
    """A module such as `hpsearch.trainers.text.preview`: what `hpsearch data show` prints."""

    def preview(
        self,
        data: Mapping[str, Any],
        settings: Mapping[str, Any],
        setup: PrepareSetup,
        rows: int,
    ) -> list[RenderableType]:
        """Show the data as a model sees it, with `rows` examples.

        Args:
            data: The study's [data].
            settings: The study's settings before any preset changes them.
            setup: Its device is not used, as nothing is trained.

        Returns:
            Parts that are printed one after the other.
        """
