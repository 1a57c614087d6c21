"""What `explain` returns: everything said about one study, and the formats it prints in."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import optuna
from rich.console import RenderableType

from hpsearch.analysis.axes import Floats, Value
from hpsearch.analysis.contributions import Contributions, contributions
from hpsearch.analysis.effects import Effect, Surface
from hpsearch.analysis.frame import Frame
from hpsearch.analysis.good_region import GoodRegion, good_region
from hpsearch.analysis.ice import Ice, ice
from hpsearch.analysis.refits import Fit
from hpsearch.analysis.rules import Rule
from hpsearch.analysis.second_opinions import SecondOpinion, second_opinions
from hpsearch.analysis.subspaces import Subspace


@dataclass(frozen=True)
class Quality:
    """How well the forest predicts configurations it has not seen.

    `r2` and `rank_correlation` are out of bag; `null` is the 95th percentile of R2 when the
    parameters are shuffled against the values.
    """

    r2: float
    rank_correlation: float
    null: float


@dataclass(frozen=True)
class Importance:
    """The share of variance of one parameter, or of the interaction of two, with its interval.

    `within` says, for parameters that only some trials used, inside which trials the share holds;
    `active` is the share of those trials.
    """

    params: tuple[str, ...]
    share: float
    low: float
    high: float
    active: float = 1.0
    within: str | None = None


@dataclass(frozen=True)
class Noise:
    """Standard deviation of repeating one configuration, and where it was learned from."""

    value: float
    source: str


@dataclass(frozen=True)
class Failures:
    """Failed trials: their share of all, and P(failure) along each parameter."""

    rate: float
    n_failed: int
    curves: dict[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True)
class Explanation:
    """What the trials of one study say, and how far to trust it.

    Without trust there are no rules. Where there are none, `reason` says why in one sentence and
    `more_trials` estimates how many more would do (None where it cannot be estimated). `next_steps`
    are lines to paste.
    Shares, effects and rules are on the sampling scale; values in the metric's and the parameters'
    own units. `frame` holds the trials, `fits` the forests of the whole study and of each branch.
    """

    study: str
    metric: str
    maximize: bool
    level: float
    surrogate: str
    seed: int
    n_trials: int
    n_complete: int
    n_pruned: int
    n_failed: int
    n_configurations: int
    cohorts: dict[str, int]
    trusted: bool
    reason: str | None
    more_trials: int | None
    next_steps: tuple[str, ...]
    quality: Quality
    noise: Noise
    best_value: float
    best_params: dict[str, Value]
    importances: tuple[Importance, ...]
    remainder: float
    effects: tuple[Effect, ...]
    rules: tuple[Rule, ...]
    surfaces: tuple[Surface, ...]
    failures: Failures
    notes: tuple[str, ...]
    versions: dict[str, str]
    frame: Frame = field(repr=False)
    fits: tuple[tuple[Subspace, Fit], ...] = field(repr=False)

    @property
    def main_importances(self) -> tuple[Importance, ...]:
        """Those of single parameters, largest first."""
        main = (i for i in self.importances if len(i.params) == 1)
        return tuple(sorted(main, key=lambda importance: -importance.share))

    @cached_property
    def second_opinions(self) -> tuple[SecondOpinion, ...]:
        """What permutation importance and PED-ANOVA say about each parameter."""
        return second_opinions(self.frame, self.fits, self.seed)

    def good_region(self, quantile: float = 0.5) -> GoodRegion:
        """Shares of the variance with all values worse than a quantile set to it."""
        return good_region(self.frame, self.fits, quantile, self.seed)

    def ice(self, param: str) -> Ice:
        """The forest's curves for single trials as this parameter moves."""
        return ice(self.frame, self.fits, param)

    def contributions(self, trial: int) -> Contributions:
        """What each parameter adds to the forest's prediction of the trial with this number."""
        space, fitted = self._branch_of(trial)
        return contributions(self.frame, space, fitted, trial)

    def _branch_of(self, trial: int) -> tuple[Subspace, Fit]:
        """The forest with the most parameters that has seen the trial; else the first one."""
        row = self.frame.number == trial
        having = [one for one in self.fits if one[0].rows[row].any()]
        return max(having or self.fits[:1], key=lambda one: len(one[0].columns))

    def to_json(self) -> str:
        from hpsearch.analysis.report.json import render_json

        return render_json(self)

    def to_html(self) -> str:
        """One self-contained page with plots one can hover; needs no network."""
        from hpsearch.analysis.report.html import render_html

        return render_html(self)

    def to_markdown(self) -> str:
        from hpsearch.analysis.report.markdown import render_markdown

        return render_markdown(self)

    def to_table(self, *, everything: bool = False) -> RenderableType:
        """Something for `rich.console.Console.print`; `everything`: all parameters, all methods."""
        from hpsearch.analysis.report.table import render_table

        return render_table(self, everything=everything)

    def push(self, study: optuna.Study) -> None:
        """Put plots and rules into `study`, whose Optuna dashboard then shows them.

        They replace what was pushed before, and leave alone what people wrote in its note.
        """
        from hpsearch.analysis.report.dashboard import push

        push(study, self)

    def __rich__(self) -> RenderableType:
        return self.to_table()
