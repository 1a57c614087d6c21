"""What every plot of a report has, and how it looks.

Colours are chosen to be read on white and on black, and by the colour-blind: blue is the forest,
orange is good, grey are the trials.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from hpsearch.analysis.read.axes import Axis, Floats, Ints, Value
from hpsearch.analysis.report.shared import to_json_types
from hpsearch.analysis.results import Results
from hpsearch.core.words import format_value, log_ticks, shortened

BLUE, ORANGE, GREY, RED = "#3d84c6", "#e08a2e", "#8a9099", "#d1495b"
TEXT = "#767f8b"
BAND = "rgba(61,132,198,.22)"
GRID = "rgba(128,134,143,.22)"


@dataclass(frozen=True)
class Plot:
    """One figure; `title` names it, `words` say in a sentence or two what is seen.

    `header` and `rows` are the numbers behind it, for those who cannot see it or want to copy it.
    """

    title: str
    words: str
    figure: go.Figure
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def styled(figure: go.Figure, *, height: int = 320, legend: bool = False) -> go.Figure:
    """The figure in the look of all reports."""
    figure.update_layout(
        height=height,
        margin={"l": 55, "r": 12, "t": 30 if legend else 12, "b": 45},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": TEXT, "size": 12, "family": "system-ui, sans-serif"},
        showlegend=legend,
        legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"},
        hoverlabel={"bgcolor": "#24292f", "bordercolor": "#24292f", "font": {"color": "#fff"}},
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": GREY, "activecolor": BLUE},
        template="none",
    )
    look = {"gridcolor": GRID, "zeroline": False, "exponentformat": "none", "automargin": True}
    look["separatethousands"] = True
    figure.update_xaxes(**look)
    # A standoff: else the title lies on wide numbers of its axis.
    figure.update_yaxes(ticksuffix=" ", title_standoff=8, **look)
    return figure


def to_plain(figure: go.Figure) -> dict[str, Any]:
    """data and layout with lists instead of arrays, rounded."""
    plain: dict[str, Any] = to_json_types(figure.to_plotly_json())
    return plain


def wrapped(text: str, width: int = 40, lines: int = 4) -> str:
    """As `literal`, but a long text is broken into lines at its signs and blanks, not cut.

    Only what would fill more `lines` is cut.
    """
    parts = re.findall(r"[^\W_]*[\W_]+|[^\W_]+$", text) or [text]
    made = [""]
    for part in (piece[i : i + width] for piece in parts for i in range(0, len(piece), width)):
        if made[-1] and len(made[-1]) + len(part) > width:
            made.append("")
        made[-1] += part
    if len(made) > lines:
        short = shortened(text, width * lines)
        made = [short[i : i + width] for i in range(0, len(short), width)]
    return "<br>".join(literal(line, width) for line in made)


def literal(text: str, most: int = 40) -> str:
    """Text that Plotly shows as it is (it reads some HTML), shortened in the middle."""
    return escape(shortened(text, most), quote=False)


def places(axis: Axis, values: Iterable[Value]) -> list[Any]:
    """Values of a parameter as positions on a Plotly axis: numbers, or text for categories."""
    if axis.is_categorical:
        return [literal(format_value(value)) for value in values]
    return list(values)


def axis_look(axis: Axis) -> dict[str, Any]:
    """Title, type and ticks of the Plotly axis that holds a parameter."""
    title = wrapped(axis.name)
    if axis.is_categorical:
        order = places(axis, axis.choices)
        return {
            "title": title,
            "type": "category",
            "categoryorder": "array",
            "categoryarray": order,
        }
    return {"title": title, **scale_look(axis.low, axis.high, log=axis.log)}


def scale_look(low: float, high: float, *, log: bool) -> dict[str, Any]:
    """Type and ticks of the axis of numbers from `low` to `high`; on a log scale round numbers."""
    if not log:
        return {"type": "linear"}
    ticks = log_ticks(low, high)
    return {"type": "log", "tickvals": ticks, "ticktext": [format_value(tick) for tick in ticks]}


def hovered(axis: Axis, letter: str = "x") -> str:
    """A parameter's value in a hover label; Plotly would make NaN of a category it formats."""
    return f"%{{{letter}}}" if axis.is_categorical else f"%{{{letter}:,.4~r}}"


def metric_title(e: Results) -> str:
    arrow = "↑" if e.maximize else "↓"
    return f"{wrapped(metric_name(e), 30)} ({arrow} better)"


def metric_name(e: Results) -> str:
    """Optuna's studies of one objective give it no name: then it is the value of its study."""
    return f"value of {e.study}" if e.metric == "value" else e.metric


def within_bounds(e: Results, low: float, high: float) -> list[float]:
    """The ends of an axis for the metric, which ends where the metric does."""
    least, most = e.frame.bounds
    return [float(max(low, least)), float(min(high, most))]


def thinned(rows: Ints, score: Floats, most: int) -> Ints:
    """At most `most` of the rows, evenly spaced, the best tenth of that number always among them.

    `score` (n,) of all rows, larger is better.
    """
    if len(rows) <= most:
        return rows
    best = rows[np.argsort(-score[rows], kind="stable")[: most // 10]]
    even = rows[np.linspace(0, len(rows) - 1, most - len(best)).astype(np.int64)]
    return np.union1d(best, even)
