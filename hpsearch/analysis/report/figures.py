"""The plots of an explanation, as Plotly figures."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from hpsearch.analysis.effects import Effect, Surface
from hpsearch.analysis.explanation import Explanation
from hpsearch.analysis.frame import COMPLETE, FAILED, PRUNED, Frame

BLUE, ORANGE, GREY = "#3d84c6", "#d9822b", "#80868f"
MAX_CURVES = 8
MAX_POINTS = 2000  # trials drawn in a plot: the newest ones
MAX_BARS = 15

Figures = list[tuple[str, list[go.Figure]]]


def figures(e: Explanation) -> Figures:
    """(title, plots) in reading order; empty groups are left out."""
    shown = [i.params[0] for i in e.main_importances[:MAX_CURVES]]
    effects = {effect.param: effect for effect in e.effects}
    groups: Figures = [
        ("What matters" if e.trusted else "A first impression", [importance_figure(e)]),
        ("Effects", [effect_figure(e, effects[p]) for p in shown if p in effects]),
        ("Interactions", [surface_figure(e, surface) for surface in e.surfaces]),
        ("Failures", [failure_figure(e)] if e.failures.curves else []),
        ("History", [history_figure(e)]),
        ("All trials", [parallel_figure(e)] if len(e.frame.axes) > 1 else []),
    ]
    return [(title, group) for title, group in groups if group]


def importance_figure(e: Explanation) -> go.Figure:
    """Shares with intervals, largest on top."""
    top = [i for i in e.importances if len(i.params) == 1 or i.share >= 0.02][:MAX_BARS][::-1]
    share = np.array([100 * i.share for i in top])
    bar = go.Bar(
        x=share,
        y=[" x ".join(i.params) for i in top],
        orientation="h",
        marker_color=[BLUE if len(i.params) == 1 else GREY for i in top],
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [100 * i.high - 100 * i.share for i in top],
            "arrayminus": [100 * i.share - 100 * i.low for i in top],
            "color": GREY,
        },
        hovertemplate="%{y}: %{x:.1f}% of the variance<extra></extra>",
    )
    figure = go.Figure(bar)
    figure.update_xaxes(title=f"share of variance, % (with {e.level:.0%} interval)", range=[0, 100])
    return _styled(figure, height=120 + 26 * len(top))


def effect_figure(e: Explanation, effect: Effect) -> go.Figure:
    """Curve, band, trials, interval of the optimum, and the noise floor below the best."""
    x = [str(value) for value in effect.values] if effect.categorical else list(effect.values)
    figure = go.Figure()
    figure.add_trace(_trials(e, effect))
    band = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    if effect.categorical:
        error = {
            "type": "data",
            "symmetric": False,
            "array": effect.high - effect.mean,
            "arrayminus": effect.mean - effect.low,
        }
        marker = {"color": BLUE, "size": 11, "symbol": "diamond"}
        figure.add_trace(
            go.Scatter(x=x, y=effect.mean, error_y=error, mode="markers", marker=marker)
        )
    else:
        figure.add_trace(go.Scatter(x=x, y=effect.low, **band))
        figure.add_trace(
            go.Scatter(x=x, y=effect.high, fill="tonexty", fillcolor="rgba(61,132,198,.25)", **band)
        )
        figure.add_trace(
            go.Scatter(x=x, y=effect.mean, mode="lines", line={"color": BLUE, "width": 2.5})
        )
        if any(r.param == effect.param and r.kind != "no-effect" for r in e.rules):
            figure.add_vrect(
                x0=effect.best_low,
                x1=effect.best_high,
                fillcolor=ORANGE,
                opacity=0.15,
                line_width=0,
            )
    best = effect.mean.max() if e.maximize else effect.mean.min()
    floor = best - e.noise.value if e.maximize else best + e.noise.value
    figure.add_hline(y=floor, line={"color": GREY, "dash": "dot", "width": 1})
    figure.update_xaxes(
        title=effect.param, type="category" if effect.categorical else _scale(effect.log)
    )
    figure.update_yaxes(title=e.metric, range=_range(e, effect))
    return _styled(figure)


def surface_figure(e: Explanation, surface: Surface) -> go.Figure:
    """The joint effect of two parameters."""
    figure = go.Figure(
        go.Heatmap(
            x=[_label(value) for value in surface.x],
            y=[_label(value) for value in surface.y],
            z=surface.z,
            colorscale="Viridis" if e.maximize else "Viridis_r",
            colorbar={"title": e.metric, "thickness": 12},
        )
    )
    figure.update_xaxes(title=surface.params[0], type=_kind(surface.x, surface.log[0]))
    figure.update_yaxes(title=surface.params[1], type=_kind(surface.y, surface.log[1]))
    return _styled(figure)


def failure_figure(e: Explanation) -> go.Figure:
    """P(failure) along each parameter, on the sampling scale."""
    figure = go.Figure()
    for name, curve in e.failures.curves.items():
        place = np.linspace(0, 1, len(curve))
        figure.add_trace(go.Scatter(x=place, y=100 * curve, mode="lines", name=name))
    figure.update_xaxes(title="position in the parameter's range")
    figure.update_yaxes(title="trials that fail, %", rangemode="tozero")
    return _styled(figure, legend=True)


def history_figure(e: Explanation) -> go.Figure:
    """Every trial's value in order, and the best so far."""
    frame, figure = e.frame, go.Figure()
    for state, name, color in ((COMPLETE, "complete", BLUE), (PRUNED, "pruned", GREY)):
        rows = np.flatnonzero(frame.state == state)[-MAX_POINTS:]
        if len(rows):
            figure.add_trace(
                go.Scatter(
                    x=frame.number[rows],
                    y=frame.value[rows],
                    mode="markers",
                    name=name,
                    marker={"color": color, "size": 6, "opacity": 0.7},
                )
            )
    done = np.flatnonzero(frame.state == COMPLETE)
    best = (np.maximum if e.maximize else np.minimum).accumulate(frame.value[done])
    line = {"color": ORANGE, "shape": "hv"}
    figure.add_trace(
        go.Scatter(x=frame.number[done], y=best, mode="lines", name="best so far", line=line)
    )
    figure.update_xaxes(title="trial")
    figure.update_yaxes(title=e.metric)
    return _styled(figure, legend=True)


