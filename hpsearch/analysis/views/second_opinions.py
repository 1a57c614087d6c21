"""What two other methods say about each parameter, beside the ANOVA's shares
(method.md, section 3).

Permutation importance (Breiman 2001) is the out-of-bag R2 that the forest loses when a parameter is
shuffled among the trials. It counts interactions; for independent parameters it is about twice the
parameter's total share of the variance. PED-ANOVA (Watanabe, Bansal and Hutter 2023; Optuna's own
code) answers another question: what separates the best tenth of the trials from all of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import StudyDirection

from hpsearch.analysis.read.axes import Axis, Floats
from hpsearch.analysis.read.frame import COMPLETE, Frame
from hpsearch.analysis.read.subspaces import Subspace
from hpsearch.analysis.surrogate.fit import Fit
from hpsearch.analysis.surrogate.forest import Forest, r2

N_SHUFFLES = 10
MAX_ROWS = 2000  # trials that are shuffled: more would not change the second digit
MAX_TRIALS = 5000  # that PED-ANOVA is given, evenly spaced
TOP = 0.1  # the best tenth, Optuna's default
MIN_TOP_TRIALS = 5  # "preferable", says Optuna's documentation


@dataclass(frozen=True)
class SecondOpinion:
    """One parameter: the loss of R2 with its standard deviation over shuffles, and PED-ANOVA.

    None where a method has no answer: the exact surrogate has no out-of-bag trials, and PED-ANOVA
    wants five trials in the best tenth. The PED-ANOVA of all parameters sums to 1.
    """

    param: str
    permutation: float | None
    permutation_sd: float | None
    ped_anova: float | None


def second_opinions(
    frame: Frame, fits: Sequence[tuple[Subspace, Fit]], seed: int
) -> tuple[SecondOpinion, ...]:
    """One for each reported parameter; conditional ones are shuffled within their branch."""
    separate = ped_anova(frame)
    found: list[SecondOpinion] = []
    for space, fitted in fits:
        rng = np.random.default_rng([seed, len(found)])
        columns = [j for j, column in enumerate(space.columns) if column in space.reported]
        lost = permutation_importance(fitted.forest, columns, rng)
        for j, losses in zip(columns, lost, strict=True):
            name = frame.axes[space.columns[j]].name
            seen = bool(np.isfinite(losses).all())
            mean, sd = (float(losses.mean()), float(losses.std(ddof=1))) if seen else (None, None)
            found.append(SecondOpinion(name, mean, sd, separate.get(name)))
    return tuple(found)


def permutation_importance(
    forest: Forest, columns: Sequence[int], rng: np.random.Generator
) -> Floats:
    """Out-of-bag R2 lost when a column of the forest's table is shuffled, (columns, N_SHUFFLES).

    NaN for a forest without out-of-bag rows.
    """
    rows = np.flatnonzero(forest.unseen.any(axis=0))
    if len(rows) > MAX_ROWS:
        rows = np.sort(rng.choice(rows, MAX_ROWS, replace=False))
    if len(rows) < 2:
        return np.full((len(columns), N_SHUFFLES), np.nan)
    x, y = forest.encode(forest.table.x[rows]), forest.table.y[rows]
    unseen = forest.unseen[:, rows]
    whole = r2(y, _out_of_bag(forest, x[None], unseen)[0])
    lost = np.empty((len(columns), N_SHUFFLES))
    for row, column in enumerate(columns):
        shuffled = np.repeat(x[None], N_SHUFFLES, axis=0)
        for copy in shuffled:
            copy[:, column] = x[rng.permutation(len(x)), column]
        lost[row] = [
            whole - r2(y, predicted) for predicted in _out_of_bag(forest, shuffled, unseen)
        ]
    return lost


def _out_of_bag(forest: Forest, x: np.ndarray, unseen: np.ndarray) -> Floats:
    """Predictions (S, n) of encoded points (S, n, d) by the trees that did not see row n."""
    total = np.zeros(x.shape[:2])
    for index, tree in enumerate(forest.trees):
        rows = np.flatnonzero(unseen[index % forest.n_trees])  # stages share their bags
        points = np.ascontiguousarray(x[:, rows]).reshape(-1, x.shape[2])
        total[:, rows] += tree.predict(points)[:, 0].reshape(len(x), -1)
    return np.asarray(total / unseen.sum(axis=0))


def ped_anova(frame: Frame) -> dict[str, float]:
    """Optuna's PED-ANOVA of the complete trials; empty where they are too few."""
    rows = np.flatnonzero(frame.state == COMPLETE)
    if len(rows) * TOP < MIN_TOP_TRIALS:
        return {}
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), MAX_TRIALS)).astype(np.int64)]
    study = _quiet_study(frame)
    space = {axis.name: _distribution(axis) for axis in frame.axes}
    study.add_trials([_trial(frame, int(row), space) for row in rows])
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=TOP)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of small branches, whose share is uncertain anyway
        found: dict[str, float] = optuna.importance.get_param_importances(
            study, evaluator=evaluator
        )
    return found


def _quiet_study(frame: Frame) -> optuna.Study:
    """An empty study in memory, without the line that Optuna logs about it."""
    aim = StudyDirection.MAXIMIZE if frame.maximize else StudyDirection.MINIMIZE
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(direction=aim)
    finally:
        optuna.logging.set_verbosity(verbosity)


def _trial(frame: Frame, row: int, space: dict[str, BaseDistribution]) -> optuna.trial.FrozenTrial:
    params = {
        axis.name: axis.from_unit(unit)
        for axis, unit in zip(frame.axes, frame.unit[row], strict=True)
        if not np.isnan(unit)
    }
    return optuna.trial.create_trial(
        params=params,
        distributions={name: space[name] for name in params},
        value=float(frame.value[row]),
    )


def _distribution(axis: Axis) -> BaseDistribution:
    if axis.is_categorical:
        return CategoricalDistribution(axis.choices)
    if axis.kind == "int":
        step = round(axis.step or 1)
        return IntDistribution(round(axis.low), round(axis.high), log=axis.log, step=step)
    return FloatDistribution(axis.low, axis.high, log=axis.log, step=axis.step)
