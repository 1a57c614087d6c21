"""The `trial` that one's own function gets: it offers what Optuna's offers, and a little more."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from hpsearch.trainers.contract import DivergedError, EpochRecord, TrialSetup
from hpsearch.trainers.own.call import FunctionError, number

MOST_STEPS = 2**31 - 1
SEPARATE = ("train_loss", "valid_loss", "lr")
"""Of the side data of a report: what has a column of its own in the store."""


class Suggests:
    """Optuna's `suggest_...` on top of one method, which gives the value of a distribution."""

    def _value(self, name: str, distribution: BaseDistribution) -> Any:  # noqa: ANN401
        raise NotImplementedError

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """The trial's value of a parameter that is a number."""
        return float(self._value(name, FloatDistribution(low, high, log=log, step=step)))

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """The trial's value of a parameter that is a whole number."""
        return int(self._value(name, IntDistribution(low, high, log=log, step=step)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:  # noqa: ANN401
        """The trial's value of a parameter that is one of the choices."""
        return self._value(name, CategoricalDistribution(choices))


class Trial(Suggests):
    """One trial of a study, as its own function sees it.

    Attributes:
        number: The trial's number in its study; None for a training that is no trial.
        params: The trial's parameters.
        seed: Decides the result together with the parameters: pass it to what draws at random.
        device: "cpu", "cuda" or "cuda:1".
        checkpoint: A folder that belongs to this trial alone, or None. What the function leaves
            there is there again if the trial is run once more after its worker was killed.
        user_attrs: What `set_user_attr` was given.
    """

    def __init__(self, setup: TrialSetup, params: Mapping[str, Any], epochs: int | None) -> None:
        self.number = setup.number
        self.params = dict(params)
        self.seed = setup.seed
        self.device = setup.device
        self.checkpoint: Path | None = setup.checkpoint
        self.user_attrs: dict[str, Any] = {}
        self.reports = 0
        self._setup = setup
        self._epochs = epochs
        self._is_hopeless = False
        self._seen = time.perf_counter()

    def report(self, value: float, step: int, **beside: float) -> None:
        """Tell how far the trial is: `value` of the study's metric after `step`.

        Args:
            step: 0 or more, larger at each call.
            beside: Side data, numbers by name such as train_loss=0.3 or lr=0.01, that are kept in
                the store beside the value.

        Raises:
            DivergedError: The value is not finite; the trial ends as failed.
        """
        if isinstance(step, bool) or int(step) != step or not 0 <= step <= MOST_STEPS:
            raise FunctionError(f"report was called with step={step!r}: count steps from 0 or 1")
        reported, side = number(value), {key: number(one) for key, one in beside.items()}
        if not math.isfinite(reported):
            raise DivergedError(f"the objective reported {reported} at step {step}")
        now = time.perf_counter()
        metrics = {key: one for key, one in side.items() if math.isfinite(one)}
        separate = {key: metrics.pop(key, math.nan) for key in SEPARATE}
        name = self._setup.objectives[0] if self._setup.objectives else "value"
        record = EpochRecord(
            "main", int(step), max(int(step), self._epochs or 0),
            separate["train_loss"], separate["valid_loss"], {name: reported, **metrics},
            () if math.isnan(separate["lr"]) else (separate["lr"],), now - self._seen,
        )  # fmt: skip
        self._seen = now
        self.reports += 1
        try:
            self._setup.report(record)
        except optuna.TrialPruned:
            self._is_hopeless = True

    def should_prune(self) -> bool:
        """Whether the study's pruner gives the trial up, as of its last report; `raise
        optuna.TrialPruned` then ends it. Trials of the design are never given up."""
        return self._is_hopeless

    def set_user_attr(self, key: str, value: Any) -> None:  # noqa: ANN401
        """Give the trial an attribute: anything that JSON can hold."""
        try:
            kept = json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise FunctionError(
                f"set_user_attr({key!r}): {type(value).__name__} cannot be written as JSON"
            ) from error
        self.user_attrs[key] = kept
        self._setup.note(key, kept)

    def _value(self, name: str, distribution: BaseDistribution) -> Any:  # noqa: ANN401
        if name not in self.params:
            raise FunctionError(
                f"the objective asks for {name!r}, which this trial does not have: declare it in "
                "the study's space, under a condition that holds whenever it is asked for"
            )
        value = self.params[name]
        try:
            fits = distribution._contains(distribution.to_internal_repr(value))
        except ValueError:
            fits = False
        if not fits:
            raise FunctionError(
                f"the objective asks for {name!r} in another range than the study's, which gave "
                f"{value!r}: let both say the same"
            )
        return value
