"""The trials that no other beats in all objectives: the Pareto front."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import TrialState

from hpsearch.analysis.read.axes import Floats, Ints, Value
from hpsearch.core.words import how_many


@dataclass(frozen=True)
class FrontTrial:
    """One trial of the front: its number, its values in the order of the objectives, its params."""

    number: int
    values: tuple[float, ...]
    params: dict[str, Value]


@dataclass(frozen=True)
class Front:
    """What a study of several objectives has to choose from.

    `trials` are those that no other trial beats in one objective without being worse in another,
    the best by the first objective first; a trial over a limit of the study is not among them.
    `values` (n, objectives) and `numbers` (n,) are of all complete trials.

    Example:
        >>> import optuna
        >>> from hpsearch.analysis.views.front import front_of
        >>> study = optuna.create_study(directions=["minimize", "minimize"])
        >>> for pair in ((1.0, 3.0), (2.0, 1.0), (2.0, 3.0)):
        ...     study.add_trial(optuna.trial.create_trial(values=pair))
        >>> [trial.number for trial in front_of(study, ("loss", "seconds")).trials]
        [0, 1]
    """

    metrics: tuple[str, ...]
    maximize: tuple[bool, ...]
    trials: tuple[FrontTrial, ...]
    numbers: Ints = field(repr=False)
    values: Floats = field(repr=False)

    def best_by(self, metric: str) -> FrontTrial:
        """The trial of the front that is best by one objective; of several the best by the rest."""
        place = self.metrics.index(metric)
        order = [place, *(i for i in range(len(self.metrics)) if i != place)]
        return min(self.trials, key=lambda trial: [self.loss(trial, i) for i in order])

    @property
    def sentence(self) -> str:
        """How many trials it has, and of how many."""
        return (
            f"{how_many(len(self.trials), 'trial')} of {len(self.numbers):,} complete ones on the "
            "Pareto front: no other beats them in all objectives."
        )

    def loss(self, trial: FrontTrial, place: int) -> float:
        """The value of one objective with the sign that makes less better."""
        return -trial.values[place] if self.maximize[place] else trial.values[place]


def front_of(study: optuna.Study, metrics: tuple[str, ...]) -> Front | None:
    """The front of a study with these objectives; None where no trial is complete and allowed."""
    maximize = tuple(one == StudyDirection.MAXIMIZE for one in study.directions)
    found = [FrontTrial(t.number, tuple(t.values), dict(t.params)) for t in study.best_trials]
    if not found:
        return None
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    front = Front(
        metrics=metrics,
        maximize=maximize,
        trials=tuple(found),
        numbers=np.array([trial.number for trial in done], np.int64),
        values=np.array([trial.values for trial in done], np.float64),
    )
    ordered = sorted(found, key=lambda t: [front.loss(t, i) for i in range(len(metrics))])
    return replace(front, trials=tuple(ordered))
