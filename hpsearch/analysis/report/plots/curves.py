"""Plots of effects: curves with trials and single-trial curves, and pairs as heat maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from hpsearch.analysis.effects.grids import Effect, Surface
from hpsearch.analysis.read.axes import Axis
from hpsearch.analysis.read.frame import COMPLETE
from hpsearch.analysis.report.plots.style import (
    BAND,
    BLUE,
    GREY,
    ORANGE,
    Plot,
    axis_look,
    hovered,
    metric_title,
    places,
    styled,
    thinned,
    within_bounds,
)
from hpsearch.analysis.report.shared import aim, column_of
from hpsearch.analysis.results import Results
from hpsearch.analysis.rules.rules import Rule
from hpsearch.analysis.views.ice import spread
from hpsearch.core.words import digits, format_ranges, format_value

MAX_POINTS = 400  # trials drawn behind one curve
SHADED = ("optimum", "edge")  # rules whose interval is that of the curve's best
MAX_SIDE = 26  # cells of a heat map along one axis
TABLE_ROWS = 11  # of a curve's numbers


def effect_plot(e: Results, effect: Effect, rule: Rule | None) -> Plot:
    """Curve, band, trials, single-trial curves, the default, and the region near the best.

    `rule` is the one that names a value for the parameter, if there is any.
    """
    rule = rule if rule is not None and rule.kind in SHADED and not effect.categorical else None
    figure, axis = go.Figure(), e.frame.axes[column_of(e, effect.param)]
    if not effect.categorical:  # a line between two categories would say that there is a way
        _add_ice(figure, e, axis)
    drawn, there = _add_trials(figure, e, axis)
    if effect.categorical:
        _add_levels(figure, effect, axis)
    else:
        _add_curve(figure, effect)
        _add_default(figure, e, axis)
    if rule is not None:
        low, high = effect.best_low, effect.best_high
        figure.add_vrect(x0=low, x1=high, fillcolor=ORANGE, opacity=0.18, line_width=0)
    _add_region(figure, effect)
    figure.update_xaxes(**axis_look(axis))
    figure.update_yaxes(title=metric_title(e), range=_range(e, effect))
    header = (effect.param, e.metric, "low", "high")
    return Plot(
        title=effect.param,
        words=_words(e, effect, rule, drawn, there),
        figure=styled(figure),
        header=header,
        rows=_rows(effect),
    )


def surface_plot(e: Results, surface: Surface) -> Plot:
    """The joint effect of two parameters; brighter is better."""
    x, y, z = surface.x, surface.y, surface.z
    right, up = spread(len(x), MAX_SIDE), spread(len(y), MAX_SIDE)
    across, along = (e.frame.axes[column_of(e, name)] for name in surface.params)
    figure = go.Figure(
        go.Heatmap(
            x=places(across, [x[i] for i in right]),
            y=places(along, [y[i] for i in up]),
            z=z[np.ix_(up, right)],
            colorscale="Viridis" if e.maximize else "Viridis_r",
            colorbar={"thickness": 10, "outlinewidth": 0, "title": {"text": ""}},
            hovertemplate=f"%{{xaxis.title.text}} {hovered(across)}<br>"
            f"%{{yaxis.title.text}} {hovered(along, 'y')}<br><b>%{{z:,.4~r}}</b><extra></extra>",
        )
    )
    figure.update_xaxes(**axis_look(across))
    figure.update_yaxes(**axis_look(along))
    at = np.unravel_index(int(np.argmax(z if e.maximize else -z)), z.shape)
    best = f"{across.name} {format_value(x[at[1]])} and {along.name} {format_value(y[at[0]])}"
    words = f"Best {e.metric} at {best}: {digits(z[at], 4)} ({aim(e)})."
    few_x, few_y = spread(len(x), 6), spread(len(y), 6)
    rows = tuple((format_value(y[j]), *(digits(z[j, i], 4) for i in few_x)) for j in few_y)
    header = (" \\ ".join(reversed(surface.params)), *(format_value(x[i]) for i in few_x))
    return Plot(" x ".join(surface.params), words, styled(figure), header, rows)


def _add_ice(figure: go.Figure, e: Results, axis: Axis) -> None:
    ice = e.ice(axis.name)
    x: list[Any] = []
    y: list[float | None] = []
    for curve in ice.curves:
        x += [*places(axis, ice.values), None]
        y += [*curve.tolist(), None]
    line = {"color": GREY, "width": 0.8}
    figure.add_trace(
        go.Scatter(x=x, y=y, mode="lines", line=line, opacity=0.45, hoverinfo="skip", name="ice")
    )


def _add_trials(figure: go.Figure, e: Results, axis: Axis) -> tuple[int, int]:
    """Adds the complete trials; (how many are drawn, how many there are)."""
    frame = e.frame
    unit = frame.unit[:, column_of(e, axis.name)]
    there = np.flatnonzero((frame.state == COMPLETE) & ~np.isnan(unit))
    rows = thinned(there, frame.value if e.maximize else -frame.value, MAX_POINTS)
    figure.add_trace(
        go.Scatter(
            x=places(axis, map(axis.from_unit, unit[rows])),
            y=frame.value[rows],
            mode="markers",
            customdata=frame.number[rows],
            marker={"color": GREY, "size": 5, "opacity": 0.55},
            hovertemplate=f"trial %{{customdata}}<br>{hovered(axis)}: %{{y:,.4~r}}<extra></extra>",
            name="trials",
        )
    )
    return len(rows), len(there)


def _add_curve(figure: go.Figure, effect: Effect) -> None:
    """The curve with its band, and dashed the mean over the whole space."""
    x = list(effect.values)
    dashed = {"color": GREY, "dash": "dash", "width": 1.5}
    figure.add_trace(
        go.Scatter(x=x, y=effect.whole, mode="lines", line=dashed, hoverinfo="skip", name="mean")
    )
    edge = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    figure.add_trace(go.Scatter(x=x, y=effect.low, **edge))
    figure.add_trace(go.Scatter(x=x, y=effect.high, fill="tonexty", fillcolor=BAND, **edge))
    figure.add_trace(
        go.Scatter(
            x=x,
            y=effect.mean,
            mode="lines",
            line={"color": BLUE, "width": 3},
            customdata=np.column_stack([effect.low, effect.high]),
            hovertemplate="%{x:,.4~r}: %{y:,.4~r}<br>%{customdata[0]:,.4~r} to "
            "%{customdata[1]:,.4~r}<extra></extra>",
        )
    )


def _add_levels(figure: go.Figure, effect: Effect, axis: Axis) -> None:
    error = {
        "type": "data",
        "symmetric": False,
        "array": effect.high - effect.mean,
        "arrayminus": effect.mean - effect.low,
        "color": BLUE,
        "thickness": 2,
        "width": 8,
    }
    figure.add_trace(
        go.Scatter(
            x=places(axis, effect.values),
            y=effect.mean,
            error_y=error,
            mode="markers",
            marker={"color": BLUE, "size": 12, "symbol": "diamond"},
            hovertemplate="%{x}: %{y:,.4~r}<extra></extra>",
        )
    )


def _add_region(figure: go.Figure, effect: Effect) -> None:
    """A bar at the foot of the plot under the values that may be as good as the best."""
    for low, high in effect.pieces:
        figure.add_shape(
            type="rect", x0=low, x1=high, y0=0, y1=0.022, yref="paper", fillcolor=ORANGE,
            line_width=0,
        )  # fmt: skip


def _add_default(figure: go.Figure, e: Results, axis: Axis) -> None:
    """A dotted line at the study's own default."""
    column = column_of(e, axis.name)
    if e.frame.default_given[column]:
        default = axis.from_unit(float(e.frame.default[column]))
        figure.add_vline(x=default, line={"color": GREY, "dash": "dot", "width": 1.5})


