"""Read rules of thumb, with intervals, off the trials of any Optuna study."""

from hpsearch.analysis.effects.grids import Effect, Surface
from hpsearch.analysis.estimates import Estimate, Failures, Importance, Noise, Quality
from hpsearch.analysis.explain import explain
from hpsearch.analysis.explanation import Contributions, Explanation
from hpsearch.analysis.pooling.results import PooledOptimum
from hpsearch.analysis.rules.rules import Rule
from hpsearch.analysis.views.good_region import GoodRegion
from hpsearch.analysis.views.ice import Ice
from hpsearch.analysis.views.second_opinions import SecondOpinion

__all__ = [
    "Contributions",
    "Effect",
    "Estimate",
    "Explanation",
    "Failures",
    "GoodRegion",
    "Ice",
    "Importance",
    "Noise",
    "PooledOptimum",
    "Quality",
    "Rule",
    "SecondOpinion",
    "Surface",
    "explain",
]
