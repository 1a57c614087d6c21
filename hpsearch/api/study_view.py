"""What `run` and `load_study` return: Optuna's study, which also says what it is in a notebook."""

from __future__ import annotations

from html import escape

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hpsearch.core.terminal import visible
from hpsearch.core.words import assignments, how_many
from hpsearch.store.trials.columns import objective_names

MOST_ROWS = 5


class Study(optuna.Study):
    """An Optuna study in every respect, with a short text and a small table for people."""

    @classmethod
    def of(cls, study: optuna.Study) -> Study:
        made = cls.__new__(cls)
        made.__dict__.update(study.__dict__)
        return made

    def __repr__(self) -> str:
        complete = self._complete()
        best = f", best {_values(_ordered(self, complete)[0])}" if complete else ""
        return f"<Study {self.study_name}: {how_many(len(complete), 'complete trial')}{best}>"

    def _repr_html_(self) -> str:
        complete = self._complete()
        names = objective_names(self.metric_names, self.user_attrs, len(self.directions))
        head = f"<b>{escape(self.study_name)}</b>: {how_many(len(complete), 'complete trial')}"
        if not complete:
            return visible(f"<p>{head}.</p>")
        rows = "".join(
            f"<tr><td>{trial.number}</td><td>{_values(trial)}</td>"
            f'<td style="text-align: left">{escape(assignments(trial.params, 4))}</td></tr>'
            for trial in _ordered(self, complete)[:MOST_ROWS]
        )
        titles = "".join(
            f"<th>{escape(name)}</th>" for name in ("trial", ", ".join(names), "parameters")
        )
        by = f" by {escape(names[0])}" if len(names) > 1 else ""
        below = ""
        if len(names) > 1:
            from hpsearch.analysis.views.front import front_of  # scikit-learn takes a second

            front = front_of(self, names)
            below = "" if front is None else f"<p>{escape(front.sentence)}</p>"
        return visible(
            f"<p>{head}, the best of which are{by}:</p><table>{titles}{rows}</table>{below}"
        )

    def _complete(self) -> list[FrozenTrial]:
        return self.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _ordered(study: optuna.Study, trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """The best by the first objective first."""
    up = study.directions[0] == StudyDirection.MAXIMIZE
    return sorted(trials, key=lambda trial: trial.values[0], reverse=up)


def _values(trial: FrozenTrial) -> str:
    return ", ".join(f"{value:.4g}" for value in trial.values)
