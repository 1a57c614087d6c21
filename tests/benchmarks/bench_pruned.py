"""Do pruned trials help? Shares and optima beside those of the complete trials alone.

    OMP_NUM_THREADS=1 .venv/bin/python tests/benchmarks/bench_pruned.py [--sims 20]

Random search over the shapes of surfaces.py, noise .5, trials stopped on the way by Optuna's median
pruner or by Hyperband (27 steps, the value approaching its end exponentially, faster for some
trials, with noise). Printed: the root mean square error of the shares of x0 and x2 and of x0's
optimum, on the sampling scale, from all trials and from the complete ones alone. Exits with 1 when
all trials are not nearer to the truth in shares and in optima for 3 of 4 shapes.
"""

from __future__ import annotations

import argparse
import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import optuna
from surfaces import SHAPES, SPACE, simulate, truth

from hpsearch.analysis import explain
from hpsearch.analysis.surrogate import fit

STEPS = 27
PRUNERS = {
    "median": lambda: optuna.pruners.MedianPruner(n_warmup_steps=2, interval_steps=3),
    "hyperband": lambda: optuna.pruners.HyperbandPruner(1, STEPS, 3),
}


def pruned_study(shape, n, noise, pruner, seed):
    source = simulate(shape, n, noise, "random", seed)
    spread = np.std([t.value for t in source.trials])
    rng = np.random.default_rng(seed)
    study = optuna.create_study(direction="maximize", pruner=pruner, study_name=f"pruned-{seed}")
    for known in source.trials:
        study.enqueue_trial(known.params)

    def objective(trial):
        for name in SPACE:
            trial.suggest_float(name, 0, 1)
        final = source.trials[trial.number].value
        speed = rng.uniform(2, 5)
        for step in range(1, STEPS + 1):
            short = 2 * spread * np.exp(-speed * step / STEPS)
            report = final - short + 0.1 * spread * rng.normal() * (1 - step / STEPS)
            trial.report(report, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return final

    study.optimize(objective, n)
    return study


def errors(study, shape, seed):
    """(x0's share, x2's share, x0's optimum): how far each is from the truth."""
    explanation = explain(study, seed=seed)
    _, _, shares = truth(shape)
    found = {i.params[0]: i.share for i in explanation.main_importances}
    effect = next(e for e in explanation.effects if e.param == "x0")
    best = float(effect.unit[np.argmax(effect.mean)])
    low, high = SHAPES[shape][1]
    off = max(low - best, best - high, 0.0)
    return found["x0"] - shares["x0"], found["x2"] - shares["x2"], off


def complete_only(study):
    kept = optuna.create_study(direction="maximize")
    for trial in study.get_trials(states=[optuna.trial.TrialState.COMPLETE]):
        kept.add_trial(trial)
    return kept


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sims", type=int, default=20)
    parser.add_argument("--trials", type=int, default=120)
    parser.add_argument("--seed", type=int, default=9000)
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    fit.N_REFITS = 19  # nothing printed here depends on them
    print("| shape | pruner | pruned | share: all | complete | optimum: all | complete |")
    print("|---|---|---|---|---|---|---|")
    better = {}
    for shape in ("peak", "skewed", "edge", "two peaks"):
        for name, pruner in PRUNERS.items():
            every, complete, stopped = [], [], []
            for k in range(args.sims):
                study = pruned_study(shape, args.trials, 0.5, pruner(), args.seed + k)
                few = complete_only(study)
                stopped.append(1 - len(few.trials) / args.trials)
                every.append(errors(study, shape, k))
                complete.append(errors(few, shape, k))
            ours, theirs = np.square(every), np.square(complete)
            cells = [np.sqrt(e[:, part].mean()) for part in ([0, 1], [2]) for e in (ours, theirs)]
            better[shape, name] = cells[0] < cells[1] and cells[2] <= cells[3]
            shown = " | ".join(f"{cell:.3f}" for cell in cells)
            print(f"| {shape} | {name} | {np.mean(stopped):.0%} | {shown} |", flush=True)
    wins = [sum(better[shape, name] for shape, key in better if key == name) for name in PRUNERS]
    sys.exit(int(min(wins) < 3))


if __name__ == "__main__":
    main()
