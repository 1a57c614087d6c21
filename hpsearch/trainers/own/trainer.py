"""One's own Python function as a trainer: `trainer = "module:function"`.

The search knows it by the contract of every trainer. The module is imported where it is needed,
from the folder that the user's study file or command names (hpsearch.core.own_code).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpsearch.core import own_code
from hpsearch.errors import HpsearchError, InputError
from hpsearch.trainers.contract import OwnTrainerBase, PrepareSetup, TrainResult, TrialSetup
from hpsearch.trainers.own.call import (
    VALUE,
    FunctionError,
    OwnCall,
    metrics_of,
    seed_generators,
)
from hpsearch.trainers.own.data import data_fingerprint
from hpsearch.trainers.own.declared import hinted_space
from hpsearch.trainers.own.source import code_digest
from hpsearch.trainers.own.suggested import suggested_space
from hpsearch.trainers.own.trial import Trial

LENGTHS = ("epochs", "n_epochs", "max_epochs", "num_epochs", "n_steps")
"""Parameters that say at which step a trial ends, for the display."""


@dataclass(frozen=True)
class PreparedFunction:
    """What trials of a function share: the place of its data, if it has any."""

    path: Path | None
    source: str
    summary: str
    fingerprint: str
    precision: str = "the function's own"
    stages: tuple[str, ...] = ()
    facts: Mapping[str, float] = field(default_factory=dict)
    metrics: tuple[str, ...] = ()

    def check(self, settings: Mapping[str, Any]) -> None:
        """Nothing is known of a function before it is called."""


class OwnFunction(OwnTrainerBase):
    """The trainer that a function is: see `hpsearch.trainers.contract.OwnTrainer`."""

    metric = VALUE

    def __init__(self, name: str) -> None:
        self.__name__ = name

    @property
    def call(self) -> OwnCall:
        """The function, imported now. Raises InputError where it cannot be."""
        return OwnCall(self.__name__, own_code.load(self.__name__, "objective"))

    @property
    def code(self) -> str | None:
        return code_digest(self.call.function)

    def defaults(self) -> dict[str, Any]:
        return self.call.defaults()

    def check(self, settings: Mapping[str, Any], space: Sequence[str]) -> None:
        self.call.check(settings, space)

    def find_space(
        self, settings: Mapping[str, Any], data: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, dict[str, list[Any]]]]:
        """The ranges of the function's type hints, and what it asks its trial for."""
        call = self.call
        space: dict[str, Any] = dict(hinted_space(call, settings))
        when: dict[str, dict[str, list[Any]]] = {}
        if call.suggests:
            defaults = call.defaults()
            known = {name: defaults.get(name, one.some()) for name, one in space.items()}
            path = Path(data["path"]) if data.get("path") else None
            asked, when = suggested_space(call, settings, known, path)
            space |= asked
        if not space:
            raise InputError(
                f"Nothing says what to search of {self.__name__}: declare ranges in [space] of a "
                "study file, with --space lr=1e-5..1e-1,log, or in type hints."
            )
        return space, when

    def prepare(
        self, data: Mapping[str, Any], settings: Mapping[str, Any], setup: PrepareSetup
    ) -> PreparedFunction:
        """Import the function, and look at the file or folder that it gets as `data`.

        Raises:
            InputError: The function cannot be imported, or there is no such file.
        """
        file = own_code.file_of(self.call.function)
        path = setup.data_path or (Path(data["path"]) if data.get("path") else None)
        if setup.data_path is not None and not self.call.asks_for("data", [*settings]):
            raise InputError(
                f"--data goes to a parameter called data, which {self.__name__} does not have."
            )
        return PreparedFunction(
            path,
            "what the function reads itself" if path is None else str(path),
            f"the objective is {self.__name__}" + (f" of {file}" if file else ""),
            data_fingerprint(path),
        )

    def train(
        self,
        settings: Mapping[str, Any],
        params: Mapping[str, Any],
        data: PreparedFunction,
        setup: TrialSetup,
    ) -> TrainResult:
        """Call the function once, with the generators of Python and NumPy seeded.

        Raises:
            FunctionError: It returned what is no number.
            Exception: Whatever the function raises.
        """
        started = time.perf_counter()
        values = {**settings, **params}
        lengths = [values[name] for name in LENGTHS if isinstance(values.get(name), int)]
        trial = Trial(setup, params, lengths[0] if lengths else None)
        seed_generators(setup.seed)
        for folder in (setup.keep, setup.checkpoint):
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
        given = {
            "trial": trial, "seed": setup.seed, "data": data.path, "device": setup.device,
            "output": setup.keep,
        }  # fmt: skip
        is_trial = setup.number is not None
        result = _called(lambda: self.call(settings, params, given), is_trial=is_trial)
        metrics = metrics_of(result, setup.objectives or (self.metric,))
        return TrainResult(metrics, max(trial.reports, 1), time.perf_counter() - started)


def _called(call: Callable[[], Any], *, is_trial: bool) -> Any:  # noqa: ANN401
    """What the call returns. A `sys.exit` in it ends the trial, not the worker. A trial's failure
    is recorded with its error; a training that is no trial has its user to tell."""
    try:
        return call()
    except SystemExit as error:
        raise FunctionError(f"the objective called sys.exit({error.code!r})") from error
    except Exception as error:
        if is_trial or isinstance(error, HpsearchError):
            raise
        text = " ".join(str(error).split())[:300]
        raise FunctionError(f"The objective raised {type(error).__name__}: {text}") from error
