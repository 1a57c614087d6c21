"""Two kinds of model in one search; a trial may be pruned after each fold."""

from typing import Annotated, Literal

import optuna
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import hpsearch

ROWS, LABELS = load_breast_cancer(return_X_y=True)
FOLDS = list(StratifiedKFold(4, shuffle=True, random_state=0).split(ROWS, LABELS))


def accuracy(
    trial,
    model: Literal["svm", "forest"],
    cost: Annotated[float, hpsearch.Float(0.01, 100, log=True, when={"model": "svm"})] = 1.0,
    leaf: Annotated[int, hpsearch.Int(1, 50, log=True, when={"model": "forest"})] = 1,
    seed: int = 0,
):
    if model == "svm":
        learner = make_pipeline(StandardScaler(), SVC(C=cost))
    else:
        learner = RandomForestClassifier(20, min_samples_leaf=leaf, random_state=seed)
    total = 0.0
    for done, (train, held_out) in enumerate(FOLDS, 1):
        learner.fit(ROWS[train], LABELS[train])
        total += learner.score(ROWS[held_out], LABELS[held_out])
        trial.report(total / done, done)
        if trial.should_prune():
            raise optuna.TrialPruned
    return total / len(FOLDS)
