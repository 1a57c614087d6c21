"""How long explaining takes, beside Optuna's fANOVA (main effects only) in the same run.

    OMP_NUM_THREADS=1 .venv/bin/python tests/benchmarks/bench_explain.py [--large]

Forest: 64 trees of one stage, leaf size 3. `explain` is complete: leaf size and stages chosen, 400
bootstrap copies, permutation null, curves and rules. --large adds 5,000 x 10 (Optuna with 8 of its
64 trees, its time times 8) and 100,000 trials x 20, with the peak of memory.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import optuna
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial

from hpsearch.analysis import explain
from hpsearch.analysis.read.frame import read_study
from hpsearch.analysis.surrogate.anova import decompose
from hpsearch.analysis.surrogate.forest import Settings, build_table, grow


def make_study(n, d):
    rng = np.random.default_rng(0)
    study = optuna.create_study(direction="maximize")
    space = {f"x{j}": FloatDistribution(0, 1) for j in range(d)}
    for x in rng.random((n, d)):
        value = -4 * (x[0] - 0.4) ** 2 + x[1] + x[2] * x[3] + 0.3 * rng.normal()
        params = {f"x{j}": float(x[j]) for j in range(d)}
        study.add_trial(create_trial(params=params, distributions=space, value=float(value)))
    return study


def clock(work, repeats=1):
    best = np.inf
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best


def compare(n, d, optuna_too, share=1.0):
    """`share` of Optuna's 64 trees, scaled up; its trees take all of its time."""
    study = make_study(n, d)
    frame = read_study(study)
    table = build_table(frame.axes, frame.unit, frame.value, frame.group)

    def ours(pairs):
        forest = grow(table, Settings(leaf=3), np.random.default_rng(0))
        decompose(forest, pairs=pairs)

    main, pairs = clock(lambda: ours(False), 3), clock(lambda: ours(True), 3)
    line = f"{n} x {d}: forest and main effects {main:.2f} s, with all pairs {pairs:.2f} s"
    if optuna_too:
        evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=int(64 * share), seed=0)
        theirs = clock(lambda: evaluator.evaluate(study)) / share
        line += f"; Optuna {theirs:.1f} s: {theirs / main:.0f} and {theirs / pairs:.0f} times"
    print(line, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--large", action="store_true", help="5,000 and 100,000 trials too")
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    compare(200, 10, True)
    compare(1000, 10, True)
    for n, d in ((12, 10), (200, 10), (1000, 10)):
        study = make_study(n, d)
        print(f"explain {n} x {d}: {clock(lambda s=study: explain(s)):.1f} s", flush=True)
    if args.large:
        compare(5000, 10, True, share=1 / 8)
        study = make_study(100_000, 20)
        print(f"explain 100,000 x 20: {clock(lambda: explain(study)):.0f} s, peak of memory "
              f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GB")  # fmt: skip


if __name__ == "__main__":
    main()
