"""Samplers and pruners by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler

STARTUP_TRIALS = 5
"""Finished trials before a sampler or the median rule has an opinion; the design provides them."""


def make_sampler(name: str, *, seed: int, study_seed: int, fixed: Mapping[str, Any]) -> BaseSampler:
    """The sampler `name` for one trial with this seed, whose values `fixed` are given already.

    Every trial gets a sampler of its own: what a study draws must not depend on who ran the trials
    before, or on whether the study was interrupted. All they know is in the store.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = SAMPLERS[name](seed, study_seed)
        if not fixed or name == "forest":  # which looks at the trial itself
            return sampler
        return optuna.samplers.PartialFixedSampler(dict(fixed), sampler)


def _tpe(seed: int, study_seed: int) -> BaseSampler:
    return optuna.samplers.TPESampler(n_startup_trials=STARTUP_TRIALS, seed=seed)


def _gp(seed: int, study_seed: int) -> BaseSampler:
    return optuna.samplers.GPSampler(
        n_startup_trials=STARTUP_TRIALS, seed=seed, warn_independent_sampling=False
    )


def _cmaes(seed: int, study_seed: int) -> BaseSampler:
    from hpsearch.search.samplers.cmaes import CmaEsSampler

    return CmaEsSampler(seed=seed)


def _qmc(seed: int, study_seed: int) -> BaseSampler:
    # One sequence for the whole study, whose points its trials take one after the other. (The
    # design has another scramble of it.)
    return optuna.samplers.QMCSampler(
        scramble=True, seed=study_seed, warn_independent_sampling=False
    )


def _random(seed: int, study_seed: int) -> BaseSampler:
    return optuna.samplers.RandomSampler(seed=seed)


def _forest(seed: int, study_seed: int) -> BaseSampler:
    from hpsearch.search.samplers.forest import ForestSampler  # scikit-learn takes a second

    return ForestSampler(seed=seed, n_startup_trials=STARTUP_TRIALS)


SAMPLERS: dict[str, Callable[[int, int], BaseSampler]] = {
    "tpe": _tpe,
    "gp": _gp,
    "cmaes": _cmaes,
    "qmc": _qmc,
    "random": _random,
    "forest": _forest,
}


def make_pruner(name: str) -> optuna.pruners.BasePruner:
    match name:
        case "median":
            return optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS)
        case "hyperband":
            return optuna.pruners.HyperbandPruner()
        case "wilcoxon":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                return optuna.pruners.WilcoxonPruner()
        case "none":
            return optuna.pruners.NopPruner()
    raise ValueError(f"no such pruner: {name}")


def suggest(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> None:
    """Let the sampler draw a parameter, or take what is given already."""
    match distribution:
        case CategoricalDistribution(choices=choices):
            trial.suggest_categorical(name, choices)
        case IntDistribution(low=low, high=high, step=step, log=log):
            trial.suggest_int(name, low, high, step=step, log=log)
        case FloatDistribution(low=low, high=high, step=step, log=log):
            trial.suggest_float(name, low, high, step=step, log=log)
