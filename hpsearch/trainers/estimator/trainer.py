"""A scikit-learn estimator as a trainer, cross-validated: `trainer = "sklearn:package.Class"`.

Each fold is an epoch: the mean over the folds so far is reported, so a pruner can end a trial after
any of them. LightGBM's and XGBoost's estimators are scikit-learn's, too.
"""

from __future__ import annotations

import importlib
import inspect
import re
import time
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Literal

import numpy as np

from hpsearch.core.own_code import INSTALLED
from hpsearch.core.words import closest, nearest
from hpsearch.errors import InputError
from hpsearch.trainers.contract import (
    EpochRecord,
    OwnTrainerBase,
    PrepareSetup,
    TrainResult,
    TrialSetup,
)
from hpsearch.trainers.estimator.folds import ARRAY, Fold, PreparedFolds, prepare_folds
from hpsearch.trainers.shared.metrics import errors, scores
from hpsearch.trainers.tabular.table.encoded_rows import EncodedRows

PREFIX = "sklearn:"
SEED = "random_state"
MOST_NATIVE = 254
"""So many categories a column of a gradient-boosted tree may have."""


class Estimator(OwnTrainerBase):
    """The trainer that an estimator is: see `hpsearch.trainers.contract.OwnTrainer`."""

    code = None

    def __init__(self, name: str) -> None:
        self.__name__ = name
        self.path = name.removeprefix(PREFIX)

    @property
    def task(self) -> Literal["classification", "regression"]:
        from sklearn.base import is_classifier

        return "classification" if is_classifier(self._new({})) else "regression"

    @property
    def metric(self) -> str:
        return "accuracy" if self.task == "classification" else "rmse"

    def defaults(self) -> dict[str, Any]:
        return dict(self._new({}).get_params())

    def find_space(
        self, settings: Mapping[str, Any], data: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, dict[str, list[Any]]]]:
        raise InputError(
            f"An estimator does not say what to search of it: declare ranges of {self.path}'s "
            "parameters in [space], or with --space max_depth=2..8."
        )

    def check(self, settings: Mapping[str, Any], space: Sequence[str]) -> None:
        known = self.defaults()
        for name in (*settings, *space):
            if name not in known:
                raise InputError(
                    f"{self.path} has no parameter {name!r}{nearest(name, known)}: it has "
                    f"{', '.join(sorted(known))}."
                )

    def prepare(
        self, data: Mapping[str, Any], settings: Mapping[str, Any], setup: PrepareSetup
    ) -> PreparedFolds:
        """Read the table in its folds. Raises InputError where it cannot be used."""
        return prepare_folds(data, self.task, setup)

    def train(
        self,
        settings: Mapping[str, Any],
        params: Mapping[str, Any],
        data: PreparedFolds,
        setup: TrialSetup,
    ) -> TrainResult:
        """Fit the estimator to each fold's training rows, and measure it on the rows held out.

        Returns:
            The mean over the folds of accuracy, f1 and log_loss of classes, or of mse, rmse, mae
            and r2 of numbers.

        Raises:
            Exception: Whatever the estimator or `setup.report` raises.
        """
        started = began = time.perf_counter()
        measured: list[dict[str, float]] = []
        for k, fold in enumerate(data.folds):
            estimator = self._new({**settings, **params}, setup.seed)
            with warnings.catch_warnings():  # of each fold of each trial: that it did not converge
                warnings.simplefilter("ignore")
                measured.append(_measure(estimator, fold, len(data.classes)))
            means = {name: float(np.mean([one[name] for one in measured])) for name in measured[0]}
            now = time.perf_counter()
            nothing = float("nan")
            setup.report(
                EpochRecord(
                    "fold", k + 1, len(data.folds), nothing, nothing, means, (), now - began
                )
            )
            began = now
        return TrainResult(means, len(measured), time.perf_counter() - started)

    def _new(self, params: Mapping[str, Any], seed: int | None = None) -> Any:  # noqa: ANN401
        """An estimator with these parameters, seeded where it takes a seed and has none.

        Raises InputError for a class that cannot be made of parameters alone.
        """
        found = _class(self.path)
        try:
            made = found()
        except TypeError as error:
            raise InputError(
                f"{self.path} cannot be made of its parameters alone ({error}): write a function "
                "that makes it and returns its score."
            ) from error
        if seed is not None and SEED in made.get_params() and SEED not in params:
            params = {**params, SEED: seed}
        return made.set_params(**params)


