"""The best that a search on u1's training part finds, on the test parts of the folds u1 to u5.

    HPSEARCH_DATA=../shared/data OMP_NUM_THREADS=1 \
        python tests/benchmarks/bench_movielens_folds.py --storage sqlite:////tmp/folds.db

Runs what is missing of 200 trials of the study `movielens` (preset cpu), all of them confined to
the training part of u1, a fifth of which is held out. The best trial's values are then trained on
each fold's whole training part, and its test part is looked at. Exits with 1 if the mean MSE of the
five folds is above .83. The study's defaults stand beside it; surprise_folds.py has a peer's
figures for the same folds.
"""

import argparse
import statistics
import sys

from calls import run
from optuna.trial import TrialState

from hpsearch import load_study
from hpsearch.data.named.movielens import FOLDS
from hpsearch.data.ratings import load_ratings
from hpsearch.store import Store
from hpsearch.study.spec import load_spec
from hpsearch.trainers.collab import train as trainer
from hpsearch.trainers.collab.config import CollabConfig
from hpsearch.trainers.collab.prepare import number_ratings
from hpsearch.trainers.contract import TrialSetup

TRIALS, WANTED, PRESET = 200, 0.83, "cpu"


def study_of_u1():
    spec = load_spec("movielens")
    settings = {**spec.settings, "fold": "u1"}
    return spec.model_copy(update={"name": "movielens-u1", "settings": settings})


def searched(spec, storage, workers):
    """The study with at least TRIALS finished trials."""
    done = 0
    with Store.open(storage) as store:
        for summary in store.studies():
            if summary.name == f"{spec.name}-{PRESET}":
                done = summary.trials
    if done >= TRIALS:
        return load_study(f"{spec.name}-{PRESET}", storage=storage)
    return run(spec, trials=TRIALS - done, preset=PRESET, storage=storage, workers=workers)


def on_folds(dataset, params, seeds):
    """Mean MSE over `seeds` on the test part of each fold."""
    found = []
    for fold in FOLDS:
        data = number_ratings(dataset, CollabConfig(fold=fold, hold_out="test"))
        results = [
            trainer.train(
                {}, params, data, TrialSetup(seed=seed, device="cpu", report=lambda _: None)
            )
            for seed in range(seeds)
        ]
        found.append(statistics.mean(result.metrics["mse"] for result in results))
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--storage", required=True)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    spec = study_of_u1()
    study = searched(spec, given.storage, given.workers)
    finished = [t for t in study.trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    print(f"{len(finished)} trials; best on held-out ratings of u1's training part: ", end="")
    print(f"{study.best_value:.4f} with {study.best_params}")
    dataset = load_ratings(spec.data, path=None, progress=lambda *_: None, say=print)
    means = {}
    for name, params in (
        ("defaults", spec.resolve(PRESET).defaults),
        ("best", study.best_params),
    ):
        found = on_folds(dataset, params, given.seeds)
        means[name] = statistics.mean(found)
        folds = " ".join(f"{value:.4f}" for value in found)
        print(f"{name}: {folds}; mean MSE {means[name]:.4f} (RMSE {means[name] ** 0.5:.4f})")
    sys.exit(means["best"] > WANTED)


if __name__ == "__main__":
    main()
