"""Parallel coordinates: every trial as a line through its parameters.

Plotly's own cannot be hovered and draws by WebGL, which neither prints well nor is everywhere.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from hpsearch.analysis.read.axes import Axis, Floats, Ints
from hpsearch.analysis.report.plots.style import (
    BLUE,
    GREY,
    ORANGE,
    Plot,
    literal,
    metric_name,
    styled,
    thinned,
    wrapped,
)
from hpsearch.analysis.results import Results
from hpsearch.core.words import digits, format_value, shortened

MAX_LINES = 200  # trials
MAX_AXES = 7


def parallel_plot(e: Results) -> Plot:
    """Every trial as a line through its strongest parameters and its value."""
    frame = e.frame
    score = frame.value if e.maximize else -frame.value
    rows = thinned(np.flatnonzero(frame.usable), score, MAX_LINES)
    order = {i.params[0]: place for place, i in enumerate(e.main_importances)}
    columns = sorted(
        range(len(frame.axes)), key=lambda c: order.get(frame.axes[c].name, len(order))
    )[:MAX_AXES]
    heights = np.column_stack([frame.unit[rows][:, columns], _heights(score[rows])])
    texts = [[_value(frame.axes[c], frame.unit[row, c]) for c in columns] for row in rows]
    rank = np.argsort(np.argsort(-score[rows], kind="stable"), kind="stable") / len(rows)
    figure = go.Figure()
    groups = ((0.5, 2.0, "worse half", GREY), (0.1, 0.5, "better half", BLUE))
    for low, high, name, color in (*groups, (-1.0, 0.1, "best tenth", ORANGE)):
        chosen = np.flatnonzero((rank >= low) & (rank < high))
        figure.add_trace(_lines(e, rows, heights, texts, chosen, name, color))
    _add_axes(figure, [frame.axes[c] for c in columns], e)
    words = (
        "Each line is a trial; on the right its value, up is better"
        f"{'' if e.maximize else ' (so the scale is upside down)'}. "
        "Where the orange lines meet, good trials agree."
    )
    usable = int(frame.usable.sum())
    if len(rows) < usable:
        words += f" {len(rows)} of {usable:,} trials are drawn, the best among them."
    if len(columns) < len(frame.axes):
        words += f" The {len(columns)} strongest of {len(frame.axes)} parameters."
    return Plot("All trials at once", words, styled(figure, height=400, legend=True))


def _lines(
    e: Results,
    rows: Ints,
    heights: Floats,
    texts: list[list[str]],
    chosen: Ints,
    name: str,
    color: str,
) -> go.Scatter:
    x: list[int | None] = []
    y: list[float | None] = []
    text: list[str] = []
    for index in chosen:
        row = rows[index]
        title = f"trial {e.frame.number[row]}"
        for place, height in enumerate(heights[index]):
            last = place == heights.shape[1] - 1
            x.append(place)
            y.append(None if np.isnan(height) else float(height))
            text.append(
                f"{title}: {digits(e.frame.value[row], 4)}"
                if last
                else f"{title}: {texts[index][place]}"
            )
        x.append(None)
        y.append(None)
        text.append("")
    return go.Scatter(
        x=x,
        y=y,
        text=text,
        mode="lines+markers",
        name=name,
        line={"color": color, "width": 1},
        marker={"size": 3},
        opacity={GREY: 0.3, BLUE: 0.5}.get(color, 0.95),
        hovertemplate="%{text}<extra></extra>",
    )


def _add_axes(figure: go.Figure, axes: list[Axis], e: Results) -> None:
    """One vertical axis a parameter, with the values at its ends (or each category)."""
    for place, axis in enumerate(axes):
        ends = axis.levels() if axis.is_categorical and len(axis.choices) <= 6 else (0.0, 1.0)
        for unit in ends:
            figure.add_annotation(
                x=place,
                y=unit,
                text=literal(shortened(_value(axis, unit), 14)),
                showarrow=False,
                xanchor="left",
                xshift=3,
                font={"size": 10},
                yshift=0 if axis.is_categorical else (-9 if unit == 0 else 9),
            )
    names = [wrapped(axis.name, 20) for axis in axes] + [wrapped(metric_name(e), 20)]
    # Slanted up to their axis: on a narrow screen none lies on another, and the last one stays.
    figure.update_xaxes(
        tickvals=list(range(len(names))), ticktext=names, range=[-0.1, len(names) - 0.6],
        tickangle=-35,
    )  # fmt: skip
    figure.update_yaxes(showticklabels=False, showgrid=False, range=[-0.08, 1.08])


def _heights(score: Floats) -> Floats:
    """Values as heights in [0, 1], better ones up; the worst tenth is clipped."""
    low, high = np.quantile(score, 0.1), score.max()
    return np.asarray(np.clip((score - low) / ((high - low) or 1.0), 0.0, 1.0))


def _value(axis: Axis, unit: float) -> str:
    return "not used" if np.isnan(unit) else format_value(axis.from_unit(float(unit)))
