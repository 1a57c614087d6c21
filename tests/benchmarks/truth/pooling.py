"""Do the intervals of several studies together cover? Studies with a known truth.

    .venv/bin/python tests/benchmarks/truth/pooling.py numbers          # 5 minutes
    .venv/bin/python tests/benchmarks/truth/pooling.py curves           # 3 minutes
    .venv/bin/python tests/benchmarks/truth/pooling.py moderators       # 1 minute
    .venv/bin/python tests/benchmarks/truth/pooling.py explained        # 30 minutes

All intervals are of 90%; tau is the spread between studies in units of a study's standard error.
`--seed 1` was for choosing settings, others are for reporting. `numbers` exits with 1 where the
interval of the mean covers fewer than 85% or more than 95%.

`numbers`: one number from k studies, with equal errors or errors that differ (log-normal, .6).
Share of 3,000 sets whose interval holds the mean, and whose prediction interval holds one more
study's number: ours, beside DerSimonian and Laird's with normal quantiles and the interval of
Higgins, Thompson and Spiegelhalter, and beside the modified one of Knapp and Hartung.

`curves`: k studies show a curve with smooth noise of a known size: a peak, a cliff (accuracy rises
and then falls five times as fast), and a peak beyond the edge. Heights differ by a factor
(log-normal, .4). Share of sets in which the rule's stretch holds the best value of the mean of all
curves, its width; whether a new study's own best lies where it is expected; whether the rule costs
a new study no more than it may have to pay; what it costs on average beside what it was said to
cost; and the same of the gain over a default.

`moderators`: k studies differ in five things. None moves the best value, or their rows do, by 2, 4
or 8 standard errors for ten times as many. Share of sets in which the rows are named (p up to .05,
corrected), and in which anything else is.

`explained`: the same for the peak from the trials on: each study has 60 random trials of two
parameters and is explained.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import optuna
from scipy import stats

from hpsearch.analysis import explain
from hpsearch.analysis.pool_studies import pool_studies
from hpsearch.analysis.pooling.left_out import when_left_out
from hpsearch.analysis.pooling.moderators import moderators
from hpsearch.analysis.pooling.pooled_curve import StudyCurve, piece, pool_curves, rules_without
from hpsearch.analysis.pooling.random_effects import pool_rows, random_effects
from hpsearch.analysis.pooling.results import CLEAR

LEVEL = 0.9
TAUS = (0.0, 1.0, 2.0)
X = np.linspace(0, 1, 51)
NOISE, LENGTH = 0.1, 0.2  # of a curve, and how far it reaches
SMOOTH = np.linalg.cholesky(np.exp(-0.5 * ((X[:, None] - X) / LENGTH) ** 2) + 1e-8 * np.eye(51))
HEIGHT, HEIGHTS = 4.0, 0.4
ERROR = NOISE / LENGTH / (2 * HEIGHT)  # of a peak's place: its slope's over its curvature
DEFAULT = 40  # a place
N_TRUE = 4000  # studies whose mean is the truth


def peak(centre, height):
    return -height * (X - centre) ** 2


def cliff(centre, height):
    return height * 0.4 * np.where(centre >= X, X - centre, 5 * (centre - X))


SHAPES = {"peak": (peak, 0.5), "cliff": (cliff, 0.6), "edge": (peak, 1.05)}


def numbers(rng, k, tau, differ, n=3000):
    """Coverage of mean and of a new study, for three methods."""
    errors = np.exp(rng.normal(0, differ, (n, k)))
    y = rng.normal(0, tau, (n, k)) + errors * rng.normal(size=(n, k))
    new = rng.normal(0, tau, n)
    ours = pool_rows(y, errors, LEVEL)
    found = [np.mean((ours.low <= 0) & (ours.high >= 0)),
             np.mean((ours.new_low <= new) & (ours.new_high >= new))]  # fmt: skip
    w = errors**-2.0
    mean = (w * y).sum(1) / w.sum(1)
    q = (w * (y - mean[:, None]) ** 2).sum(1)
    tau2 = np.maximum((q - k + 1) / (w.sum(1) - (w**2).sum(1) / w.sum(1)), 0)
    w = 1 / (errors**2 + tau2[:, None])
    mean, error = (w * y).sum(1) / w.sum(1), w.sum(1) ** -0.5
    q = (w * (y - mean[:, None]) ** 2).sum(1) / (k - 1)
    t = stats.t.ppf((1 + LEVEL) / 2, k - 1)
    found.append(np.mean(np.abs(mean) <= stats.norm.ppf((1 + LEVEL) / 2) * error))
    found.append(np.mean(np.abs(mean) <= t * error * np.sqrt(np.maximum(q, 1))))
    if k > 2:
        t = stats.t.ppf((1 + LEVEL) / 2, k - 2)
        found.append(np.mean(np.abs(new - mean) <= t * np.sqrt(tau2 + error**2)))
    return [*found, np.nan][:5]


def drawn(rng, shape, tau):
    """The curve of a study drawn at random."""
    function, centre = SHAPES[shape]
    return function(rng.normal(centre, tau * ERROR), HEIGHT * np.exp(rng.normal(0, HEIGHTS)))


def shown(rng, curve):
    noise = NOISE * np.exp(rng.normal(0, 0.4))
    score = curve + noise * SMOOTH @ rng.normal(size=len(X))
    return StudyCurve(score, score + noise * rng.normal(size=(100, len(X))) @ SMOOTH.T, DEFAULT)


def one_set(rng, shape, k, tau, truth):
    curves = [shown(rng, drawn(rng, shape, tau)) for _ in range(k)]
    pooled = pool_curves(curves, LEVEL, X)
    best = [X[np.argmax(one.score)] for one in curves]
    spread = random_effects(np.array(best), np.array([o.best_error(X) for o in curves]), LEVEL)
    loss, gain = when_left_out(curves, rules_without(curves), LEVEL)
    new = drawn(rng, shape, tau)
    stretch = piece(pooled.inside, pooled.best)
    here = float(X[np.argmax(new)])
    costs, gains = new.max() - new[pooled.best], new[pooled.best] - new[DEFAULT]
    step = X[1] / 2
    return (
        stretch[0] <= truth <= stretch[-1], X[stretch[-1]] - X[stretch[0]],
        spread.new_low - step <= here <= spread.new_high + step, costs <= loss.new_high + 1e-9,
        costs, loss.mean, gain.new_low <= gains <= gain.new_high, gains, gain.mean,
    )  # fmt: skip


def moderated(rng, k, tau, moves):
    """(the rows are named, something else is named), of `moves` for each tenfold of rows."""
    rows = 10 ** rng.uniform(3, 6, k)
    facts = [
        {"rows": float(n), "layers": int(rng.integers(1, 5)), "preset": ["quick", "cpu"][i % 2],
         "trainer": ["tabular", "own"][int(rng.integers(2))], "perplexity": rng.normal(40, 5)}
        for i, n in enumerate(rows)
    ]  # fmt: skip
    errors = np.exp(rng.normal(0, 0.4, k))
    best = moves * np.log10(rows) + rng.normal(0, tau, k) + errors * rng.normal(size=k)
    named = {one.name for one in moderators(facts, best, errors, LEVEL) if one.p_value <= CLEAR}
    return "rows" in named, bool(named - {"rows"})


def explained_set(rng, k, tau):
    """(the stretch holds the best value, width, a new study's best is where it is expected)."""
    found = []
    for index in range(k):
        centre, height = rng.normal(0.5, tau * 0.04), HEIGHT * np.exp(rng.normal(0, HEIGHTS))
        study = optuna.create_study(study_name=f"s{index}", direction="maximize")
        space = {name: optuna.distributions.FloatDistribution(0, 1) for name in ("x", "z")}
        for x, z in rng.random((60, 2)):
            value = -height * (x - centre) ** 2 + 0.5 * z + 0.2 * rng.normal()
            study.add_trial(
                optuna.create_trial(params={"x": x, "z": z}, distributions=space, value=value)
            )
        found.append(explain(study))
    one = next(one for one in pool_studies(found).optima if one.param == "x")
    new = np.clip(rng.normal(0.5, tau * 0.04), 0, 1)
    error = np.std([part.best - 0.5 for part in one.parts])
    return one.low <= 0.5 <= one.high, one.high - one.low, one.new_low <= new <= one.new_high, error


def main():
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("numbers", "curves", "moderators", "explained"))
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=40)
    args = parser.parse_args()
    start = time.monotonic()
    if args.what == "numbers":
        good = True
        print("errors | studies | tau | mean | new | DL normal | mod. KH | HTS new")
        for differ in (0.0, 0.6):
            for k in (2, 3, 5, 10):
                for tau in TAUS:
                    rng = np.random.default_rng([args.seed, k, int(tau), int(10 * differ)])
                    covered = numbers(rng, k, tau, differ)
                    good &= 0.85 <= covered[0] <= 0.95
                    found = " | ".join(f"{v:.3f}" for v in covered)
                    print(f"{differ} | {k} | {tau:.0f} | {found}", flush=True)
        sys.exit(int(not good))
    elif args.what == "curves":
        print("shape | studies | tau | best held | width | new best held | cost held | costs | "
              "said | gain held | gains | said")  # fmt: skip
        for shape in SHAPES:
            for tau in TAUS:
                rng = np.random.default_rng([args.seed, 0])
                truth = int(np.argmax(np.mean([drawn(rng, shape, tau) for _ in range(N_TRUE)], 0)))
                for k in (2, 3, 5, 10):
                    rng = np.random.default_rng([args.seed, k, int(tau)])
                    sets = [one_set(rng, shape, k, tau, truth) for _ in range(args.rounds)]
                    found = " | ".join(f"{v:.3f}" for v in np.mean(sets, axis=0))
                    print(f"{shape} | {k} | {tau:.0f} | {found}", flush=True)
    elif args.what == "moderators":
        print("studies | tau | moves | rows named | another named")
        for k in (5, 6, 8, 12):
            for tau in TAUS:
                for moves in (0, 2, 4, 8):
                    rng = np.random.default_rng([args.seed, k, int(tau), moves])
                    sets = [moderated(rng, k, tau, moves) for _ in range(10 * args.rounds)]
                    found = " | ".join(f"{v:.3f}" for v in np.mean(sets, axis=0))
                    print(f"{k} | {tau:.0f} | {moves} | {found}", flush=True)
    else:
        print("studies | tau | best held | width | new best held | spread of optima")
        for k in (2, 3, 6):
            for tau in (0.0, 2.0):
                rng = np.random.default_rng([args.seed, k, int(tau)])
                sets = [explained_set(rng, k, tau) for _ in range(args.rounds)]
                found = " | ".join(f"{v:.3f}" for v in np.mean(sets, axis=0))
                print(f"{k} | {tau:.0f} | {found}", flush=True)
    print(f"{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
