"""Trials on Adult side by side beside the same trials alone: what they come to, what they cost.

    HPSEARCH_DATA=../shared/data OMP_NUM_THREADS=1 python tests/benchmarks/bench_stack.py

32 configurations (rates, decays, dropouts, widths drawn at random), one epoch at batch size 64, the
last 2,000 rows held out: held-out accuracy and training loss, in stacks less alone. Then the time
of a trial with layers 200/100 in stacks of several sizes, in turns, in processor seconds, and what
its matrix products alone take: the floor. Exits with 1 if the mean difference in accuracy is above
its standard error.
"""

import argparse
import statistics
import sys
import time

import numpy as np
import torch

from hpsearch.study.spec import load_spec
from hpsearch.trainers.contract import Member, PrepareSetup, TrialSetup
from hpsearch.trainers.tabular import train as trainer

N, SIZES = 32, (1, 2, 4, 6, 8)
SETTINGS = {"layers": "200/100", "epochs": 1, "bs": 64}


def configurations():
    rng = np.random.default_rng(0)
    return [
        {
            "lr": float(10 ** rng.uniform(-3, -1.5)),
            "wd": float(10 ** rng.uniform(-3, -0.5)),
            "drop": float(rng.choice([0.0, rng.uniform(0, 0.5)])),
            "emb_drop": float(rng.choice([0.0, rng.uniform(0, 0.3)])),
            "layers": f"{rng.integers(50, 250)}/{rng.integers(20, 150)}",
        }
        for _ in range(N)
    ]


def in_stacks(data, params, size):
    """Records and results of the trials, `size` at a time."""
    records, results = {}, {}
    for start in range(0, len(params), size):
        places = range(start, min(start + size, len(params)))
        given = [
            Member(params[i], TrialSetup(i, "cpu", lambda one, i=i: records.update({i: one})))
            for i in places
        ]
        for place, end in trainer.train_side_by_side(SETTINGS, given, data):
            results[places[place]] = end
    return [(records[i].train_loss, results[i].metrics["accuracy"]) for i in range(len(params))]


def alone(data, params):
    found = []
    for seed, one in enumerate(params):
        records = []
        result = trainer.train(
            SETTINGS, one, data, TrialSetup(seed=seed, device="cpu", report=records.append)
        )
        found.append((records[0].train_loss, result.metrics["accuracy"]))
    return found


def compare(data, size):
    params = configurations()
    pairs = list(zip(in_stacks(data, params, size), alone(data, params), strict=True))
    differences = [a[1] - b[1] for a, b in pairs]
    mean, error = statistics.mean(differences), statistics.stdev(differences) / N**0.5
    loss = max(abs(a[0] / b[0] - 1) for a, b in pairs)
    print(
        f"{N} configurations in stacks of {size}, less alone: accuracy {mean:+.6f}, standard error "
        f"{error:.6f}; training losses differ by at most {loss:.1e}; the same to the bit: "
        f"{sum(a == b for a, b in pairs)}"
    )
    return abs(mean) <= error


def products(data):
    """Processor seconds of a trial's matrix products in a loop of nothing else."""
    n_in = data.parts["train"].numbers.shape[1] + sum(
        min(600, round(1.6 * n**0.56)) for n in data.encoding.preprocessor.n_categories
    )
    shapes = [(64, n_in, 200), (64, 200, 100)]
    given = [
        (torch.randn(b, n), torch.randn(m, n), torch.randn(b, m), torch.empty(m, n))
        for b, n, m in shapes
    ]
    steps, started = len(data.parts["train"]) // 64 + 1, time.process_time()
    for _ in range(steps):
        for x, weight, back, grad in given:
            x @ weight.t()
            torch.mm(back.t(), x, out=grad)
            back @ weight
    seconds = time.process_time() - started
    flops = steps * sum(6 * b * n * m for b, n, m in shapes)
    return seconds, flops / seconds / 1e9


def times(data, rounds):
    found = {size: [] for size in SIZES}
    floors = []
    for _ in range(rounds):
        for size in SIZES:
            started = time.process_time()
            in_stacks(data, [{"lr": 0.01}] * size, size)
            found[size].append((time.process_time() - started) / size)
        floors.append(products(data))
    for size, seconds in found.items():
        print(
            f"a trial in a stack of {size}: {min(seconds):.3f} processor seconds at best, "
            f"{statistics.median(seconds):.3f} in the median"
        )
    seconds, speed = min(floors)
    print(f"its matrix products alone: {seconds:.3f} at best, {speed:.0f} GFLOP/s")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=6)
    given = parser.parse_args()
    torch.set_num_threads(1)
    spec = load_spec("adult")
    data = trainer.prepare(spec.data, {}, PrepareSetup(data_path=None, device="cpu", say=print))
    in_stacks(data, [{}], 1)  # warms up
    alike = compare(data, given.size)
    times(data, given.rounds)
    sys.exit(not alike)


if __name__ == "__main__":
    main()
