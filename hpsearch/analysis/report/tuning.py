"""What tuning gains, as rows and a line of text."""

from __future__ import annotations

from hpsearch.analysis.views.tunability import Tunability
from hpsearch.core.words import format_value

TUNING_HEADER = ("parameter", "gain of tuning it alone", "gain of it in the recommendation")


def tuning_rows(found: Tunability) -> list[tuple[str, ...]]:
    """One row a parameter, in the metric's unit, the largest gain first."""
    return [(one.param, f"{one.alone:.3g}", f"{one.at_best:.3g}") for one in found.params]


def path_line(found: Tunability) -> str:
    """From the defaults to the recommendation, the step that gains most first."""
    steps = [f"{s.param}={format_value(s.value)} {s.predicted:.4g}" for s in found.path]
    return f"From the defaults, predicted {found.default:.4g}, by: {'; '.join(steps)}."
