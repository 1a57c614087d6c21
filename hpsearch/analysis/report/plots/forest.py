"""Plots of several studies: each study's best value beside the pooled one, and what values cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from hpsearch.analysis.pooling.results import PooledOptimum
from hpsearch.analysis.read.axes import Value
from hpsearch.analysis.report.plots.style import (
    BAND,
    BLUE,
    GREY,
    ORANGE,
    Plot,
    literal,
    scale_look,
    styled,
    wrapped,
)
from hpsearch.core.words import digits, format_value

ROW = 26  # pixels
TABLE_ROWS = 11  # of a curve's numbers


def forest_plot(one: PooledOptimum) -> Plot:
    """Each study's best value with its interval, larger where it weighs more; the rule below."""
    figure = go.Figure()
    for part in one.parts:
        _add_row(figure, part.study, (part.low, part.best, part.high), BLUE, 6 + 14 * part.weight)
    _add_row(figure, "all studies", (one.low, one.value, one.high), ORANGE, 13, "diamond")
    if not one.categorical:
        _add_row(figure, "a new study", (one.new_low, None, one.new_high), GREY, 0)
    figure.update_xaxes(**_look(one, _reach(one)))
    order = [*(part.study for part in one.parts), "all studies", "a new study"]
    figure.update_yaxes(
        type="category", categoryorder="array", categoryarray=[*map(literal, reversed(order))]
    )
    return Plot(
        title=f"{one.param}: the best value of each study",
        words="Squares: the best value of each study with its interval, larger where the study "
        f"weighs more. Diamond: {_span(one.value, one.low, one.high)} over all studies."
        + ("" if one.categorical else " The last line: where the best of a new study is expected."),
        figure=styled(figure, height=90 + ROW * (len(one.parts) + 2)),
    )


def cost_plot(one: PooledOptimum) -> Plot:
    """What each value is expected to cost in a new study, and at most."""
    x = _x(one, one.values)
    figure = go.Figure()
    if one.categorical:
        _add_costs(figure, one, x)
    else:
        _add_cost_curve(figure, one, x)
    figure.update_xaxes(**_look(one, (one.values[0], one.values[-1])))
    # Some room below: what costs nothing stays whole, and the 0 does not lie on the numbers of x.
    top = float(np.max([*one.cost_high, *one.cost_new_high])) or 1.0
    figure.update_yaxes(title=f"cost, {literal(one.unit, 30)}", range=[-0.06 * top, 1.06 * top])
    step = max(1, (len(one.values) - 1) // (TABLE_ROWS - 1))
    rows = tuple(
        (format_value(one.values[i]), digits(one.cost[i]), digits(one.cost_new_high[i]))
        for i in range(0, len(one.values), step)
    )
    return Plot(
        title=f"{one.param}: what a value costs in a new study",
        words=f"Expected cost of each value against a new study's own best, in {one.unit}, with "
        f"its interval; dotted: what one new study may have to pay. Least at "
        f"{format_value(one.value)}.",
        figure=styled(figure),
        header=(one.param, "expected cost", "at most"),
        rows=rows,
    )


def _add_costs(figure: go.Figure, one: PooledOptimum, x: list[Any]) -> None:
    """Of categories: nothing lies between two of them, so no line joins them."""
    span = {
        "type": "data", "symmetric": False, "array": one.cost_high - one.cost,
        "arrayminus": one.cost - one.cost_low, "color": BLUE, "thickness": 2, "width": 8,
    }  # fmt: skip
    marker = {"color": BLUE, "size": 12, "symbol": "diamond"}
    figure.add_trace(go.Scatter(x=x, y=one.cost, error_y=span, mode="markers", marker=marker))
    most = {"color": GREY, "size": 12, "symbol": "line-ew-open"}
    figure.add_trace(go.Scatter(x=x, y=one.cost_new_high, mode="markers", marker=most))


def _add_cost_curve(figure: go.Figure, one: PooledOptimum, x: list[Any]) -> None:
    edge = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    figure.add_trace(go.Scatter(x=x, y=one.cost_low, **edge))
    figure.add_trace(go.Scatter(x=x, y=one.cost_high, fill="tonexty", fillcolor=BAND, **edge))
    dashed = {"color": GREY, "width": 1.5, "dash": "dot"}
    figure.add_trace(go.Scatter(x=x, y=one.cost_new_high, mode="lines", line=dashed))
    line = {"color": BLUE, "width": 3}
    figure.add_trace(go.Scatter(x=x, y=one.cost, mode="lines", line=line))


def _add_row(
    figure: go.Figure,
    name: str,
    span: tuple[Value, Value, Value],
    color: str,
    size: float,
    symbol: str = "square",
) -> None:
    low, value, high = span
    row = literal(name)
    if low is not None:
        figure.add_trace(
            go.Scatter(x=[low, high], y=[row, row], mode="lines", hoverinfo="skip",
                       line={"color": color, "width": 2})
        )  # fmt: skip
    marker = {"color": color, "size": max(size, 1), "symbol": symbol}
    text = [f"{row}: {literal(_span(value, low, high))}"]
    at = [literal(format_value(value)) if low is None else value if value is not None else low]
    figure.add_trace(
        go.Scatter(x=at, y=[row], mode="markers", marker=marker, text=text,
                   hovertemplate="%{text}<extra></extra>")
    )  # fmt: skip


def _x(one: PooledOptimum, values: Sequence[Value]) -> list[Any]:
    return [literal(format_value(value)) for value in values] if one.categorical else list(values)


def _span(value: Value, low: Value, high: Value) -> str:
    """A best value with its interval; a category has none, and a new study has no value."""
    ends = "" if low is None or low == high else f"{format_value(low)} to {format_value(high)}"
    if value is None:
        return ends
    return f"{format_value(value)} ({ends})" if ends else format_value(value)


def _reach(one: PooledOptimum) -> tuple[Value, Value]:
    """From the lowest to the highest value that the forest plot shows."""
    if one.categorical:
        return one.values[0], one.values[-1]
    rows = [(one.low, one.high), (one.new_low, one.new_high)]
    rows += [(part.low, part.high) for part in one.parts]
    shown = [float(str(end)) for row in rows for end in row if end is not None]
    return min(shown), max(shown)


def _look(one: PooledOptimum, reach: tuple[Value, Value]) -> dict[str, Any]:
    """Title, type and ticks of the parameter's axis, which goes from one end of `reach` on."""
    title = wrapped(one.param)
    if one.categorical:
        order = _x(one, one.values)
        return {
            "title": title, "type": "category", "categoryorder": "array", "categoryarray": order
        }  # fmt: skip
    ends = [float(str(value)) for value in reach]
    return {"title": title, **scale_look(ends[0], ends[1], log=one.log)}