def parallel_figure(e: Explanation) -> go.Figure:
    """Every trial as a line through its parameters, on their sampling scale."""
    frame = e.frame
    rows = np.flatnonzero(frame.state != FAILED)[-MAX_POINTS:]
    order = [i.params[0] for i in e.main_importances]
    columns = sorted(
        (c for c in range(len(frame.axes)) if not np.isnan(frame.unit[rows, c]).any()),
        key=lambda c: order.index(frame.axes[c].name) if frame.axes[c].name in order else 99,
    )[:MAX_CURVES]
    dimensions = [_dimension(frame, rows, column) for column in columns]
    dimensions.append({"label": e.metric, "values": frame.value[rows]})
    line = {"color": frame.value[rows], "colorscale": "Viridis", "reversescale": not e.maximize}
    figure = go.Figure(go.Parcoords(dimensions=dimensions, line=line))
    return _styled(figure, margin={"l": 50, "r": 40, "t": 60, "b": 20})


def _dimension(frame: Frame, rows: np.ndarray, column: int) -> dict[str, Any]:
    axis = frame.axes[column]
    ticks = axis.levels() if axis.is_categorical else np.linspace(0, 1, 5)
    return {
        "label": axis.name,
        "values": frame.unit[rows, column],
        "range": [0, 1],
        "tickvals": list(ticks),
        "ticktext": [_label(axis.from_unit(tick)) for tick in ticks],
    }


def _trials(e: Explanation, effect: Effect) -> go.Scatter:
    frame = e.frame
    column = next(c for c, axis in enumerate(frame.axes) if axis.name == effect.param)
    unit = frame.unit[:, column]
    rows = np.flatnonzero((frame.state == COMPLETE) & ~np.isnan(unit))[-MAX_POINTS:]
    values = [frame.axes[column].from_unit(u) for u in unit[rows]]
    return go.Scatter(
        x=[str(v) for v in values] if effect.categorical else values,
        y=frame.value[rows],
        mode="markers",
        text=[f"trial {number}" for number in frame.number[rows]],
        marker={"color": GREY, "size": 5, "opacity": 0.5},
    )


def _range(e: Explanation, effect: Effect) -> list[float]:
    """The middle 98% of the trials and all of the band: a few disasters must not flatten it."""
    values = e.frame.value[e.frame.state == COMPLETE]
    low, high = np.quantile(values, [0.01, 0.99]) if len(values) else (np.inf, -np.inf)
    low, high = min(low, effect.low.min()), max(high, effect.high.max())
    pad = 0.05 * (high - low) or 1.0
    return [float(low - pad), float(high + pad)]


def _scale(log: bool) -> str:
    return "log" if log else "linear"


def _kind(values: tuple[Any, ...], log: bool) -> str:
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    return _scale(log) if numbers else "category"


def _label(value: Any) -> Any:  # noqa: ANN401 - numbers stay numbers, the rest becomes text
    if isinstance(value, float):
        return float(f"{value:.3g}")
    return value if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _styled(
    figure: go.Figure,
    *,
    height: int = 340,
    legend: bool = False,
    margin: dict[str, int] | None = None,
) -> go.Figure:
    figure.update_layout(
        height=height,
        margin=margin or {"l": 60, "r": 15, "t": 20, "b": 50},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": GREY, "size": 13},
        showlegend=legend,
        legend={"orientation": "h", "y": 1.12},
        template="none",
    )
    look = {"gridcolor": "rgba(128,134,143,.25)", "zeroline": False, "exponentformat": "power"}
    figure.update_xaxes(**look)
    figure.update_yaxes(automargin=True, ticksuffix=" ", **look)
    return figure
