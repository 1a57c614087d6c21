"""Trials an hour of a study of 64 trials, beside fastai 2.8.12 with Optuna.

    HPSEARCH_DATA=../shared/data python tests/benchmarks/bench_study_speed.py [--kind collab]

(bench_fastai_parity.py says how to make /tmp/peers.) The lesson's recipes, of which only rates,
weight decay and (collab) factors are searched: MovieLens 100K, a fifth held out, 5 epochs; Adult,
the last 2,000 rows held out, 1 epoch, layers 200/100; batch size 64.

Ours is `hpsearch run --workers 2 --pruner none` from its start to its end: data read, 64 trials,
every epoch in a SQLite store; without pruning, so that all trials have all their epochs. fastai's
is what one would write: two processes with a thread each, in each one the data loaders made once,
then learners in a plain Optuna loop on one SQLite study, measured for fewer trials and scaled: the
time to the first trial once, that of a trial 64 / 2 times. Its loaders run in the process: workers
would cost it more. Exits with 1 if ours makes less than 12 times as many. Processor seconds are
printed too: on a machine with other work they say more than the clock.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import optuna

TRIALS, WORKERS, WANTED = 64, 2, 12.0
STUDIES = {
    "collab": """
name = "movielens-speed"
trainer = "collab"
metric = "mse"
direction = "minimize"
data = { source = "movielens-100k" }
settings = { valid_share = 0.2, epochs = 5, bs = 64 }
space.lr = { low = 1e-3, high = 3e-2, log = true, default = 5e-3 }
space.wd = { low = 1e-2, high = 1.0, log = true, default = 0.1 }
space.n_factors = { type = "int", low = 20, high = 100, log = true, default = 50 }
presets.quick.trials = 64
""",
    "tabular": """
name = "adult-speed"
trainer = "tabular"
metric = "accuracy"
direction = "maximize"
data = { source = "adult", target = "salary", split = { last = 2000 } }
settings = { layers = "200/100", epochs = 1, bs = 64 }
space.lr = { low = 1e-3, high = 3e-2, log = true, default = 1e-2 }
space.wd = { low = 1e-3, high = 0.3, log = true, default = 1e-2 }
presets.quick.trials = 64
""",
}


def ours(kind, folder):
    """(seconds of the whole study, those of processors)."""
    (folder / "study.toml").write_text(STUDIES[kind])
    storage = f"sqlite:///{folder}/ours.db"
    command = [sys.executable, "-m", "hpsearch", "run", str(folder / "study.toml")]
    command += ["--preset", "quick", "--trials", str(TRIALS), "--workers", str(WORKERS)]
    command += ["--pruner", "none", "--storage", storage]
    started, busy = time.perf_counter(), processor_seconds()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds, busy = time.perf_counter() - started, processor_seconds() - busy
    (study,) = optuna.get_all_study_names(storage)
    trials = optuna.load_study(study_name=study, storage=storage).trials
    assert len(trials) == TRIALS
    assert all(trial.state.name == "COMPLETE" for trial in trials)
    values = sorted(trial.value for trial in trials)
    print(
        f"ours: {TRIALS} trials in {seconds:.1f} s, processors busy for {busy:.1f} s; values from "
        f"{values[0]:.4f} to {values[-1]:.4f}, median {statistics.median(values):.4f}",
        flush=True,
    )
    return seconds, busy


def processor_seconds():
    """Of all processes that this one started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def theirs(kind, folder, python, n):
    """(seconds to the first trial, of a trial, of processors in a trial) of two processes at
    once."""
    site = Path(python).parent.parent / "lib/python3.11/site-packages"
    here = [next(p for p in sys.path if p.endswith("site-packages")), str(site), str(Path.cwd())]
    environment = {**os.environ, "PYTHONPATH": ":".join(here), "OMP_NUM_THREADS": "1"}
    command = [
        python,
        __file__,
        "--kind",
        kind,
        "--fastai",
        str(folder / "fastai.db"),
        "--trials",
        str(n),
    ]
    # Two processes that make one SQLite study at once are in each other's way.
    optuna.create_study(
        study_name=kind,
        storage=f"sqlite:///{folder}/fastai.db",
        direction="minimize" if kind == "collab" else "maximize",
    )
    started = time.time()
    running = [
        subprocess.Popen([*command, "--seed", str(i)], env=environment, stdout=subprocess.PIPE)
        for i in range(WORKERS)
    ]
    told = [json.loads(process.communicate()[0].splitlines()[-1]) for process in running]
    begun = statistics.mean(one["began"] for one in told) - started
    trial = statistics.mean(second for one in told for second in one["seconds"])
    busy = statistics.mean(second for one in told for second in one["busy"])
    values = [value for one in told for value in one["values"]]
    print(
        f"fastai: first trial after {begun:.1f} s, {WORKERS} x {n} trials of {trial:.2f} s, of a "
        f"processor {busy:.2f} s; values {' '.join(f'{value:.4f}' for value in values)}"
    )
    return begun, trial, busy