def _class(path: str) -> Any:  # noqa: ANN401
    """The class of an installed package. Raises InputError for anything else."""
    module, _, name = path.rpartition(".")
    if not re.fullmatch(r"\w+(\.\w+)*", path) or not module:
        raise InputError(f"{PREFIX}{path} is no class: write {PREFIX}sklearn.svm.SVC.")
    package = module.partition(".")[0]
    spec = find_spec(package)
    if spec is None:
        raise InputError(f"{PREFIX}{path} needs {package}, which is not installed: pip install it.")
    if not INSTALLED & set(Path(str(spec.origin)).parts):
        raise InputError(
            f"{PREFIX}{path}: {package} is no installed package; for an estimator of your own "
            "write a function that makes it and returns its score."
        )
    try:
        imported = importlib.import_module(module)
    except ImportError as error:
        there = [f"{package}.{one.name}" for one in iter_modules(spec.submodule_search_locations)]
        hint = "" if module in there else nearest(module, there)
        raise InputError(f"{PREFIX}{path} cannot be imported ({error}){hint}.") from error
    found = getattr(imported, name, None)
    if not _predicts(found):
        known = [one for one in dir(imported) if _predicts(getattr(imported, one, None))]
        meant = closest(name, known)
        hint = (
            f"did you mean {PREFIX}{module}.{meant}?" if meant else "write sklearn:sklearn.svm.SVC."
        )
        raise InputError(f"{PREFIX}{path} is no estimator that predicts: {hint}")
    return found


def _predicts(found: object) -> bool:
    from sklearn.base import BaseEstimator

    is_estimator = inspect.isclass(found) and issubclass(found, BaseEstimator)
    return is_estimator and hasattr(found, "fit") and hasattr(found, "predict")


def _measure(estimator: Any, fold: Fold, n_classes: int) -> dict[str, float]:  # noqa: ANN401
    native = "categorical_features" in estimator.get_params()
    if native and max(fold.levels, default=0) <= MOST_NATIVE:
        if estimator.get_params()["categorical_features"] in (None, "from_dtype"):
            columns = list(range(len(fold.levels)))
            estimator.set_params(categorical_features=columns or None)
        train, valid = (_joined(one) for one in (fold.train, fold.valid))
    else:
        train, valid = (_one_hot(one, fold.levels) for one in (fold.train, fold.valid))
    estimator.fit(train, fold.train.targets)
    truth = fold.valid.targets
    if not n_classes:
        return errors(np.asarray(estimator.predict(valid), np.float32).reshape(-1), truth)
    shares = _probabilities(estimator, valid, n_classes)
    found = scores(shares, truth)
    if hasattr(estimator, "predict_proba"):
        own = np.clip(shares[np.arange(len(truth)), truth], np.finfo(np.float32).eps, 1)
        found["log_loss"] = float(-np.log(own).mean())
    return found


def _probabilities(estimator: Any, rows: ARRAY, n_classes: int) -> ARRAY:  # noqa: ANN401
    """Of each class, (rows, classes); 1 of what is predicted where the estimator gives none."""
    shares = np.zeros((len(rows), n_classes), np.float32)
    if hasattr(estimator, "predict_proba"):
        shares[:, np.asarray(estimator.classes_, int)] = estimator.predict_proba(rows)
    else:
        shares[np.arange(len(rows)), np.asarray(estimator.predict(rows), int)] = 1
    return shares


def _joined(rows: EncodedRows) -> ARRAY:
    """The codes of the categories, then the numbers, (rows, columns)."""
    return np.concatenate([rows.codes, rows.numbers], axis=1, dtype=np.float32, casting="unsafe")


def _one_hot(rows: EncodedRows, levels: Sequence[int]) -> ARRAY:
    """A column for each category, then the numbers."""
    parts = [
        np.asarray(rows.codes[:, k, None] == np.arange(n), np.float32) for k, n in enumerate(levels)
    ]
    return np.concatenate([*parts, rows.numbers], axis=1, dtype=np.float32)
