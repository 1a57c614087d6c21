"""How much faster than fastai 2.8.12 the tabular network is on Adult, and whether it is as good.

    PYTHONPATH=.venv/lib/python3.11/site-packages:/tmp/peers/lib/python3.11/site-packages:. \
        HPSEARCH_DATA=../shared/data OMP_NUM_THREADS=1 \
        /tmp/peers/bin/python tests/benchmarks/bench_tabular_speed.py

(bench_fastai_parity.py says how to make /tmp/peers.) The lesson's recipe, whole trials of one epoch
at batch size 64 with a measurement at its end, in turns in one process; the last 2,000 rows held
out, all 14 columns. Both start from rows that are already encoded; fastai's loaders run in the
process: workers would cost it more. Exits with 1 if ours is less than 4 times as fast, or worse by
more than the standard error of the mean difference.
"""

import argparse
import statistics
import sys
import time

import torch
from fastai.data.transforms import range_of
from fastai.metrics import accuracy
from fastai.tabular.all import Categorify, FillMissing, Normalize, TabularDataLoaders
from fastai.tabular.learner import tabular_learner
from fastai.torch_core import set_seed

from hpsearch.data.tables import load_table
from hpsearch.study.spec import load_spec
from hpsearch.trainers.contract import PrepareSetup, TrialSetup
from hpsearch.trainers.tabular import train as trainer

LR, LAYERS, HELD_OUT = 1e-2, [200, 100], 2000


def fastai_loaders(spec):
    rows = load_table(spec.data, path=None, progress=lambda *_: None).table
    for name in (*spec.data["categorical"], spec.data["target"]):
        rows[name] = rows[name].astype(object).where(rows[name].notna(), "missing")
    return TabularDataLoaders.from_df(
        rows,
        procs=[Categorify, FillMissing, Normalize],
        cat_names=list(spec.data["categorical"]),
        cont_names=list(spec.data["continuous"]),
        y_names=spec.data["target"],
        valid_idx=list(range_of(rows))[-HELD_OUT:],
        bs=64,
        num_workers=0,
    )


def fastai_trial(loaders, seed):
    """(accuracy on the held-out rows, seconds) of fastai's own learner."""
    set_seed(seed)
    learner = tabular_learner(loaders, layers=LAYERS, metrics=accuracy)
    started = time.perf_counter()
    with learner.no_bar(), learner.no_logging(), learner.no_mbar():
        learner.fit_one_cycle(1, LR, wd=0.01)
    return learner.recorder.values[-1][2], time.perf_counter() - started


def our_trial(data, seed):
    started = time.perf_counter()
    result = trainer.train({}, {}, data, TrialSetup(seed=seed, device="cpu", report=lambda _: None))
    return result.metrics["accuracy"], time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    n = parser.parse_args().seeds
    spec = load_spec("adult")
    loaders = fastai_loaders(spec)
    data = trainer.prepare(spec.data, {}, PrepareSetup(data_path=None, device="cpu", say=print))
    n_train = len(data.parts["train"])
    our_trial(data, 0)  # warms up
    rows = []
    for seed in range(n):
        theirs, ours = fastai_trial(loaders, seed), our_trial(data, seed)
        rows.append((*theirs, *ours))
        print(
            f"seed {seed}: fastai accuracy {theirs[0]:.4f}, {n_train / theirs[1]:,.0f} rows/s; "
            f"ours {ours[0]:.4f}, {n_train / ours[1]:,.0f}",
            flush=True,
        )
    ratio = statistics.median(row[1] / row[3] for row in rows)
    better = [row[2] - row[0] for row in rows]
    error = statistics.stdev(better) / n**0.5
    mean = statistics.mean(better)
    print(f"{torch.get_num_threads()} thread: ours is {ratio:.1f} times as fast (wanted: 4)")
    print(f"accuracy, ours less fastai's: {mean:+.4f}, standard error {error:.4f}")
    sys.exit(ratio < 4 or mean < -error)


if __name__ == "__main__":
    main()
