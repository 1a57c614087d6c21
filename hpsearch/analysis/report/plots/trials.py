"""Plots of the trials themselves: their history, all parameters at once, noise and failures."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from hpsearch.analysis.effects.grids import build_grid
from hpsearch.analysis.read.axes import Axis, Floats, Ints
from hpsearch.analysis.read.frame import COMPLETE, FAILED, PRUNED
from hpsearch.analysis.report.plots.style import (
    BLUE,
    GREY,
    ORANGE,
    RED,
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
from hpsearch.analysis.views.ice import spread
from hpsearch.core.words import digits, format_value

MAX_POINTS = 1500  # trials in the history
MAX_FAILURE_CURVES = 3
MAX_OUTCOMES = 200  # failed trials drawn along a parameter, and as many others
MIN_FAILURE_SPAN = 0.05  # of P(failure) along a parameter, to be shown


def history_plot(e: Results) -> Plot:
    """Every trial's value in order, the best so far, and failures at the foot."""
    frame, figure = e.frame, go.Figure()
    score = frame.value if e.maximize else -frame.value
    drawn = 0
    for state, name, color in ((PRUNED, "pruned", GREY), (COMPLETE, "complete", BLUE)):
        rows = thinned(np.flatnonzero(frame.state == state), score, MAX_POINTS)
        drawn += len(rows)
        if len(rows):
            figure.add_trace(_dots(frame.number[rows], frame.value[rows], name, color))
    x, y = _best_so_far(e)
    line = {"color": ORANGE, "shape": "hv", "width": 2.5}
    figure.add_trace(
        go.Scatter(x=x, y=y, mode="lines", name="best so far", line=line, hoverinfo="x+y")
    )
    _add_failed(figure, e)
    figure.update_xaxes(title="trial", tickformat=",d")
    ends = within_bounds(e, *_middle(frame.value[frame.usable]))
    figure.update_yaxes(title=metric_title(e), range=ends)
    usable = int(frame.usable.sum())
    words = f"The best value, {digits(e.best_value, 4)}, came with trial {e.best_trial} ({aim(e)})."
    if e.n_failed:
        words += f" Crosses at the foot: the {e.n_failed} trials that failed."
    if drawn < usable:
        words += f" {drawn:,} of {usable:,} trials are drawn, the best among them."
    numbers = tuple((str(n), f"{v:.6g}") for n, v in zip(x, y, strict=True))[-20:]
    header = ("trial", f"best {e.metric} so far")
    return Plot("History", words, styled(figure, legend=True), header, numbers)


def _best_so_far(e: Results) -> tuple[Ints, Floats]:
    """Trials that were better than all before, and the last one, with the best value so far."""
    done = np.flatnonzero(e.frame.state == COMPLETE)
    best = (np.maximum if e.maximize else np.minimum).accumulate(e.frame.value[done])
    better = np.diff(best, prepend=np.nan) != 0
    better[-1:] = True
    return e.frame.number[done][better], best[better]