def _words(e: Results, effect: Effect, rule: Rule | None, drawn: int, there: int) -> str:
    """What is seen, in a few short sentences."""
    best = effect.mean[effect.values.index(effect.best)]
    parts = [
        f"Best at {format_value(effect.best)}: {digits(best, 4)} ({aim(e)}), "
        "where the other parameters are set well."
    ]
    mean = effect.values[int(np.argmax(effect.whole if e.maximize else -effect.whole))]
    if not effect.categorical:
        parts.append(f"Dashed: the mean over the whole space, best at {format_value(mean)}.")
    if effect.categorical:
        parts.append(f"May be as good: {', '.join(map(format_value, effect.region))}.")
    else:
        parts.append(f"May be as good (bar): {format_ranges(effect.pieces)}.")
    if rule is not None:
        span = f"{format_value(effect.best_low)} to {format_value(effect.best_high)}"
        parts.append(f"{e.level:.0%} interval of the best (shaded): {span}.")
    if effect.active < 1:
        parts.append(f"In the {effect.active:.0%} of trials that use it.")
    if drawn < there:
        parts.append(f"{drawn} of {there:,} trials are drawn, the best among them.")
    return " ".join(parts)


def _rows(effect: Effect) -> tuple[tuple[str, ...], ...]:
    count = len(effect.values)
    chosen = range(count) if effect.categorical else spread(count, TABLE_ROWS)
    return tuple(
        (
            format_value(effect.values[i]),
            *(digits(c[i], 4) for c in (effect.mean, effect.low, effect.high)),
        )
        for i in chosen
    )


def _range(e: Results, effect: Effect) -> list[float]:
    """The middle 98% of the trials and all of the band: a few disasters must not flatten it.

    It ends where the metric does.
    """
    values = e.frame.value[e.frame.state == COMPLETE]
    low, high = np.quantile(values, [0.01, 0.99]) if len(values) else (np.inf, -np.inf)
    low, high = min(low, effect.low.min()), max(high, effect.high.max())
    pad = 0.06 * (high - low) or 1.0
    return within_bounds(e, low - pad, high + pad)
