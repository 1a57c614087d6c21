"""Do the nominal 90% intervals cover, and how many rules are false? Studies with a known truth.

    .venv/bin/python tests/benchmarks/bench_coverage.py run coverage.jsonl --rounds 6
    .venv/bin/python tests/benchmarks/bench_coverage.py table coverage.jsonl --by shape

Every round simulates one study for each cell (shape, trials, noise, sampler) and appends a line of
JSON to the file; what the file already holds is not repeated. Six parameters: x0 (with x1, for the
ridge) has the shape, x2 a straight line, x3 to x5 nothing. `table` prints, for the cells that
--by joins: how often the forest was trusted and x0 got a rule; of those how many intervals of the
best value hold the true one (a plateau: lie within it) and their mean width on the sampling scale;
of the gains of x0 and x2 over their defaults and over the worst of the range how many intervals
hold the true gain; of the shares of x0 and x2 the same; how many printed rules concern a parameter
without effect; and the coverage and width of the plain bootstrap (the argmax of refitted forests'
marginals). It exits with 1 when, of all studies, optima, gains or shares are covered in fewer than
85% or more than 97%, or 10% of the rules or more are false.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
import warnings
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import optuna
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial

from hpsearch.analysis import explain
from hpsearch.analysis.effects.grids import build_grid, marginal_at
from hpsearch.analysis.read.frame import read_study
from hpsearch.analysis.surrogate import fit
from hpsearch.analysis.surrogate.anova import decompose
from hpsearch.analysis.surrogate.forest import Settings, Table, build_table, choose_settings, grow

D = 6
SPACE = {f"x{j}": FloatDistribution(0.0, 1.0) for j in range(D)}
DEFAULTS = {"x0": 0.9, "x2": 0.2}
SLOPE = 0.7  # of x2, in standard deviations of the shape
EQUAL = 0.02  # how far beyond a plateau's end an interval may reach
SIZES, NOISES, SAMPLERS = (50, 100, 200, 400), (0.2, 0.5, 1.0), ("random", "qmc", "tpe")
PLAIN_ROUNDS = 2  # with the plain bootstrap beside ours
N_REFITS = 19  # of the test whether a forest is trusted, the fewest for its 5%
GRID = (np.arange(400) + 0.5) / 400


def bump(u, centre, width):
    return np.exp(-0.5 * ((u - centre) / width) ** 2)


SHAPES = {
    "peak": (lambda u, v: bump(u, 0.4, 0.2) + 0 * v, (0.4, 0.4)),
    "skewed": (lambda u, v: u**1.5 * np.exp(-5 * u) + 0 * v, (0.3, 0.3)),
    "plateau": (lambda u, v: -np.maximum(u - 0.5, 0.0) + 0 * v, (0.0, 0.5)),
    "edge": (lambda u, v: u + 0 * v, (1.0, 1.0)),
    "ridge": (lambda u, v: -((u - v) ** 2), (0.5, 0.5)),
    "two peaks": (lambda u, v: np.maximum(bump(u, 0.25, 0.1), 0.8 * bump(u, 0.75, 0.1)) + 0 * v,
                  (0.25, 0.25)),
    "nothing": (lambda u, v: 0 * u * v, (0.0, 1.0)),
}  # fmt: skip


def truth(shape):
    """Scale of the shape; marginals (400,) of x0 and x2 on that scale; their true shares."""
    surface = SHAPES[shape][0](GRID[:, None], GRID[None, :])
    scale = surface.std() or 1.0
    slope = 0.0 if shape == "nothing" else SLOPE * np.sqrt(12)
    marginals = {"x0": surface.mean(axis=1) / scale, "x2": slope * (GRID - 0.5)}
    total = (surface / scale).var() + marginals["x2"].var() or 1.0
    return scale, marginals, {name: m.var() / total for name, m in marginals.items()}


def simulate(shape, n, noise, sampler_name, seed):
    rng = np.random.default_rng(seed)
    scale, marginals, _ = truth(shape)
    function, slope = SHAPES[shape][0], marginals["x2"][-1] / (GRID[-1] - 0.5)
    spread = noise * np.sqrt(1 + SLOPE**2)

    def objective(x):
        signal = function(x[0], x[1]) / scale + slope * (x[2] - 0.5)
        return float(signal + spread * rng.normal())

    samplers = {
        "qmc": partial(optuna.samplers.QMCSampler, scramble=True),  # as our own searches do
        "tpe": optuna.samplers.TPESampler,
    }
    if sampler_name == "random":
        study = optuna.create_study(direction="maximize")
        for x in rng.random((n, D)):  # the same as RandomSampler, without its overhead
            params = {f"x{j}": float(x[j]) for j in range(D)}
            study.add_trial(create_trial(params=params, distributions=SPACE, value=objective(x)))
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sampler = samplers[sampler_name](seed=seed)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.optimize(lambda t: objective([t.suggest_float(f"x{j}", 0, 1) for j in range(D)]), n)
    study.set_user_attr("hps_defaults", DEFAULTS)
    return study


def plain_bootstrap(study, seed, n_refits=60):
    """The spec's first try: percentiles of the argmax of refitted forests' raw marginals."""
    frame = read_study(study)
    rng = np.random.default_rng(seed)
    table = build_table(frame.axes, frame.unit, frame.value, frame.group)
    settings = Settings(choose_settings(table, rng).leaf, 1, 24)
    grid = build_grid(frame.axes[0], frame.unit[:, 0])
    best = []
    for _ in range(n_refits):
        rows = rng.integers(0, len(table.y), len(table.y))
        _, group = np.unique(rows, return_inverse=True)
        forest = grow(Table(table.x[rows], table.y[rows], group, table.levels), settings, rng)
        anova = decompose(forest, pairs=False, n_points_log2=0)
        best.append(grid.points[np.argmax(marginal_at(forest, anova, 0, grid.points))])
    return [float(q) for q in np.quantile(best, [0.05, 0.95])]


def holds(low, high, optimum):
    """Covers the optimum; within the plateau where there is one."""
    if optimum[0] == optimum[1]:
        return bool(low - 1e-9 <= optimum[0] <= high + 1e-9)
    return bool(low >= optimum[0] - EQUAL and high <= optimum[1] + EQUAL)


def null_parameters(shape):
    if shape == "nothing":
        return set(SPACE)
    return {"x3", "x4", "x5"} if shape == "ridge" else {"x1", "x3", "x4", "x5"}


def one(job):
    """Simulate and explain one study: what its rules, gains and shares say beside the truth."""
    shape, n, noise, sampler, seed = job
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    fit.N_REFITS = N_REFITS
    study = simulate(shape, n, noise, sampler, seed)
    started = time.process_time()
    explanation = explain(study, seed=seed)
    seconds = time.process_time() - started
    _, marginals, shares = truth(shape)
    optimum = SHAPES[shape][1]
    printed = [rule for rule in explanation.rules if rule.kind != "no-effect"]
    false_rules = [rule for rule in printed if rule.param in null_parameters(shape)]
    effects = {e.param: e for e in explanation.effects}
    line = {
        "shape": shape, "n": n, "noise": noise, "sampler": sampler, "seed": seed,
        "trusted": explanation.trusted, "rules": len(printed), "false": len(false_rules),
        "false_kinds": [rule.kind for rule in false_rules], "seconds": seconds,
        "optimum": [], "gains": {}, "shares": {}, "kind": "", "more": explanation.more_trials,
    }  # fmt: skip
    for rule in printed:
        if rule.param not in marginals or shape == "nothing":
            continue
        if rule.param == "x0":
            line["kind"] = rule.kind
            curve = next(c for c in explanation.curves if c.param == rule.param)
            low, high = curve.best_interval()
            line["optimum"] = [holds(low, high, optimum), high - low]
        effect, marginal = effects[rule.param], marginals[rule.param]
        at_best = np.interp(effect.unit[np.argmax(effect.mean)], GRID, marginal)
        at_default = np.interp(DEFAULTS[rule.param], GRID, marginal)
        for name, gain, actual in (
            ("default", rule.gain, at_best - at_default),
            ("worst", rule.gain_worst, at_best - marginal.min()),
        ):
            if gain is not None:
                line["gains"][f"{rule.param} {name}"] = beside(gain, actual)
    if explanation.trusted and shape != "nothing":
        mains = {i.params[0]: i for i in explanation.main_importances}
        for name, share in shares.items():
            i = mains[name]
            line["shares"][name] = [float(v) for v in (i.share, i.low, i.high, share)]
    if seed // 1000 % 1000 < PLAIN_ROUNDS:
        line["plain"] = plain_bootstrap(study, seed)
    return line


def beside(gain, actual):
    return [float(v) for v in (gain.value, gain.low, gain.high, actual)]


def run(args):
    path = Path(args.file)
    known = set()
    if path.exists():
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        known = {tuple(o[k] for k in ("shape", "n", "noise", "sampler", "seed")) for o in lines}
    cells = itertools.product(args.shapes, args.sizes, args.noises, args.samplers)
    cells = list(enumerate(cells))
    seeds = [1_000_000 * (1 + args.stream) + 1_000 * k for k in range(args.rounds)]
    jobs = [(*cell, seed + index) for seed in seeds for index, cell in cells]
    jobs = [job for job in jobs if job not in known]
    with ProcessPoolExecutor(args.workers) as pool, path.open("a") as file:
        for line in pool.map(one, jobs):
            print(json.dumps(line), file=file, flush=True)


def covers(estimate):
    return estimate[1] <= estimate[3] <= estimate[2]


def percent(values):
    return f"{100 * np.mean(values):.0f}%" if len(values) else "-"


def measures(outcomes):
    """Name -> what the table shows of some outcomes; lists of yes and no where it is a rate."""
    rules = [o["optimum"] for o in outcomes if o["optimum"]]
    plain = [
        (holds(*o["plain"], SHAPES[o["shape"]][1]), np.ptp(o["plain"]))
        for o in outcomes
        if o["shape"] != "nothing" and "plain" in o
    ]
    gains = [(name[3:], covers(e)) for o in outcomes for name, e in o["gains"].items()]
    return {
        "studies": str(len(outcomes)),
        "trusted": [o["trusted"] for o in outcomes],
        "any rule": [o["rules"] > 0 for o in outcomes],
        "rule x0": [bool(o["optimum"]) for o in outcomes],
        "optimum": [covered for covered, _ in rules],
        "width": f"{np.mean([width for _, width in rules]):.2f}" if rules else "-",
        "plain": [covered for covered, _ in plain],
        "its width": f"{np.mean([width for _, width in plain]):.2f}" if plain else "-",
        "gain": [covered for name, covered in gains if name == "default"],
        "gain (worst)": [covered for name, covered in gains if name == "worst"],
        "share x0": [covers(o["shares"]["x0"]) for o in outcomes if o["shares"]],
        "share x2": [covers(o["shares"]["x2"]) for o in outcomes if o["shares"]],
        "false": f"{sum(o['false'] for o in outcomes)}/{sum(o['rules'] for o in outcomes)}",
    }


def table(args):
    """Print the table; the exit status."""
    lines = [json.loads(line) for line in Path(args.file).read_text().splitlines()]
    groups = defaultdict(list)
    for line in lines:
        groups[tuple(line[key] for key in args.by)].append(line)
    order = {shape: index for index, shape in enumerate(SHAPES)}
    heads = list(measures(lines))
    print("| " + " | ".join([*args.by, *heads]) + " |")
    print("|" + "---|" * (len(heads) + len(args.by)))
    for key in sorted(groups, key=lambda key: [order.get(k, k) for k in key]):
        print_row(key, measures(groups[key]))
    real = [line for line in lines if line["shape"] != "nothing"]
    print_row(["all shapes"] + [""] * (len(args.by) - 1), measures(real))
    total = measures(real)
    rates = [np.mean(total[n]) for n in ("optimum", "gain", "gain (worst)", "share x0", "share x2")]
    wrong = sum(o["false"] for o in real) >= 0.1 * sum(o["rules"] for o in real)
    return int(wrong or not all(0.85 <= rate <= 0.97 for rate in rates))


def print_row(key, values):
    shown = [value if isinstance(value, str) else percent(value) for value in values.values()]
    print("| " + " | ".join([*map(str, key), *shown]) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="simulate, append to the file")
    running.add_argument("file")
    running.add_argument("--rounds", type=int, default=6, help="studies in a cell")
    running.add_argument("--stream", type=int, default=0, help="of seeds; 0 is the published one")
    running.add_argument("--workers", type=int, default=1)
    running.add_argument("--shapes", nargs="+", default=[s for s in SHAPES if s != "nothing"])
    running.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    running.add_argument("--noises", nargs="+", type=float, default=NOISES)
    running.add_argument("--samplers", nargs="+", default=SAMPLERS)
    printing = commands.add_parser("table", help="print the table")
    printing.add_argument("file")
    printing.add_argument("--by", nargs="+", default=["shape"])
    args = parser.parse_args()
    if args.command == "run":
        run(args)
    else:
        sys.exit(table(args))


if __name__ == "__main__":
    main()
