"""Reading the trials of a study from SQLite as explain does, beside `Study.trials`.

    OMP_NUM_THREADS=1 .venv/bin/python tests/benchmarks/bench_reading.py [--trials 100000]

Each way reads in a process of its own: `Study.trials` of a freshly loaded study (once), and the
columns that explain reads, up to its frame (twice, the better), and `export` to Parquet and to CSV.
Exits with 1 below 5 times. The trials have 10 parameters, one report, cohort and seed, and are
written by `add_trials`, also timed.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import create_trial

from hpsearch.store import Store
from hpsearch.store.trials.write.finished import add_trials

WANTED = 5.0
WAYS = ("ours", "optuna", "parquet", "csv")
SPACE = {
    **{f"x{j}": FloatDistribution(1e-5, 1.0, log=True) for j in range(6)},
    "n": IntDistribution(1, 64),
    "m": IntDistribution(8, 512, log=True),
    "kind": CategoricalDistribution(["a", "b", "c"]),
    "flag": CategoricalDistribution([True, False]),
}


def make(url, count):
    rng = np.random.default_rng(0)

    def trials():
        for number in range(count):
            params = {f"x{j}": float(np.exp(rng.uniform(-11, 0))) for j in range(6)}
            params |= {"n": int(rng.integers(1, 65)), "m": int(rng.integers(8, 513))}
            params |= {"kind": "abc"[rng.integers(3)], "flag": bool(rng.integers(2))}
            value = float(rng.normal())
            yield create_trial(
                value=value, params=params, distributions=SPACE, intermediate_values={1: value},
                user_attrs={"hps_cohort": "design", "hps_seed": number},
            )  # fmt: skip

    made = list(trials())
    with Store.open(url) as store:
        study = optuna.create_study(storage=store.optuna, study_name="large")
        started = time.perf_counter()
        add_trials(store.engine, study._study_id, made)
        print(f"written in {time.perf_counter() - started:.1f} s", flush=True)


def read(url, way):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    from hpsearch.analysis.read.frame import read_study
    from hpsearch.exchange import export_study

    ways = {
        "optuna": lambda study: len(study.trials),
        "ours": lambda study: read_study(study).n_trials,
        "parquet": lambda study: export_study(study, url.removeprefix("sqlite:///") + ".parquet"),
        "csv": lambda study: export_study(study, url.removeprefix("sqlite:///") + ".csv"),
    }

    best = (np.inf, np.inf)
    for _ in range(2 if way == "ours" else 1):
        study = optuna.load_study(study_name="large", storage=url)
        started, worked = time.perf_counter(), time.process_time()
        found = ways[way](study)
        took = time.perf_counter() - started, time.process_time() - worked
        best = min(best, took)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    wall, cpu = best
    print(json.dumps({"seconds": wall, "of one core": cpu, "trials": found, "gigabytes": peak}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        read(args.url, args.way)
        return
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'large.db'}"
        make(url, args.trials)
        found = {}
        for way in WAYS:
            command = [sys.executable, __file__, "--way", way, "--url", url]
            out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            found[way] = json.loads(out)
            print(f"{way}: {found[way]}", flush=True)
    # Both are one thread that waits for nothing: a busy machine does not change this ratio.
    ratio = found["optuna"]["of one core"] / found["ours"]["of one core"]
    print(f"{ratio:.1f} times (wanted: {WANTED:g})")
    sys.exit(ratio < WANTED)


if __name__ == "__main__":
    main()
