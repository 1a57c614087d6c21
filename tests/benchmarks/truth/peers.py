"""What other methods say of the same studies: `--peers` asks them, because they are slow.

`fanova`, `ped`: Optuna's importances, beside our main shares (both sum to 1 as Optuna gives them).
`quadratic`: a regression on each parameter and its square (categories as dummies), robust errors
(HC3; MacKinnon and White 1985), a Wald test a parameter, Benjamini and Hochberg at .05.
`gp`: a Gaussian process (Matern 5/2, a length scale each, white noise), the best point of each
parameter's curve: the mean of its predictions' best quarter, as the good region has it.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution
from scipy.stats import chi2

from hpsearch.analysis.rules.rules import discoveries
from tests.benchmarks.truth.integrals import BEST, sobol, within_branch
from tests.benchmarks.truth.shapes import Shape

LEVEL = 0.05


def _fanova(study: optuna.Study, shape: Shape, seed: int) -> dict[str, float]:
    return _importances(study, optuna.importance.FanovaImportanceEvaluator(seed=seed))


def _ped(study: optuna.Study, shape: Shape, seed: int) -> dict[str, float]:
    return _importances(study, optuna.importance.PedAnovaImportanceEvaluator())


def _importances(study: optuna.Study, evaluator: Any) -> dict[str, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in found.items()}


def _quadratic(study: optuna.Study, shape: Shape, seed: int) -> dict[str, bool]:
    """Parameter -> whether the regression finds an effect."""
    x, y = _table(study, shape)
    columns, owner = [np.ones(len(y))], [""]
    for j, (name, one) in enumerate(shape.space.items()):
        if isinstance(one, CategoricalDistribution):
            terms = [x[:, j] == level for level in np.unique(x[:, j])[1:]]
        else:
            terms = [x[:, j] - 0.5, (x[:, j] - 0.5) ** 2]
        columns += [np.asarray(term, float) for term in terms]
        owner += [name] * len(terms)
    design, owners = np.stack(columns, axis=1), np.array(owner)
    names = list(shape.space)
    p_values = [1.0] * len(names) if len(y) <= len(owner) + 5 else _wald(design, y, owners, names)
    return dict(zip(names, discoveries(p_values, LEVEL), strict=True))


def _wald(design: np.ndarray, y: np.ndarray, owners: np.ndarray, names: list[str]) -> list[float]:
    inverse = np.linalg.pinv(design.T @ design)
    beta = inverse @ design.T @ y
    leverage = np.einsum("ij,jk,ik->i", design, inverse, design)
    left = (y - design @ beta) / np.maximum(1 - leverage, 0.05)
    covariance = inverse @ (design.T * left**2) @ design @ inverse
    p_values = []
    for name in names:
        own = np.flatnonzero(owners == name)
        part = covariance[np.ix_(own, own)]
        p_values.append(float(chi2.sf(beta[own] @ np.linalg.pinv(part) @ beta[own], len(own))))
    return p_values


def _gp(study: optuna.Study, shape: Shape, seed: int) -> dict[str, float]:
    """Parameter -> the best point of its curve over the good region."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    x, y = _table(study, shape)
    encoded = _one_hot(x, shape)
    kernel = ConstantKernel() * Matern(np.ones(encoded.shape[1]), (0.05, 50), nu=2.5)
    process = GaussianProcessRegressor(kernel + WhiteKernel(0.2), normalize_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        process.fit(encoded, y * shape.sign)
    cloud, found = sobol(len(shape.space), 8), {}
    for j, name in enumerate(shape.space):
        grid = shape.levels.get(name, np.linspace(0, 1, 51))
        points = shape.points(within_branch(shape, name, cloud))
        at = np.stack(list(points.values()), axis=1)
        worth = []
        for unit in grid:
            at[:, j] = unit
            predicted = process.predict(_one_hot(at, shape))
            worth.append(np.sort(predicted)[-int(BEST * len(cloud)) :].mean())
        found[name] = float(grid[np.argmax(worth)])
    return found


def _table(study: optuna.Study, shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """Complete trials as positions (n, d), inactive parameters in the middle, and values (n,)."""
    trials = study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
    units = [shape.to_unit(trial.params) for trial in trials]
    x = np.array([[unit.get(name, 0.5) for name in shape.space] for unit in units])
    return x, np.array([trial.value for trial in trials])


def _one_hot(x: np.ndarray, shape: Shape) -> np.ndarray:
    columns = []
    for j, (name, one) in enumerate(shape.space.items()):
        if isinstance(one, CategoricalDistribution):
            columns += [np.isclose(x[:, j], level) for level in shape.levels[name]]
        else:
            columns.append(x[:, j])
    return np.stack(columns, axis=1).astype(float)


PEERS: dict[str, Callable[[optuna.Study, Shape, int], dict]] = {
    "fanova": _fanova, "ped": _ped, "quadratic": _quadratic, "gp": _gp,
}  # fmt: skip


def ask(study: optuna.Study, shape: Shape, names: list[str], seed: int) -> dict[str, Any]:
    """Each peer's answer, and the seconds it took."""
    said: dict[str, Any] = {}
    for name in names:
        started = time.process_time()
        said[name] = PEERS[name](study, shape, seed)
        said[f"{name} s"] = time.process_time() - started
    return said
