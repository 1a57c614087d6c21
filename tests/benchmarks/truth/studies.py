"""Studies of a shape, in memory: random search, TPE, CMA-ES and the tool's own mix of cohorts.

The mix is made by the tool's own plan: the default, a Sobol design with replicates, then TPE. Only
its exploit trials are pruned, as in `hpsearch run`; in the other samplers' studies all are.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable

import numpy as np
import optuna
from optuna.trial import TrialState

from hpsearch.search.plan.cohorts import EXPLOIT, History, Request, plan
from hpsearch.search.samplers.by_name import make_pruner, make_sampler, suggest
from hpsearch.store.tables import attributes
from tests.benchmarks.truth.shapes import Shape

SAMPLERS = ("random", "tpe", "cmaes", "mix")
FIRST = {"tuning": 0, "reporting": 500_000}
"""Constants are chosen on the first range, figures of a release come from the second, once."""
MOST_STUDIES = 100_000


def study_seed(seeds: str, index: int, *row: object) -> int:
    """The seed of a row's study `index`; the two ranges share none."""
    if not 0 <= index < MOST_STUDIES:
        raise ValueError(f"study {index} is not among the {MOST_STUDIES} of a range of seeds")
    parts = [FIRST[seeds] + index, zlib.crc32(repr(row).encode())]
    return int(np.random.SeedSequence(parts).generate_state(1)[0] >> 1)


def make_study(shape: Shape, sampler: str, trials: int, seed: int) -> optuna.Study:
    """A study of so many trials; trials that fail are among them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = optuna.create_study(
            study_name=f"{shape.name}-{sampler}-{trials}-{seed}",
            direction="maximize" if shape.maximize else "minimize",
            sampler=_foreign(sampler, seed),
            pruner=make_pruner("median" if shape.epochs else "none"),
        )
        study.set_user_attr(attributes.DEFAULTS, shape.default_params())
        work = _mixed if sampler == "mix" else _asked
        work(study, shape, trials, seed)
    return study


def _foreign(name: str, seed: int) -> optuna.samplers.BaseSampler:
    makers: dict[str, Callable[[], optuna.samplers.BaseSampler]] = {
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed),
        "cmaes": lambda: optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False),
        "mix": lambda: optuna.samplers.RandomSampler(seed=seed),
    }
    return makers[name]()


def _asked(study: optuna.Study, shape: Shape, trials: int, seed: int) -> None:
    for number in range(trials):
        _run(study, study.ask(), shape, np.random.default_rng([seed, number]), prunes=True)


def _mixed(study: optuna.Study, shape: Shape, trials: int, seed: int) -> None:
    history = History(False, (), frozenset(), 0)
    planned = plan(
        shape.space, shape.default_params(), Request(trials), first=0, seed=seed, history=history
    )
    for number, one in enumerate(planned):
        params = {
            name: value for name, value in one.params.items() if shape.active(name, one.params)
        }
        marks = {attributes.COHORT: one.cohort, attributes.SEED: one.seed}
        if one.replicate_of is not None:
            marks[attributes.REPLICATE_OF] = one.replicate_of
        exploits = one.cohort == EXPLOIT
        sampler = "tpe" if exploits else "random"
        study.sampler = make_sampler(sampler, seed=one.seed, study_seed=seed, fixed=params)
        study.enqueue_trial(params, user_attrs=marks)
        rng = np.random.default_rng([seed, number])
        _run(study, study.ask(), shape, rng, prunes=exploits)


def _run(study: optuna.Study, trial: optuna.Trial, shape: Shape, rng, *, prunes: bool) -> None:
    for name, distribution in shape.space.items():
        if shape.active(name, trial.params):
            suggest(trial, name, distribution)
    points = shape.full(shape.to_unit(trial.params))
    if shape.failure is not None and rng.random() < shape.failure(points)[0]:
        study.tell(trial, state=TrialState.FAIL)
        return
    value = shape.value(points, rng)
    if shape.epochs is None:
        study.tell(trial, value)
        return
    pruned = _report(trial, shape, value, rng, prunes=prunes)
    study.tell(trial, None if pruned else value, state=TrialState.PRUNED if pruned else None)


def _report(trial: optuna.Trial, shape: Shape, value: float, rng, *, prunes: bool) -> bool:
    """Report each epoch; whether the pruner ended the trial. Values approach their end."""
    epochs = int(trial.params[shape.epochs])
    speed = rng.uniform(2, 5)
    for epoch in range(1, epochs + 1):
        done = epoch / epochs
        short = 2 * np.exp(-speed * done) * (1 - done)
        trial.report(value - shape.sign * short + 0.2 * rng.normal() * (1 - done), epoch)
        if prunes and epoch < epochs and trial.should_prune():
            return True
    return False
