"""What `explain` finds, as data: everything said about one study.

Reports read this class. `Explanation` adds to it the formats that the reports print.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from hpsearch.analysis.effects.curve import Curve
from hpsearch.analysis.effects.grids import Effect, Surface
from hpsearch.analysis.estimates import Failures, Importance, Noise, Quality
from hpsearch.analysis.read.axes import Value
from hpsearch.analysis.read.frame import Frame
from hpsearch.analysis.read.subspaces import Subspace
from hpsearch.analysis.rules.recommendation import Recommendation
from hpsearch.analysis.rules.rules import Rule
from hpsearch.analysis.surrogate.fit import Fit
from hpsearch.analysis.views.front import Front
from hpsearch.analysis.views.good_region import GoodRegion, good_region
from hpsearch.analysis.views.ice import Ice, ice
from hpsearch.analysis.views.second_opinions import SecondOpinion, second_opinions
from hpsearch.analysis.views.tunability import Tunability


@dataclass(frozen=True)
class Results:
    """The data of an `Explanation`, which says what they mean, and answers computed from them.

    The examples go on from that of `Explanation`.
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
    worth: float
    best_value: float
    best_trial: int
    best_params: dict[str, Value]
    importances: tuple[Importance, ...]
    remainder: float
    effects: tuple[Effect, ...]
    rules: tuple[Rule, ...]
    recommendation: Recommendation | None
    tunability: Tunability | None
    surfaces: tuple[Surface, ...]
    failures: Failures
    notes: tuple[str, ...]
    versions: dict[str, str]
    frame: Frame = field(repr=False)
    fits: tuple[tuple[Subspace, Fit], ...] = field(repr=False)
    curves: tuple[Curve, ...] = field(repr=False)
    fits_trusted: tuple[bool, ...] = field(repr=False)
    front: Front | None = None
    others: tuple[Results, ...] = ()

    @property
    def main_importances(self) -> tuple[Importance, ...]:
        """Those of single parameters, largest first."""
        main = (i for i in self.importances if len(i.params) == 1)
        return tuple(sorted(main, key=lambda importance: -importance.share))

    @cached_property
    def second_opinions(self) -> tuple[SecondOpinion, ...]:
        """What permutation importance and PED-ANOVA say about each parameter, computed once.

        Source: Breiman (2001); Watanabe, Bansal and Hutter (2023); docs/method.md, section 3.

        Returns:
            One opinion for each parameter; permutation importance is R2 lost, PED-ANOVA a share.

        Example:
            >>> [opinion.param for opinion in explanation.second_opinions]
            ['x']
        """
        return second_opinions(self.frame, self.fits, self.seed)

    def good_region(self, quantile: float = 0.5) -> GoodRegion:
        """Shares of the variance with all values worse than a quantile set to it.

        Source: Hutter, Hoos and Leyton-Brown (2014); docs/method.md, section 3.

        Args:
            quantile: the share of the space, the best part, whose values are kept.

        Returns:
            The limit and the share of each parameter and each pair.

        Raises:
            InputError: if `quantile` is not above 0 and at most 1.

        Example:
            >>> list(explanation.good_region(0.5).shares)
            [('x',)]
        """
        return good_region(self.frame, self.fits, quantile, self.seed)

    def ice(self, param: str) -> Ice:
        """The forest's prediction for single trials as one parameter moves.

        Source: Goldstein et al. (2015); docs/method.md, section 4.

        Args:
            param: the parameter's name.

        Returns:
            One curve for each of at most 20 trials, from the worst result to the best.

        Raises:
            InputError: for a parameter that the study does not have or that never changed.

        Example:
            >>> explanation.ice("x").curves.shape
            (20, 26)
        """
        return ice(self.frame, self.fits, param)
