"""A sampler in SMAC's manner: expected improvement on the random forest that also explains.

Hutter, Hoos and Leyton-Brown 2011, "Sequential model-based optimization for general algorithm
configuration"; Lindauer et al. 2022, "SMAC3". The forest is that of analysis/surrogate, so what
guides the search and what explains it are one model. Several objectives become one under random
weights, new ones each trial (ParEGO, Knowles 2006); limits weigh the improvement by the share of
trees that see them kept (Gardner et al. 2014).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import norm

from hpsearch.analysis.read.axes import Floats
from hpsearch.analysis.surrogate.forest import Forest, Settings, Table, grow
from hpsearch.study.space import from_unit, to_unit

RANDOM_SHARE = 0.2
"""This share of trials is drawn at random, as in SMAC, so that no region is given up for good."""
CANDIDATES = 2000
STARTS = 10
"""Local searches begin at so many of the best known points, and of the best random ones."""
SPREADS = 0.2 * 0.5 ** np.arange(4)
"""Of a number's neighbours, one each; a choice's are all others."""
CLIMBS = 40
"""Steps of a local search, at most ..."""
PLATEAU = 10
"""... and so many on end that find nothing better."""
TREES = 10
"""As in SMAC. More agree better, and then all the improvement lies beside the best point."""
LOOKED_AT = 100
FLOOR = 0.01
"""Of the distance of the third quartile from the best: nearer than that is as good."""
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class ForestSampler(BaseSampler):
    """Draws the configuration from which the forest expects most; works for any Optuna study.

    Before `n_startup_trials` are finished, and for one trial in five, it draws at random. Failed
    trials count as the worst result, running ones as a middling one, so that workers spread out. A
    parameter that a trial did not have (a conditional one) stands in the middle of its range, where
    no tree can split a branch in which it is never active. What it draws depends on `seed` and on
    the study's trials alone.
    """

    def __init__(self, *, seed: int, n_startup_trials: int = 10) -> None:
        self._seed = seed
        self._n_startup_trials = n_startup_trials
        self._random = RandomSampler(seed=seed)

    def reseed_rng(self) -> None:
        self._random.reseed_rng()

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """All parameters that any trial had, with their newest ranges."""
        space: dict[str, BaseDistribution] = {}
        for one in study.get_trials(deepcopy=False, states=FINISHED):
            space |= one.distributions
        return {name: one for name, one in sorted(space.items()) if not one.single()}

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        rng = np.random.default_rng([self._seed, trial.number])
        finished = [one for one in study.get_trials(deepcopy=False, states=FINISHED) if one.params]
        succeeded = [one for one in finished if one.values is not None]
        if not search_space or len(succeeded) < self._n_startup_trials:
            return {}
        if rng.random() < RANDOM_SHARE:
            return {}
        running = [
            one
            for one in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
            if one.number != trial.number and one.params
        ]
        model = _Model(search_space, study.directions, succeeded, finished, running, rng)
        return _maximise(model, trial.params, rng) or {}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:  # noqa: ANN401
        return self._random.sample_independent(study, trial, param_name, param_distribution)


class _Model:
    """Forests of the losses and limits on the unit cube. They say how promising a point is.

    `known` (n, d) are the points of finished trials, `levels` (d,) the number of choices or 0.
    """

    def __init__(
        self,
        space: Mapping[str, BaseDistribution],
        directions: Sequence[StudyDirection],
        succeeded: Sequence[FrozenTrial],
        finished: Sequence[FrozenTrial],
        running: Sequence[FrozenTrial],
        rng: np.random.Generator,
    ) -> None:
        self.space = space
        self.levels = np.array(
            [
                len(d.choices) if isinstance(d, CategoricalDistribution) else 0
                for d in space.values()
            ],
            np.int64,
        )
        self.known = _points(space, finished)
        self.tried = [one.params for one in (*finished, *running)]
        losses = _losses(succeeded, directions, rng)
        worst, middle = losses.max(), float(np.median(losses))
        by_number = {one.number: loss for one, loss in zip(succeeded, losses, strict=True)}
        y = np.array(
            [by_number.get(one.number, worst) for one in finished] + [middle] * len(running)
        )
        x = np.concatenate([self.known, _points(space, running)])
        self.forest = self._grow(x, y, rng)
        self.limits = self._limits(finished, rng)
        self.best = self._best_loss(y)

    def _grow(self, x: Floats, y: Floats, rng: np.random.Generator) -> Forest:
        _, group = np.unique(x, axis=0, return_inverse=True)
        table = Table(x.astype(np.float32), y, group.reshape(-1), self.levels)
        return grow(table, Settings(leaf=1, stages=1, n_trees=TREES), rng)

    def _limits(self, finished: Sequence[FrozenTrial], rng: np.random.Generator) -> list[Forest]:
        """A forest for each constraint, of the trials that told it."""
        names = sorted({name for one in finished for name in one.constraints})
        forests = []
        for name in names:
            told = [i for i, one in enumerate(finished) if name in one.constraints]
            y = np.array([finished[i].constraints[name] for i in told])
            forests.append(self._grow(self.known[told], y, rng))
        return forests

    def _best_loss(self, y: Floats) -> float | None:
        """The smallest predicted loss at the known points that keep the limits.

        Returns None if no known point keeps the limits. The forest predicts the loss, because
        noise makes the smallest observed loss too good.
        """
        feasible = self.feasible(self.known) >= 0.5
        seen = _by_tree(self.forest, self.known).mean(0)
        return float(seen[feasible].min()) if feasible.any() else None

    def feasible(self, x: Floats) -> Floats:
        """The probability that the points (m, d) keep all limits, (m,)."""
        probability = np.ones(len(x))
        for forest in self.limits:
            probability *= (_by_tree(forest, x) <= 0).mean(0)
        return probability

    def promise(self, x: Floats) -> Floats:
        """Expected improvement at points (m, d), weighed by the limits, (m,)."""
        if self.best is None:
            return self.feasible(x)
        outputs = _by_tree(self.forest, x)
        mean, spread = outputs.mean(0), np.maximum(outputs.std(0), 1e-9)
        z = (self.best - mean) / spread
        return np.asarray(spread * (z * norm.cdf(z) + norm.pdf(z)) * self.feasible(x))


def _by_tree(forest: Forest, x: Floats) -> Floats:
    """What each tree says at points (m, d), (n_trees, m)."""
    encoded = forest.encode(x.astype(np.float32))
    return np.stack([tree.predict(encoded)[:, 0] for tree in forest.trees])


def _points(space: Mapping[str, BaseDistribution], trials: Sequence[FrozenTrial]) -> Floats:
    """The trials on the unit cube, (n, d); the middle for what a trial does not have."""
    return np.array(
        [
            [
                _unit(one, trial.params[name]) if name in trial.params else 0.5
                for name, one in space.items()
            ]
            for trial in trials
        ]
    ).reshape(len(trials), len(space))


def _unit(distribution: BaseDistribution, value: Any) -> float:  # noqa: ANN401
    try:
        return min(max(to_unit(distribution, value), 0.0), 1.0)
    except ValueError:  # a choice of an earlier space
        return 0.5


def _losses(
    trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection], rng: np.random.Generator
) -> Floats:
    """One loss a trial, (n,): the logarithm of how far each objective is from the best, together
    under random weights.

    A logarithm as in SMAC, so that a diverged loss does not hide all differences between others,
    and those between the best count most.
    """
    signs = np.array([-1.0 if one == StudyDirection.MAXIMIZE else 1.0 for one in directions])
    values = np.array([trial.values for trial in trials], np.float64) * signs
    above = values - values.min(0)
    scale = np.percentile(above, 75, axis=0)
    scores = np.log(above / np.where(scale > 0, scale, 1.0) + FLOOR)
    if len(directions) == 1:
        return np.asarray(scores[:, 0])
    weighted = rng.dirichlet(np.ones(len(directions))) * (scores - np.log(FLOOR))
    return np.asarray(weighted.max(1) + 0.05 * weighted.sum(1))


def _maximise(
    model: _Model, given: Mapping[str, Any], rng: np.random.Generator
) -> dict[str, Any] | None:
    """Find the most promising configuration that no trial has had.

    The parameters in `given` keep their values. Returns None if trials have had all the
    configurations that this looked at.
    """
    fixed = [name in given for name in model.space]
    values = np.array([_unit(d, given[n]) if n in given else 0.0 for n, d in model.space.items()])

    def held(x: Floats) -> Floats:
        return np.where(fixed, values, x)

    random = held(rng.random((CANDIDATES, len(fixed))))
    seen = [random, held(model.known)]
    promises = [model.promise(x) for x in seen]
    tops = [np.argsort(-p, kind="stable")[:STARTS] for p in promises]
    at = np.concatenate([x[top] for x, top in zip(seen, tops, strict=True)])
    promise = np.concatenate([p[top] for p, top in zip(promises, tops, strict=True)])
    level = 0
    for _ in range(CLIMBS):
        around = np.stack([held(_neighbours(point, model.levels, rng)) for point in at])
        found = model.promise(around.reshape(-1, len(fixed))).reshape(len(at), -1)
        best = np.where(found == found.max(1, keepdims=True), rng.random(found.shape), -1).argmax(1)
        # Move to an equally promising point, too. Where the trees do not split on a parameter,
        # all values of that parameter are equally promising.
        moves = np.flatnonzero(found.max(1) >= promise)
        level = 0 if (found.max(1) > promise).any() else level + 1
        if not len(moves) or level > PLATEAU:
            break
        at[moves], promise[moves] = around[moves, best[moves]], found[moves, best[moves]]
    seen.insert(0, at)
    promises.insert(0, promise)
    return _first_new(model, np.concatenate(seen), np.concatenate(promises))


def _first_new(model: _Model, x: Floats, promise: Floats) -> dict[str, Any] | None:
    """The most promising of the points (m, d) whose configuration no trial has had.

    Of equally promising points it takes the first. The points that the climb reached come first.
    Returns None if trials have had all the configurations that this looked at.
    """
    for i in np.argsort(-promise, kind="stable")[:LOOKED_AT]:
        config = {
            name: from_unit(one, float(u))
            for (name, one), u in zip(model.space.items(), x[i], strict=True)
        }
        if config not in model.tried:
            return config
    return None


def _neighbours(point: Floats, levels: Any, rng: np.random.Generator) -> Floats:  # noqa: ANN401
    """Points that differ from `point` (d,) in one coordinate, (m, d)."""
    changes = []
    for axis, count in enumerate(levels):
        if count:
            others = (np.arange(count) + 0.5) / count
        else:
            others = np.clip(point[axis] + SPREADS * rng.standard_normal(len(SPREADS)), 0, 1)
        block = np.repeat(point[None], len(others), 0)
        block[:, axis] = others
        changes.append(block)
    return np.concatenate(changes)
