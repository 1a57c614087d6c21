"""The plots of an explanation as Plotly figures, for notebooks: those of the HTML report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsearch.analysis.results import Results
from hpsearch.core.words import nearest
from hpsearch.errors import InputError

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from hpsearch.analysis.report.plots.style import Plot


@dataclass(frozen=True, repr=False)
class Plotted(Results):
    """Adds the plots to the results; each is a figure that can be changed, shown and saved.

    The examples go on from that of `Explanation`.
    """

    def plot_shares(self) -> go.Figure:
        """What matters: shares of the variance with their intervals.

        Example:
            >>> explanation.plot_shares().data[0].type
            'bar'
        """
        from hpsearch.analysis.report.plots.figures import importance_plot

        return importance_plot(self).figure

    def plot_effect(self, param: str) -> go.Figure:
        """What the values of one parameter are worth, with the trials.

        Args:
            param: the parameter's name.

        Raises:
            InputError: for a parameter without an effect that can be drawn.

        Example:
            >>> explanation.plot_effect("x").layout.xaxis.title.text
            'x'
        """
        from hpsearch.analysis.report.plots.curves import effect_plot
        from hpsearch.analysis.report.plots.figures import rule_with_value

        effect = next((one for one in self.effects if one.param == param), None)
        if effect is None:
            raise InputError(self._unknown(param, [one.param for one in self.effects]))
        return effect_plot(self, effect, rule_with_value(self, param)).figure

    def plot_pair(self, first: str, second: str) -> go.Figure:
        """The joint effect of two parameters, all others averaged out; brighter is better.

        Args:
            first: the parameter along the horizontal axis.
            second: the parameter along the vertical axis.

        Raises:
            InputError: for parameters that no trials have together.

        Example:
            >>> import optuna
            >>> both = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
            >>> objective = lambda t: t.suggest_float("a", 0, 1) * t.suggest_float("b", 0, 1)
            >>> both.optimize(objective, n_trials=40)
            >>> hpsearch.explain(both).plot_pair("a", "b").data[0].type
            'heatmap'
        """
        from hpsearch.analysis.effects.one_subspace import surface_of
        from hpsearch.analysis.report.plots.curves import surface_plot

        for space, fitted in self.fits:
            names = [self.frame.axes[column].name for column in space.columns]
            if first in names and second in names and first != second:
                places = names.index(first), names.index(second)
                return surface_plot(self, surface_of(self.frame, space, fitted, places)).figure
        names = [axis.name for axis in self.frame.axes]
        if wrong := next((one for one in (first, second) if one not in names), None):
            raise InputError(self._unknown(wrong, names))
        raise InputError(f"No trial has both '{first}' and '{second}': name two that it can have.")

    def plot_history(self) -> go.Figure:
        """Every trial's value in order, and the best so far.

        Example:
            >>> explanation.plot_history().layout.xaxis.title.text
            'trial'
        """
        from hpsearch.analysis.report.plots.trials import history_plot

        return history_plot(self).figure

    def plot_trials(self) -> go.Figure:
        """All trials at once, as lines through their strongest parameters.

        Example:
            >>> [trace.name for trace in explanation.plot_trials().data]
            ['worse half', 'better half', 'best tenth']
        """
        from hpsearch.analysis.report.plots.parallel import parallel_plot

        return parallel_plot(self).figure

    def plot_predictions(self) -> go.Figure:
        """What the forest said of trials that it had not seen.

        Raises:
            InputError: for the exact surrogate, which has seen all.

        Example:
            >>> explanation.plot_predictions().layout.xaxis.title.text
            "forest's prediction"
        """
        from hpsearch.analysis.report.plots.trials import prediction_plot

        return _drawn(prediction_plot(self), "the exact surrogate has seen all trials")

    def plot_noise(self) -> go.Figure:
        """Configurations that were run more than once, each with its values.

        Raises:
            InputError: where none was.
        """
        from hpsearch.analysis.report.plots.trials import noise_plot

        return _drawn(noise_plot(self), "no configuration was run more than once")

    def plot_failures(self, param: str) -> go.Figure:
        """The probability that a trial fails, along one parameter.

        Raises:
            InputError: where too few trials failed, or for an unknown parameter.
        """
        from hpsearch.analysis.report.plots.trials import failure_plot

        if not self.failures.curves:
            raise InputError(f"{self.n_failed} trials failed: too few to say along what.")
        if param not in self.failures.curves:
            raise InputError(self._unknown(param, list(self.failures.curves)))
        return failure_plot(self, param).figure

    def plot_front(self) -> go.Figure:
        """The trials between which a study of several objectives has to choose: the first two.

        Raises:
            InputError: for one objective.
        """
        from hpsearch.analysis.report.front import front_plots

        if self.front is None:
            raise InputError(f"'{self.metric}' alone is explained: a front needs two objectives.")
        return front_plots(self.front)[0].figure

    def _unknown(self, param: str, known: list[str]) -> str:
        hint = nearest(param, known)
        return f"'{param}' cannot be drawn{hint}: {', '.join(known) or 'nothing'} can."


def _drawn(plot: Plot | None, why: str) -> go.Figure:
    if plot is None:
        raise InputError(f"There is nothing to draw: {why}.")
    return plot.figure
