"""A search from a prior beside the default start, with a prior that is right and one that is wrong.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_prior.py [--repeats 40 --seed 100]

One problem: loss = a bowl of a logarithm, two numbers and a choice, whose best place differs from
study to study (standard deviation TAU of the range), with noise. Three earlier studies of 60 trials
are explained and pooled; then a new study of 40 trials runs with the tool's own plan (baseline,
design, exploit by TPE), once as it is and once with the prior. "wrong" turns the new study's best
place to the other end of every range. Shown are the true loss of the best trial so far, less the
optimum, after 5, 10, 20 and 40 trials: mean over the repeats, and the paired difference with its
standard error. Exit status 1 unless the right prior is better at 10 trials by two standard errors,
and the wrong one at 40 trials loses less than what five trials less would lose. 40 repeats take
about 15 minutes.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution

from hpsearch.analysis import explain
from hpsearch.analysis.pool_studies import pool_studies
from hpsearch.search.plan.cohorts import History, Request, plan
from hpsearch.search.plan.prior import Prior, believe, pooled_rules
from hpsearch.search.samplers.by_name import make_sampler, suggest
from hpsearch.study.space import to_unit

SPACE = {
    "lr": FloatDistribution(1e-4, 1.0, log=True),
    "dropout": FloatDistribution(0.0, 1.0),
    "decay": FloatDistribution(1.0, 4.0),
    "wd": FloatDistribution(1e-6, 1.0, log=True),
    "kind": CategoricalDistribution(["a", "b", "c"]),
}
DEFAULTS = {"lr": 1e-3, "dropout": 0.5, "decay": 1.0, "wd": 0.01, "kind": "a"}
CENTRE = {"lr": 0.7, "dropout": 0.25, "decay": 0.6, "wd": 0.4}
WEIGHT = {"lr": 4.0, "dropout": 1.0, "decay": 1.5, "wd": 0.2}
OF_KIND = {"a": 0.2, "b": 0.0, "c": 0.3}
TAU, NOISE, TRIALS, EARLIER = 0.08, 0.03, 40, 60
LOOKS = (5, 10, 20, 40)


@dataclass(frozen=True)
class Problem:
    """`best` is the place of the best value of each number; `kinds` what each choice costs."""

    best: dict[str, float]
    kinds: dict[str, float]

    def loss(self, params: dict) -> float:
        bowls = sum(
            WEIGHT[name] * (to_unit(SPACE[name], params[name]) - place) ** 2
            for name, place in self.best.items()
        )
        return bowls + self.kinds[params["kind"]]


def problem(generator: np.random.Generator, *, wrong: bool = False) -> Problem:
    best = {
        name: float(np.clip(place + TAU * generator.standard_normal(), 0.02, 0.98))
        for name, place in CENTRE.items()
    }
    if not wrong:
        return Problem(best, OF_KIND)
    return Problem(
        {name: 1 - place for name, place in best.items()}, {"a": 0.2, "b": 0.3, "c": 0.0}
    )


def search(one: Problem, prior: Prior | None, trials: int, seed: int) -> optuna.Study:
    """A study that runs the tool's plan; the true losses are its trials' attribute "true"."""
    noise = np.random.default_rng([seed, 9])
    request = Request(trials, 0.5, prior=prior)
    history = History(False, (), frozenset(), 0)
    planned = plan(SPACE, DEFAULTS, request, first=0, seed=seed, history=history)
    study = optuna.create_study(study_name=f"{seed}")
    # As workers do: the tries, the baseline, then design and exploit trials in turns.
    for at in planned:
        study.sampler = make_sampler("tpe", seed=at.seed, study_seed=seed, fixed=at.params)
        if at.params:
            study.enqueue_trial(dict(at.params))
        trial = study.ask()
        trial.set_user_attr("hps_cohort", at.cohort)
        for name, distribution in SPACE.items():
            suggest(trial, name, distribution)
        true = one.loss(trial.params)
        trial.set_user_attr("true", true)
        study.tell(trial, true + NOISE * noise.standard_normal())
    return study


def regrets(study: optuna.Study) -> list[float]:
    """The true loss of the trial that looks best after so many trials (LOOKS)."""
    return [
        min(study.trials[:look], key=lambda trial: trial.value).user_attrs["true"] for look in LOOKS
    ]


def repeat(seed: int) -> dict[str, tuple[list[float], list[float]]]:
    """Of each kind of prior, the regrets without and with it."""
    generator = np.random.default_rng([seed, 1])
    earlier = [search(problem(generator), None, EARLIER, 1000 * seed + i) for i in range(3)]
    rules = pooled_rules(pool_studies([explain(study) for study in earlier]))
    prior = Prior(SPACE, believe(SPACE, rules))
    found = {}
    for kind in ("right", "wrong"):
        new = problem(generator, wrong=kind == "wrong")
        seed_of_new = 1000 * seed + 10
        found[kind] = (
            regrets(search(new, None, TRIALS, seed_of_new)),
            regrets(search(new, prior, TRIALS, seed_of_new)),
        )
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--seed", type=int, default=100, help="Of the first repeat.")
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    all_found: dict[str, list] = {"right": [], "wrong": []}
    for seed in range(given.seed, given.seed + given.repeats):
        for kind, pair in repeat(seed).items():
            all_found[kind].append(pair)
        print(f"repeat {seed - given.seed + 1} of {given.repeats}", file=sys.stderr, flush=True)
    figures = {}
    for kind, pairs in all_found.items():
        values = np.array(pairs)  # (repeats, without and with, looks)
        print(f"{kind} prior: loss above the optimum, without, with, difference (standard error)")
        for i, look in enumerate(LOOKS):
            without, having = values[:, 0, i], values[:, 1, i]
            difference = having - without
            error = difference.std(ddof=1) / np.sqrt(len(difference))
            figures[kind, look] = (without.mean(), difference.mean(), error)
            print(
                f"  {look:3d} trials  {without.mean():.4f}  {having.mean():.4f}  "
                f"{difference.mean():+.4f} ({error:.4f})"
            )
    _, gained, error = figures["right", 10]
    lost = figures["wrong", 40][1]
    allowed = (figures["wrong", 20][0] - figures["wrong", 40][0]) / 4
    print(
        f"a wrong prior at 40 trials loses {lost:+.4f}; five trials less would lose {allowed:.4f}"
    )
    return int(not (gained < -2 * error and lost <= allowed))


if __name__ == "__main__":
    sys.exit(main())