def collab_trials():
    """A function that trains one fastai recommender for a trial, and returns its held-out MSE."""
    import pandas as pd
    from fastai.collab import CollabDataLoaders, collab_learner

    from hpsearch.data.ratings import load_ratings

    source = {"source": "movielens-100k"}
    ratings = load_ratings(source, path=None, progress=lambda *_: None).ratings
    table = pd.DataFrame({name: ratings[name] for name in ("user", "item", "rating")})
    loaders = CollabDataLoaders.from_df(table, valid_pct=0.2, seed=0, bs=64, num_workers=0)

    def train(trial):
        lr, wd = trial.suggest_float("lr", 1e-3, 3e-2, log=True), wd_of(trial, 1e-2, 1.0)
        n_factors = trial.suggest_int("n_factors", 20, 100, log=True)
        learner = collab_learner(loaders, n_factors, y_range=(0, 5.5))
        fit(learner, 5, lr, wd)
        return learner.recorder.values[-1][1]

    return train


def tabular_trials():
    """The same of a network on Adult: its held-out accuracy."""
    from fastai.metrics import accuracy
    from fastai.tabular.all import (
        Categorify,
        CategoryBlock,
        FillMissing,
        Normalize,
        TabularDataLoaders,
        tabular_learner,
    )

    from hpsearch.data.tables import load_table

    table = load_table({"source": "adult"}, path=None, progress=lambda *_: None).table
    names = [name for name in table if name != "salary"]
    numbers = [name for name in names if table[name].dtype.kind in "if"]
    loaders = TabularDataLoaders.from_df(
        table.astype({name: object for name in table if name not in numbers}),
        procs=[Categorify, FillMissing, Normalize],
        cat_names=[name for name in names if name not in numbers],
        cont_names=numbers,
        y_names="salary",
        y_block=CategoryBlock(),
        valid_idx=list(range(len(table) - 2000, len(table))),
        bs=64,
        num_workers=0,
    )

    def train(trial):
        lr, wd = trial.suggest_float("lr", 1e-3, 3e-2, log=True), wd_of(trial, 1e-3, 0.3)
        learner = tabular_learner(loaders, layers=[200, 100], metrics=accuracy)
        fit(learner, 1, lr, wd)
        return learner.recorder.values[-1][2]

    return train


def wd_of(trial, low, high):
    return trial.suggest_float("wd", low, high, log=True)


def fit(learner, epochs, lr, wd):
    with learner.no_bar(), learner.no_logging(), learner.no_mbar():
        learner.fit_one_cycle(epochs, lr, wd=wd)


def fastai_process(kind, database, n, seed):
    """Run n trials in this process and print when it began them and how long each took."""
    import torch

    torch.set_num_threads(1)
    train = collab_trials() if kind == "collab" else tabular_trials()
    study = optuna.load_study(
        study_name=kind,
        storage=f"sqlite:///{database}",
        sampler=optuna.samplers.TPESampler(seed=seed),
    )
    began, seconds, busy, values = time.time(), [], [], []

    def objective(trial):
        values.append(train(trial))
        return values[-1]

    for _ in range(n):
        started, worked = time.perf_counter(), time.process_time()
        study.optimize(objective, n_trials=1)
        seconds.append(time.perf_counter() - started)
        busy.append(time.process_time() - worked)
    print(json.dumps({"began": began, "seconds": seconds, "busy": busy, "values": values}))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", nargs="+", choices=STUDIES, default=list(STUDIES))
    parser.add_argument("--peer", default="/tmp/peers/bin/python")
    parser.add_argument("--trials", type=int, default=2, help="of each of fastai's processes")
    parser.add_argument("--fastai", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.fastai:
        fastai_process(given.kind[0], given.fastai, given.trials, given.seed)
        return
    ratios = []
    for kind in given.kind:
        with tempfile.TemporaryDirectory() as name:
            print(f"{kind}:", flush=True)
            seconds, busy = ours(kind, Path(name))
            begun, trial, peer_busy = theirs(kind, Path(name), given.peer, given.trials)
        peer = begun + trial * TRIALS / WORKERS
        ratios.append(peer / seconds)
        print(
            f"trials an hour: ours {3600 * TRIALS / seconds:,.0f}, fastai with Optuna "
            f"{3600 * TRIALS / peer:,.0f}: {ratios[-1]:.1f} times (wanted: {WANTED:.0f}); by "
            f"processor seconds, our start included: {peer_busy * TRIALS / busy:.1f} times",
            flush=True,
        )
    sys.exit(min(ratios) < WANTED)


if __name__ == "__main__":
    main()
