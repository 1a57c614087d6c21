"""What `explain` returns: its results, what one may ask further, and the formats it prints in.

The methods import their report when they are called: plotly and the dashboard take a second. Their
examples go on from the example of the class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import optuna
from rich.console import RenderableType

from hpsearch.analysis.plotted import Plotted
from hpsearch.analysis.report.contributions import SHOWN, render_json, render_markdown, render_table
from hpsearch.analysis.views.contributions import ContributionResults, contributions
from hpsearch.core.words import digits, how_many
from hpsearch.extras import require

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Contributions(ContributionResults):
    """What each parameter adds to the prediction of one trial, and the formats it prints in.

    Source: docs/method.md, section 4. `mean` plus all `parts` plus `rest` is the `prediction`.
    """

    def to_table(self, *, everything: bool = False) -> RenderableType:
        """Something for `rich.console.Console.print`; `everything`: however small the part."""
        return render_table(self, len(self.parts) if everything else SHOWN)

    def to_markdown(self) -> str:
        return render_markdown(self)

    def to_json(self) -> str:
        return render_json(self)


@dataclass(frozen=True, repr=False)
class Explanation(Plotted):
    """What the trials of one study say, and how far to trust it.

    Without trust there are no rules. Where there are none, `reason` says why in one sentence and
    `more_trials` estimates how many more would do (None where it cannot be estimated). `next_steps`
    are lines to paste.
    Shares, effects and rules are on the sampling scale; values in the metric's and the parameters'
    own units. `frame` holds the trials, `fits` the forests of the whole study and of each branch.
    Of a study with several objectives this is what holds for the first of them; `others` are the
    explanations of the rest and `front` the trials between which one has to choose.

    Example:
        >>> import optuna
        >>> from hpsearch.analysis import explain
        >>> study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        >>> study.optimize(lambda trial: (trial.suggest_float("x", 0, 1) - 0.3) ** 2, n_trials=60)
        >>> explanation = explain(study)
        >>> print(explanation.to_markdown().splitlines()[4])
        ## Best so far
        >>> explanation.importances[0].params
        ('x',)
    """

    others: tuple[Explanation, ...] = ()

    @property
    def objectives(self) -> dict[str, Explanation]:
        """This explanation and the `others`, each by the name of its metric.

        Example:
            >>> list(explanation.objectives)
            ['value']
        """
        return {one.metric: one for one in (self, *self.others)}

    def contributions(self, trial: int) -> Contributions:
        """What each parameter adds to the forest's prediction of one trial.

        Source: docs/method.md, section 4; the parts are those of the forest's functional ANOVA.

        Args:
            trial: the trial's number in the study.

        Returns:
            The forest's mean, a part for each parameter and each pair, and what is left.

        Raises:
            InputError: if the trial is not among those that were read.

        Example:
            >>> found = explanation.contributions(7)
            >>> total = found.mean + sum(amount for _, amount in found.parts) + found.rest
            >>> abs(total - found.prediction) < 1e-9
            True
        """
        place = self._branch_of(trial)
        space, fitted = self.fits[place]
        trusted = self.fits_trusted[place]
        return Contributions(
            **vars(contributions(self.frame, space, fitted, trial, trusted=trusted))
        )

    def _branch_of(self, trial: int) -> int:
        """The forest with the most parameters that has seen the trial; else the first one."""
        row = self.frame.number == trial
        having = [i for i, (space, _) in enumerate(self.fits) if space.rows[row].any()]
        return max(having or [0], key=lambda i: len(self.fits[i][0].columns))

    def to_json(self) -> str:
        """The explanation as JSON that follows report/explain-1.schema.json.

        Returns:
            Text; numbers have six digits, and those that are not finite are null.

        Example:
            >>> import json
            >>> json.loads(explanation.to_json())["schema"]
            'hpsearch.explain/1'
        """
        from hpsearch.analysis.report.json import render_json

        return render_json(self)

    def to_html(self) -> str:
        """The explanation as one page with plots one can hover; it needs no network.

        Returns:
            About 2 MB of text, Plotly's script included.

        Example:
            >>> "<html" in explanation.to_html()
            True
        """
        from hpsearch.analysis.report.html import render_html

        return render_html(self)

    def to_markdown(self) -> str:
        """The explanation as Markdown: rules, shares, best values, what to do next, notes.

        Returns:
            Text with headings and tables.

        Example:
            >>> "## Rules" in explanation.to_markdown()
            True
        """
        from hpsearch.analysis.report.markdown import render_markdown

        return render_markdown(self)

    def to_table(self, *, everything: bool = False) -> RenderableType:
        """The explanation as a table for a terminal.

        Args:
            everything: all parameters, with permutation importance and PED-ANOVA beside the shares;
                else the strongest parameters only.

        Returns:
            Something for `rich.console.Console.print`.

        Example:
            >>> from rich.console import Console
            >>> from io import StringIO
            >>> console = Console(file=StringIO(), width=100)
            >>> console.print(explanation.to_table())
            >>> "60 trials" in console.file.getvalue()
            True
        """
        from hpsearch.analysis.report.table import render_table

        return render_table(self, everything=everything)

    def push(self, study: optuna.Study) -> None:
        """Put plots and rules into a study, whose Optuna dashboard then shows them.

        They replace what was pushed before, and leave alone what people wrote in its note.

        Args:
            study: the study that was explained; its storage must be writable.

        Example:
            >>> explanation.push(study)
            >>> from optuna_dashboard import get_note
            >>> "Found by hpsearch" in get_note(study)
            True
        """
        require("optuna_dashboard")
        from hpsearch.analysis.report.dashboard import push

        push(study, self)

    def to_frame(self) -> pd.DataFrame:
        """The parameters as a table: what they explain, and what is best.

        Returns:
            One row for each parameter, the strongest first. `share`, `share_low` and `share_high`
            are of the variance; `best`, `best_low` and `best_high` in the parameter's unit where
            an effect was found; `rule` says what to do, where there is one.

        Example:
            >>> table = explanation.to_frame()
            >>> bool(table.loc["x", "share"] > 0.9)
            True
        """
        import pandas as pd

        effects = {effect.param: effect for effect in self.effects}
        advice: dict[str, str] = {}
        for rule in self.rules:
            advice[rule.param] = f"{advice.get(rule.param, '')} {rule.advice}".strip()
        rows = []
        for i in self.main_importances:
            effect = effects.get(i.params[0])
            best = (None,) * 3 if effect is None else (
                effect.best, effect.best_low, effect.best_high
            )  # fmt: skip
            rows.append((i.share, i.low, i.high, *best, advice.get(i.params[0])))
        names = ["share", "share_low", "share_high", "best", "best_low", "best_high", "rule"]
        index = pd.Index([i.params[0] for i in self.main_importances], name="parameter")
        return pd.DataFrame(rows, index=index, columns=names)

    def __repr__(self) -> str:
        found = "; ".join(
            f"{one.metric}: {how_many(one.n_trials, 'trial')}, best {digits(one.best_value, 4)}, "
            f"{how_many(len(one.rules), 'rule')}"
            for one in (self, *self.others)
        )
        return f"<Explanation of {self.study}: {found}>"

    def _repr_html_(self) -> str:
        from hpsearch.analysis.report.notebook import explanation_html

        return explanation_html(self)

    def __rich__(self) -> RenderableType:
        return self.to_table()
