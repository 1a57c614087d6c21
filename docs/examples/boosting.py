"""LightGBM, which reports every fifth round; the rounds that were best are kept beside the loss."""

import lightgbm
import optuna
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

ROWS, LABELS = load_breast_cancer(return_X_y=True)
PARTS = train_test_split(ROWS, LABELS, test_size=0.3, random_state=0, stratify=LABELS)


def log_loss(trial, seed):
    params = {
        "objective": "binary",
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.5, log=True),
        "num_leaves": trial.suggest_int("num_leaves", 2, 64, log=True),
        "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 1, 50),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.3, 1.0),
        "verbosity": -1,
        "num_threads": 1,
        "seed": seed,
    }
    train, held_out, train_labels, held_out_labels = PARTS
    data = lightgbm.Dataset(train, train_labels)
    valid = lightgbm.Dataset(held_out, held_out_labels, reference=data)

    def report(env):
        if (env.iteration + 1) % 5 == 0:
            trial.report(env.evaluation_result_list[0][2], env.iteration + 1)
            if trial.should_prune():
                raise optuna.TrialPruned

    booster = lightgbm.train(
        params,
        data,
        num_boost_round=60,
        valid_sets=[valid],
        callbacks=[report, lightgbm.early_stopping(10, verbose=False)],
    )
    trial.set_user_attr("rounds", booster.best_iteration)
    return booster.best_score["valid_0"]["binary_logloss"]
