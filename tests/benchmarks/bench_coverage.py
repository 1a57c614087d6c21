"""Do the nominal 90% intervals cover, and how many rules are false? Studies with a known truth.

    .venv/bin/python tests/benchmarks/bench_coverage.py --sims 200 --workers 2 > coverage.md

Six parameters: x0 (with x1, for the ridge) has the shape, x2 a straight line, x3 to x5 nothing.
Printed per cell: how often the forest was trusted, how often x0 got a rule; of those rules, how
many intervals hold the true optimum (a plateau: lie within it) and their mean width on the
sampling scale; how many intervals of the gain over x0 = 0.9 hold the true gain; how many intervals
of the shares of x0 and x2 hold the true shares; the share of printed rules that concern parameters
without effect; and, with --plain, the coverage and width of the plain bootstrap (argmax of refitted
forests' marginals).
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import optuna
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial

from hpsearch.analysis import explain, refits
from hpsearch.analysis.anova import decompose
from hpsearch.analysis.effects import build_grid, marginal_at
from hpsearch.analysis.forest import Settings, build_table, choose_settings, grow
from hpsearch.analysis.frame import read_study

SPACE = {f"x{j}": FloatDistribution(0.0, 1.0) for j in range(6)}
DEFAULT = 0.9
SLOPE = 0.7  # of x2, in standard deviations of the shape
EQUAL = 0.02  # how far beyond a plateau's end an interval may reach


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
GRID = (np.arange(400) + 0.5) / 400


@dataclass
class Outcome:
    """What one simulated study gave; empty lists where there was no rule."""

    trusted: bool
    rules: int
    false_rules: int
    covered: list[bool] = field(default_factory=list)
    width: list[float] = field(default_factory=list)
    gain_covered: list[bool] = field(default_factory=list)
    share_covered: list[bool] = field(default_factory=list)
    kind: str = ""
    plain: list[tuple[bool, float]] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)


def truth(shape):
    """Scale of the shape, x0's marginal (400,) in it, and the true shares of x0 and x2."""
    surface = SHAPES[shape][0](GRID[:, None], GRID[None, :])
    scale = surface.std() or 1.0
    marginal = surface.mean(axis=1) / scale
    total = (1.0 if surface.std() else 0.0) + SLOPE**2
    return scale, marginal, (marginal.var() / total, SLOPE**2 / total)


