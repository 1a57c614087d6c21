"""Read rules of thumb, with intervals, off the trials of any Optuna study."""

from hpsearch.analysis.effects import Effect
from hpsearch.analysis.explanation import Explanation, Failures, Importance, Noise, Quality
from hpsearch.analysis.pipeline import explain
from hpsearch.analysis.readings import Estimate
from hpsearch.analysis.rules import Rule

__all__ = [
    "Effect",
    "Estimate",
    "Explanation",
    "Failures",
    "Importance",
    "Noise",
    "Quality",
    "Rule",
    "explain",
]
