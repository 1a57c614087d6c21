"""When explain cannot tell, do as many more trials as it asks for make it tell?

    OMP_NUM_THREADS=1 .venv/bin/python tests/benchmarks/bench_more_trials.py [--studies 60]

Studies of six parameters, two of which matter (surfaces.py), too small or too noisy to
be trusted at first. Each is continued by as many trials as the explanation asked for, up to 600 in
all, and explained again. Printed: how many were asked for, how often the forest was then trusted,
and how often a rule came out. Exits with 1 if that is fewer than 60% trusted.
"""

from __future__ import annotations

import argparse
import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import optuna
from surfaces import simulate

from hpsearch.analysis import explain

MOST = 600


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--studies", type=int, default=60)
    parser.add_argument("--seed", type=int, default=500)
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rng = np.random.default_rng(args.seed)
    asked, minimal, trusted, ruled, hopeless, seed = [], [], [], [], 0, args.seed
    while len(asked) + hopeless < args.studies:
        seed += 1
        shape = str(rng.choice(["peak", "skewed", "plateau", "edge", "two peaks"]))
        n, noise = int(rng.integers(15, 60)), float(rng.choice([0.7, 1.0, 1.5]))
        first = explain(simulate(shape, n, noise, "random", seed))
        if first.trusted:
            continue
        if first.more_trials is None:
            hopeless += 1
            continue
        more = min(first.more_trials, MOST - n)
        second = explain(simulate(shape, n + more, noise, "random", seed))
        asked.append(first.more_trials)
        trusted.append(second.trusted)
        ruled.append(bool(second.rules))
        minimal.append(n)
        print(shape, n, noise, "asked for", more, "trusted" if second.trusted else "-",
              len(second.rules), "rules", flush=True)  # fmt: skip
    print(f"{len(asked)} studies of {np.median(minimal):.0f} trials asked for "
          f"{np.median(asked):.0f} more (10% to 90%: {np.quantile(asked, 0.1):.0f} to "
          f"{np.quantile(asked, 0.9):.0f}); then {np.mean(trusted):.0%} trusted, "
          f"{np.mean(ruled):.0%} with a rule; {hopeless} asked for none")  # fmt: skip
    sys.exit(int(np.mean(trusted) < 0.6))


if __name__ == "__main__":
    main()