def simulate(shape, n, noise, sampler_name, seed):
    rng = np.random.default_rng(seed)
    scale, _, _ = truth(shape)
    function = SHAPES[shape][0]
    samplers = {
        "random": optuna.samplers.RandomSampler,
        "qmc": optuna.samplers.QMCSampler,
        "tpe": optuna.samplers.TPESampler,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler = samplers[sampler_name](seed=seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.set_user_attr("hps_defaults", {"x0": DEFAULT})
    slope = 0.0 if shape == "nothing" else SLOPE * np.sqrt(12)
    spread = noise * np.sqrt(1 + SLOPE**2)

    def objective(x):
        signal = function(x[0], x[1]) / scale + slope * (x[2] - 0.5)
        return float(signal + spread * rng.normal())

    if sampler_name == "random":  # the same without Optuna's overhead
        for x in rng.random((n, 6)):
            params = {f"x{j}": float(x[j]) for j in range(6)}
            study.add_trial(create_trial(params=params, distributions=SPACE, value=objective(x)))
        return study
    study.optimize(lambda t: objective([t.suggest_float(f"x{j}", 0, 1) for j in range(6)]), n)
    return study


def plain_bootstrap(study, optimum, seed, n_refits=60):
    """The spec's first try: percentiles of the argmax of refitted forests' raw marginals."""
    frame = read_study(study)
    rng = np.random.default_rng(seed)
    table = build_table(frame.axes, frame.unit, frame.value, frame.group)
    settings = Settings(choose_settings(table, rng).leaf, 1, 24)
    grid = build_grid(frame.axes[0], frame.unit[:, 0])
    best = []
    for _ in range(n_refits):
        forest = grow(table, settings, rng, resample=True)
        anova = decompose(forest, pairs=False, n_points_log2=0)
        best.append(grid.points[np.argmax(marginal_at(forest, anova, 0, grid.points))])
    low, high = np.quantile(best, [0.05, 0.95])
    return holds(low, high, optimum), high - low


def holds(low, high, optimum):
    """Covers the optimum; within the plateau where there is one."""
    if optimum[0] == optimum[1]:
        return bool(low - 1e-9 <= optimum[0] <= high + 1e-9)
    return bool(low >= optimum[0] - EQUAL and high <= optimum[1] + EQUAL)


def one(job):
    shape, n, noise, sampler, seed, n_refits, plain = job
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    refits.N_REFITS = n_refits
    study = simulate(shape, n, noise, sampler, seed)
    explanation = explain(study, seed=seed)
    optimum = SHAPES[shape][1]
    _, marginal, shares = truth(shape)
    printed = [rule for rule in explanation.rules if rule.kind != "no-effect"]
    nothing = {"x3", "x4", "x5"} if shape == "ridge" else {"x1", "x3", "x4", "x5"}
    if shape == "nothing":
        nothing = set(SPACE)
    false_rules = [rule for rule in printed if rule.param in nothing]
    outcome = Outcome(explanation.trusted, len(printed), len(false_rules))
    effect = next(e for e in explanation.effects if e.param == "x0")
    for rule in (r for r in printed if r.param == "x0" and shape != "nothing"):
        outcome.kind = rule.kind
        outcome.covered.append(holds(rule.unit_low, rule.unit_high, optimum))
        outcome.width.append(rule.unit_high - rule.unit_low)
        if rule.gain is not None:
            points = effect.unit[np.argmax(effect.mean)], DEFAULT
            at_best, at_default = np.interp(points, GRID, marginal)
            gain = at_best - at_default
            outcome.gain_covered.append(bool(rule.gain.low <= gain <= rule.gain.high))
    if explanation.trusted:
        mains = {i.params[0]: i for i in explanation.main_importances}
        outcome.share_covered = [
            bool(mains[name].low <= share <= mains[name].high)
            for name, share in zip(("x0", "x2"), shares, strict=True)
        ]
        outcome.shares = [mains["x0"].share - shares[0], mains["x2"].share - shares[1]]
    if plain:
        outcome.plain.append(plain_bootstrap(study, optimum, seed))
    return outcome


def percent(values):
    return f"{100 * np.mean(values):.0f}%" if len(values) else "-"


def summary(outcomes):
    def together(name):
        return [value for o in outcomes for value in getattr(o, name)]

    widths, plain = together("width"), together("plain")
    rules = sum(o.rules for o in outcomes)
    kinds = [o.kind for o in outcomes if o.kind]
    cells = [
        percent([o.trusted for o in outcomes]),
        percent([bool(o.covered) for o in outcomes]),
        percent(together("covered")),
        f"{np.mean(widths):.2f}" if widths else "-",
        percent(together("gain_covered")),
        percent([o.share_covered[0] for o in outcomes if o.share_covered]),
        percent([o.share_covered[1] for o in outcomes if o.share_covered]),
        f"{sum(o.false_rules for o in outcomes)}/{rules}",
        max(set(kinds), key=kinds.count) if kinds else "-",
    ]
    if plain:
        cells.append(f"{percent([p[0] for p in plain])} {np.mean([p[1] for p in plain]):.2f}")
    return cells


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sims", type=int, default=40)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--refits", type=int, default=100)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES))
    parser.add_argument("--sizes", nargs="+", type=int, default=[50, 100, 200])
    parser.add_argument("--noises", nargs="+", type=float, default=[0.2, 0.5, 1.0])
    parser.add_argument("--samplers", nargs="+", default=["random"])
    args = parser.parse_args()
    started = time.perf_counter()
    cells = list(itertools.product(args.shapes, args.sizes, args.noises, args.samplers))
    jobs = [
        (*cell, 1000 * k + 17, args.refits, args.plain) for cell in cells for k in range(args.sims)
    ]
    heads = ["shape", "trials", "noise", "sampler", "trusted", "rule", "optimum", "width", "gain"]
    heads += ["share x0", "share x2", "false", "kind"] + (["plain"] if args.plain else [])
    print("| " + " | ".join(heads) + " |")
    print("|" + "---|" * len(heads))
    everything = []
    with ProcessPoolExecutor(args.workers) as pool:
        results = pool.map(one, jobs, chunksize=2)
        for cell in cells:
            outcomes = list(itertools.islice(results, args.sims))
            everything += outcomes
            print("| " + " | ".join([*map(str, cell), *summary(outcomes)]) + " |", flush=True)
    print("| " + " | ".join(["all", "", "", "", *summary(everything)]) + " |")
    print(f"\n{len(jobs)} studies in {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
