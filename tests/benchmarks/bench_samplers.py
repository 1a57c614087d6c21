"""The forest sampler beside TPE, CMA-ES, GP, random search and the real SMAC, on known functions.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_samplers.py [--seeds 5 --smac FOLDER]

Branin (2 numbers), Hartmann (6 numbers) and a space with a choice, a logarithm, a whole number and
a parameter that exists under one choice only. What is shown is the best value after so many trials
less the optimum, its median over the seeds, and the seconds that one study took. SMAC 2.4 is not
installed into hpsearch's environment: `pip install --target FOLDER smac`. Exit status 1 if the
forest's median is not below random search's on every function.
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
import tempfile
import time
import warnings
from collections.abc import Callable

import numpy as np
import optuna

from hpsearch.search.samplers.cmaes import CmaEsSampler
from hpsearch.search.samplers.forest import ForestSampler

A = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8],
     [17, 8, 0.05, 10, 0.1, 14]]
)  # fmt: skip
P = 1e-4 * np.array(
    [[1312, 1696, 5569, 124, 8283, 5886], [2329, 4135, 8307, 3736, 1004, 9991],
     [2348, 1451, 3522, 2883, 3047, 6650], [4047, 8828, 8732, 5743, 1091, 381]]
)  # fmt: skip
ALPHA = np.array([1.0, 1.2, 3.0, 3.2])


def branin(x: float, y: float) -> float:
    curve = y - 5.1 / (4 * math.pi**2) * x * x + 5 / math.pi * x - 6
    return curve**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


def hartmann(*point: float) -> float:
    inner = (A * (np.array(point) - P) ** 2).sum(1)
    return float(-(ALPHA * np.exp(-inner)).sum())


def conditional(kind: str, lr: float, n: int, m: float | None) -> float:
    value = {"a": 0.0, "b": 0.3, "c": 0.5}[kind]
    value += 0.3 * (math.log10(lr) + 2.5) ** 2 + 0.1 * (math.log2(n) - 4) ** 2
    return value + ((m - 0.8) ** 2 if m is not None else 0)


def on_branin(trial: optuna.Trial) -> float:
    return branin(trial.suggest_float("x", -5, 10), trial.suggest_float("y", 0, 15))


def on_hartmann(trial: optuna.Trial) -> float:
    return hartmann(*(trial.suggest_float(f"x{i}", 0, 1) for i in range(6)))


def on_conditional(trial: optuna.Trial) -> float:
    kind = trial.suggest_categorical("kind", ["a", "b", "c"])
    lr = trial.suggest_float("lr", 1e-5, 1, log=True)
    n = trial.suggest_int("n", 1, 64, log=True)
    return conditional(kind, lr, n, trial.suggest_float("m", 0, 1) if kind == "a" else None)


FUNCTIONS = {
    "branin": (on_branin, 0.397887),
    "hartmann 6": (on_hartmann, -3.32237),
    "conditional": (on_conditional, 0.0),
}
SAMPLERS: dict[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed),
    "cmaes": lambda seed: CmaEsSampler(seed=seed),
    "gp": lambda seed: optuna.samplers.GPSampler(seed=seed),
    "forest": lambda seed: ForestSampler(seed=seed),
}


def search(function: str, sampler: str, trials: int, seed: int) -> float:
    study = optuna.create_study(sampler=SAMPLERS[sampler](seed))
    study.optimize(FUNCTIONS[function][0], n_trials=trials)
    return study.best_value


def smac(function: str, trials: int, seed: int) -> float:
    """SMAC's own facade for hyperparameters: a random forest, Sobol start, interleaved random."""
    from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float, Integer
    from smac import HyperparameterOptimizationFacade, Scenario

    space = ConfigurationSpace(seed=seed)
    if function == "branin":
        space.add([Float("x", (-5, 10)), Float("y", (0, 15))])
    elif function == "hartmann 6":
        space.add([Float(f"x{i}", (0, 1)) for i in range(6)])
    else:
        kind, m = Categorical("kind", ["a", "b", "c"]), Float("m", (0, 1))
        space.add([kind, Float("lr", (1e-5, 1), log=True), Integer("n", (1, 64), log=True), m])
        space.add(EqualsCondition(m, kind, "a"))
    values = []

    def objective(config, seed: int = 0) -> float:
        given = dict(config)
        if function == "conditional":
            value = conditional(given["kind"], given["lr"], given["n"], given.get("m"))
        else:
            names = ("x", "y") if function == "branin" else [f"x{i}" for i in range(6)]
            value = (branin if function == "branin" else hartmann)(*(given[n] for n in names))
        values.append(value)
        return value

    with tempfile.TemporaryDirectory() as folder:
        scenario = Scenario(
            space, deterministic=True, n_trials=trials, seed=seed, output_directory=folder
        )
        HyperparameterOptimizationFacade(
            scenario, objective, overwrite=True, logging_level=False
        ).optimize()
    return min(values)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--smac", help="the folder that SMAC was installed into")
    parser.add_argument("--only", nargs="+", default=[*SAMPLERS, "smac"])
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.disable(logging.CRITICAL)
    names = [name for name in options.only if name != "smac" or options.smac]
    if options.smac:
        sys.path.append(options.smac)
    fine = True
    for function, (_, optimum) in FUNCTIONS.items():
        medians = {}
        for name in names:
            started = time.perf_counter()
            work = smac if name == "smac" else None
            best = [
                work(function, options.trials, seed)
                if work
                else search(function, name, options.trials, seed)
                for seed in range(options.seeds)
            ]
            seconds = (time.perf_counter() - started) / options.seeds
            regret = np.sort(np.array(best) - optimum)
            medians[name] = float(np.median(regret))
            print(
                f"{function:<12} {name:<7} median {medians[name]:8.4f}  "
                f"from {regret[0]:.4f} to {regret[-1]:.4f}  {seconds:6.1f} s a study",
                flush=True,
            )
        if {"forest", "random"} <= medians.keys():
            fine &= medians["forest"] < medians["random"]
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
