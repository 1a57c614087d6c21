"""In-memory studies with a known truth, for the tests of the explanation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

optuna.logging.set_verbosity(optuna.logging.ERROR)

UNIFORM = FloatDistribution(0.0, 1.0)


def study_of(
    rows: Sequence[dict[str, Any]],
    values: Sequence[float],
    space: dict[str, BaseDistribution],
    *,
    direction: str = "maximize",
    defaults: dict[str, Any] | None = None,
    attrs: Sequence[dict[str, Any]] | None = None,
) -> optuna.Study:
    """A study whose trials are given; parameters absent from a row were inactive."""
    study = optuna.create_study(direction=direction)
    for index, (row, value) in enumerate(zip(rows, values, strict=True)):
        study.add_trial(
            create_trial(
                params=row,
                distributions={name: space[name] for name in row},
                value=float(value),
                user_attrs=attrs[index] if attrs else None,
            )
        )
    if defaults:
        study.set_user_attr("hps_defaults", defaults)
    return study


def uniform_study(
    function: Callable[[np.ndarray], np.ndarray],
    n: int,
    d: int,
    *,
    noise: float = 0.0,
    seed: int = 0,
    **kwargs: Any,
) -> optuna.Study:
    """n trials drawn uniformly from [0, 1]^d; `noise` in standard deviations of the function."""
    rng = np.random.default_rng(seed)
    points = rng.random((n, d))
    truth = function(points)
    values = truth + noise * (truth.std() or 1.0) * rng.normal(size=n)
    rows = [{f"x{j}": float(point[j]) for j in range(d)} for point in points]
    return study_of(rows, values, {f"x{j}": UNIFORM for j in range(d)}, **kwargs)


def fail_trial(params: dict[str, Any], space: dict[str, BaseDistribution]) -> Any:
    return create_trial(
        params=params,
        distributions={name: space[name] for name in params},
        state=TrialState.FAIL,
    )


@pytest.fixture(scope="session")
def studies() -> SimpleNamespace:
    """The makers of this module, for test modules that cannot import it."""
    return SimpleNamespace(
        of=study_of, uniform=uniform_study, failed=fail_trial, unit=UNIFORM, optuna=optuna
    )
