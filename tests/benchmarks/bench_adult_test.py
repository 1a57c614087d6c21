"""The best of a search on Adult, confirmed on adult.test, beside gradient-boosted trees.

    HPSEARCH_DATA=../shared/data OMP_NUM_THREADS=1 hpsearch run adult --preset cpu --trials 200 \
        --workers 1 --storage sqlite:///adult.db
    HPSEARCH_DATA=../shared/data OMP_NUM_THREADS=1 \
        python tests/benchmarks/bench_adult_test.py --storage sqlite:///adult.db

Both choose on the last 2,000 rows of adult.data by as many trials of Optuna's TPE, train what they
chose on all 32,561 rows under ten seeds, and look at the 16,281 rows of adult.test once. The trees
are scikit-learn's HistGradientBoostingClassifier on the same columns, categories as categories,
missing cells as missing; the first of their trials has its defaults.
"""

import argparse
import statistics

import numpy as np
import optuna
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

from hpsearch.data.tables import load_table
from hpsearch.study.spec import load_spec
from hpsearch.trainers.contract import PrepareSetup, TrialSetup
from hpsearch.trainers.tabular import train as trainer

SEEDS = 10
HELD_OUT = 2000


def our_accuracies(spec, params):
    data = trainer.prepare(
        spec.data, {"hold_out": "test"}, PrepareSetup(data_path=None, device="cpu")
    )
    return [
        trainer.train(
            {}, params, data, TrialSetup(seed=seed, device="cpu", report=lambda _: None)
        ).metrics["accuracy"]
        for seed in range(SEEDS)
    ]


def features(spec, dataset):
    """(training rows, test rows) of the study's columns, categories known by value, and targets."""
    named = [*spec.data["categorical"], *spec.data["continuous"]]
    train, test = dataset.table[named].copy(), dataset.test[named].copy()
    for name in spec.data["categorical"]:
        known = sorted(train[name].dropna().unique())
        train[name], test[name] = (
            pd.Categorical(rows[name].astype(object), categories=known) for rows in (train, test)
        )
    return train, test, *(np.array(t["salary"] == ">50K") for t in (dataset.table, dataset.test))


def trees(params, seed):
    return HistGradientBoostingClassifier(
        categorical_features="from_dtype", early_stopping=False, random_state=seed, **params
    )


def tuned_trees(rows, targets, n_trials):
    """The parameters that do best on the last rows."""

    def accuracy(trial):
        params = {
            "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.5, log=True),
            "max_iter": trial.suggest_int("max_iter", 30, 400, log=True),
            "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 4, 64, log=True),
            "min_samples_leaf": trial.suggest_int("min_samples_leaf", 2, 200, log=True),
            "l2_regularization": trial.suggest_float("l2_regularization", 1e-6, 100, log=True),
            "max_features": trial.suggest_float("max_features", 0.2, 1.0),
        }
        model = trees(params, 0).fit(rows[:-HELD_OUT], targets[:-HELD_OUT])
        return model.score(rows[-HELD_OUT:], targets[-HELD_OUT:])

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    study.enqueue_trial(
        {"learning_rate": 0.1, "max_iter": 100, "max_leaf_nodes": 31, "min_samples_leaf": 20,
         "l2_regularization": 1e-6, "max_features": 1.0}
    )  # fmt: skip
    study.optimize(accuracy, n_trials)
    print(f"trees: best of {n_trials} on the held-out rows {study.best_value:.4f}")
    return study.best_params


def told(name, accuracies):
    error = statistics.stdev(accuracies) / len(accuracies) ** 0.5
    print(f"{name}: adult.test {statistics.mean(accuracies):.4f}, standard error {error:.4f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--storage", required=True)
    parser.add_argument("--study", default="adult-cpu")
    asked = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    spec = load_spec("adult")
    study = optuna.load_study(study_name=asked.study, storage=asked.storage)
    print(f"network: best of {len(study.trials)} on the held-out rows {study.best_value:.4f}")
    print(study.best_params)
    dataset = load_table(spec.data, path=None, progress=lambda *_: None, say=print)
    train, test, train_targets, test_targets = features(spec, dataset)
    chosen = tuned_trees(train, train_targets, len(study.trials))
    print(chosen)
    told("network, the study's best", our_accuracies(spec, study.best_params))
    told("network, the study's defaults", our_accuracies(spec, spec.base().defaults))
    for name, params in (("trees, tuned", chosen), ("trees, scikit-learn's defaults", {})):
        models = [trees(params, seed).fit(train, train_targets) for seed in range(SEEDS)]
        told(name, [model.score(test, test_targets) for model in models])


if __name__ == "__main__":
    main()
