"""Read rules of thumb, with intervals, off the trials of any Optuna study."""

from hpsearch.analysis.contributions import Contributions
from hpsearch.analysis.effects import Effect, Surface
from hpsearch.analysis.explanation import Explanation, Failures, Importance, Noise, Quality
from hpsearch.analysis.good_region import GoodRegion
from hpsearch.analysis.ice import Ice
from hpsearch.analysis.pipeline import explain
from hpsearch.analysis.pooling import PooledOptimum, pool
from hpsearch.analysis.readings import Estimate
from hpsearch.analysis.rules import Rule
from hpsearch.analysis.second_opinions import SecondOpinion

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
    "pool",
]
