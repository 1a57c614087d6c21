"""How much faster than fastai 2.8.12 collaborative filtering is, and whether it is as good.

    PYTHONPATH=.venv/lib/python3.11/site-packages:/tmp/peers/lib/python3.11/site-packages:. \
        HPSEARCH_DATA=../shared/data OMP_NUM_THREADS=1 \
        /tmp/peers/bin/python tests/benchmarks/bench_collab_speed.py

(bench_fastai_parity.py says how to make /tmp/peers.) MovieLens 100K, 10% held out, one thread, in
turns in one process: the published recipe, whole trials with a measurement after every epoch.
fastai's loaders run in the process: workers would cost it more. Exits with 1 if ours is less than
4 times as fast, or worse by more than the standard error of the mean difference of all squared
errors' means (the held-out ratings are the same). Ours is the better one by more than that: with
the same batches the two are equal (bench_collab_parity.py), but fastai's loader of tables
(TabWeightedDL) draws with replacement, so that an epoch has 63% of the ratings, some of them twice.
"""

import argparse
import statistics
import sys
import time

import pandas as pd
import torch
from bench_movielens import RECIPE
from fastai.collab import CollabDataLoaders, collab_learner
from fastai.torch_core import set_seed

from hpsearch.data.ratings import load_ratings
from hpsearch.trainers.collab import train as trainer
from hpsearch.trainers.collab.config import CollabConfig
from hpsearch.trainers.collab.prepare import number_ratings
from hpsearch.trainers.contract import TrialSetup


def prepared(dataset, seed):
    """(our data; fastai's ratings, the training ones first; how many these are)."""
    data = number_ratings(dataset, CollabConfig(valid_share=0.1, split_seed=seed))
    parts = [
        pd.DataFrame({"user": part.users, "item": part.items, "rating": part.values})
        for part in (data.train, data.valid)
    ]
    return data, pd.concat(parts, ignore_index=True), len(data.train)


def fastai_trial(table, n_train, seed):
    """(held-out MSE, seconds of training and measuring) of fastai's own learner."""
    set_seed(seed)
    import fastai.collab as module

    split = (list(range(n_train)), list(range(n_train, len(table))))
    module.RandomSplitter = lambda **_: lambda _: split  # from_df knows no other
    loaders = CollabDataLoaders.from_df(table, bs=RECIPE["bs"], num_workers=0)
    learner = collab_learner(loaders, RECIPE["n_factors"], y_range=(0, 5.5))
    started = time.perf_counter()
    with learner.no_bar(), learner.no_logging(), learner.no_mbar():
        learner.fit_one_cycle(RECIPE["epochs"], RECIPE["lr"], wd=RECIPE["wd"])
    return learner.recorder.values[-1][1], time.perf_counter() - started


def our_trial(data, seed):
    started = time.perf_counter()
    result = trainer.train(
        {}, RECIPE, data, TrialSetup(seed=seed, device="cpu", report=lambda _: None)
    )
    return result.metrics["mse"], time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    n = parser.parse_args().seeds
    source = {"source": "movielens-100k"}
    dataset = load_ratings(source, path=None, progress=lambda *_: None, say=print)
    our_trial(prepared(dataset, 0)[0], 0)  # warms up
    rows = []
    for seed in range(n):
        data, table, n_train = prepared(dataset, seed)
        theirs, ours = fastai_trial(table, n_train, seed), our_trial(data, seed)
        rows.append((*theirs, *ours))
        rate = RECIPE["epochs"] * n_train
        print(
            f"seed {seed}: fastai MSE {theirs[0]:.4f}, {rate / theirs[1]:,.0f} ratings/s; "
            f"ours {ours[0]:.4f}, {rate / ours[1]:,.0f}",
            flush=True,
        )
    ratio = statistics.median(row[1] / row[3] for row in rows)
    worse = [row[2] - row[0] for row in rows]
    error = statistics.stdev(worse) / n**0.5
    mean = statistics.mean(worse)
    print(f"{torch.get_num_threads()} thread: ours is {ratio:.1f} times as fast (wanted: 4)")
    print(f"MSE, ours less fastai's: {mean:+.4f}, standard error {error:.4f}")
    sys.exit(ratio < 4 or mean > error)


if __name__ == "__main__":
    main()