def noise_plot(e: Results) -> Plot | None:
    """Configurations that were repeated, each with its values; None where none were."""
    frame = e.frame
    done = np.flatnonzero(frame.state == COMPLETE)
    group, count = np.unique(frame.group[done], return_counts=True)
    repeated = group[count > 1]
    if not len(repeated):
        return None
    values = [frame.value[done[frame.group[done] == g]] for g in repeated[:60]]
    values.sort(key=lambda v: float(v.mean()))
    figure = go.Figure()
    x = np.concatenate([np.full(len(v), i + 1) for i, v in enumerate(values)])
    for place, v in enumerate(values, start=1):
        figure.add_shape(
            type="line", x0=place, x1=place, y0=v.min(), y1=v.max(), line={"color": GREY}
        )
    figure.add_trace(_dots(x, np.concatenate(values), "trials", BLUE))
    figure.update_xaxes(
        title="repeated configuration, worst to best"
        if e.maximize
        else "repeated configuration, best to worst",
        dtick=max(1, -(-len(values) // 8)),
        range=[0.4, len(values) + 0.6],
    )
    figure.update_yaxes(title=metric_title(e))
    words = (
        f"{len(repeated)} configurations were run more than once. Repeating one varies by "
        f"{digits(e.noise.value, 2)} (standard deviation, {e.noise.source}): differences "
        f"below that are "
        "luck."
    )
    rows = tuple((", ".join(digits(x, 4) for x in v), digits(v.std(ddof=1), 2)) for v in values)
    return Plot("Noise floor", words, styled(figure), ("values", "standard deviation"), rows)


def prediction_plot(e: Results) -> Plot | None:
    """What the forest said of trials it had not seen; None for the exact surrogate."""
    space, fitted = e.fits[0]
    predicted, y = fitted.forest.out_of_bag, fitted.forest.table.y
    number = e.frame.number[space.rows]
    there = np.flatnonzero(np.isfinite(predicted))
    if not len(there):
        return None
    rows = thinned(there, y if e.maximize else -y, MAX_POINTS // 3)
    figure = go.Figure(_dots(predicted[rows], y[rows], "trials", BLUE, number[rows]))
    low, high = within_bounds(e, *_middle(np.concatenate([predicted[rows], y[rows]])))
    figure.add_shape(type="line", x0=low, y0=low, x1=high, y1=high, line={"color": ORANGE})
    floor = e.noise.value
    for shift in (-floor, floor):
        figure.add_shape(
            type="line",
            x0=low,
            y0=low + shift,
            x1=high,
            y1=high + shift,
            line={"color": ORANGE, "dash": "dot", "width": 1},
        )
    figure.update_xaxes(title="forest's prediction", range=[low, high])
    figure.update_yaxes(title=metric_title(e), range=[low, high])
    words = (
        f"The forest explains {max(e.quality.r2, 0):.0%} of the variance of trials that it had not "
        f"seen; with random signs it reaches {max(e.quality.null, 0):.0%} by chance. Dotted: one "
        f"noise floor ({digits(e.noise.value, 2)}) around a perfect prediction."
    )
    return Plot("Forest against trials", words, styled(figure))


def failure_plots(e: Results) -> list[Plot]:
    """P(failure) along the parameters where it changes most, with every trial."""
    spans = {name: float(np.ptp(curve)) for name, curve in e.failures.curves.items()}
    names = sorted((n for n in spans if spans[n] >= MIN_FAILURE_SPAN), key=lambda n: -spans[n])
    return [failure_plot(e, name) for name in names[:MAX_FAILURE_CURVES]]


def failure_plot(e: Results, name: str) -> Plot:
    column, curve = column_of(e, name), 100 * e.failures.curves[name]
    axis, figure = e.frame.axes[column], go.Figure()
    values = build_grid(axis, e.frame.unit[:, column]).values()
    _add_outcomes(figure, e, axis)
    mode = "markers" if axis.is_categorical else "lines"
    figure.add_trace(
        go.Scatter(
            x=places(axis, values),
            y=curve,
            mode=mode,
            name="P(failure)",
            line={"color": RED, "width": 3},
            marker={"color": RED, "size": 12, "symbol": "diamond"},
            hovertemplate=f"{hovered(axis)}: %{{y:.0f}}%<extra></extra>",
        )
    )
    for rule in e.rules:
        if rule.kind == "avoid" and rule.param == name and not axis.is_categorical:
            figure.add_vrect(x0=rule.low, x1=rule.high, fillcolor=RED, opacity=0.12, line_width=0)
    figure.update_xaxes(**axis_look(axis))
    figure.update_yaxes(title="trials that fail, %", range=[-6, 106])
    words = (
        f"{e.n_failed} of {e.n_trials:,} trials failed. Along {name} the probability goes from "
        f"{curve.min():.0f}% to {curve.max():.0f}%; most at "
        f"{format_value(values[int(curve.argmax())])}."
    )
    rows = tuple((format_value(values[i]), f"{curve[i]:.0f}%") for i in spread(len(values), 11))
    return Plot(f"Failures along {name}", words, styled(figure), (name, "P(failure)"), rows)


def _add_outcomes(figure: go.Figure, e: Results, axis: Axis) -> None:
    """Failed trials at the top, the others at the foot."""
    frame = e.frame
    unit = frame.unit[:, column_of(e, axis.name)]
    for failed, y, color, symbol in ((False, 0, GREY, "circle"), (True, 100, RED, "x")):
        rows = np.flatnonzero(((frame.state == FAILED) == failed) & ~np.isnan(unit))
        rows = thinned(rows, np.zeros(len(unit)), MAX_OUTCOMES)
        outcome = "failed" if failed else "ran through"
        x = places(axis, map(axis.from_unit, unit[rows]))
        dots = _dots(x, np.full(len(rows), y), outcome, color, frame.number[rows])
        hover = f"trial %{{customdata}} {outcome}<br>{hovered(axis)}<extra></extra>"
        dots.update(marker={"symbol": symbol, "opacity": 0.5}, hovertemplate=hover)
        figure.add_trace(dots)


def _dots(x: Any, y: Any, name: str, color: str, number: Ints | None = None) -> go.Scatter:  # noqa: ANN401
    hover = "%{x:,.4~r}: %{y:,.4~r}"
    if number is not None:
        hover = f"trial %{{customdata}}<br>{hover}"
    return go.Scatter(
        x=x,
        y=y,
        mode="markers",
        name=name,
        customdata=number,
        marker={"color": color, "size": 6, "opacity": 0.65},
        hovertemplate=f"{hover}<extra></extra>",
    )


def _add_failed(figure: go.Figure, e: Results) -> None:
    rows = np.flatnonzero(e.frame.state == FAILED)
    if not len(rows):
        return
    low, high = within_bounds(e, *_middle(e.frame.value[e.frame.usable]))
    rows = thinned(rows, np.zeros(e.n_trials), 300)
    dots = _dots(e.frame.number[rows], np.full(len(rows), low + 0.02 * (high - low)), "failed", RED)
    dots.update(marker={"symbol": "x", "size": 5}, hovertemplate="trial %{x} failed<extra></extra>")
    figure.add_trace(dots)


def _middle(values: Floats) -> list[float]:
    """The range of the middle 98% with some air: a few disasters must not flatten a plot."""
    low, high = np.quantile(values, [0.01, 0.99])
    low, high = (values.min(), high) if values.min() > low - (high - low) else (low, high)
    low, high = (low, values.max()) if values.max() < high + (high - low) else (low, high)
    pad = 0.08 * (high - low) or 1.0
    return [float(low - pad), float(high + pad)]
