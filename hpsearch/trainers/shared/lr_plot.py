"""The curve of a learning-rate range test with its suggestions: a picture, and a page to hover."""

from __future__ import annotations

import io
import math
from html import escape
from pathlib import Path

import numpy as np

from hpsearch.core.files import write_atomically
from hpsearch.core.words import digits, format_value, log_ticks
from hpsearch.trainers.shared.lr_finder import LrCurve
from hpsearch.trainers.shared.plot_settings import default_settings

BLUE, ORANGE, GREEN, GREY = "#3d84c6", "#d9822b", "#3f9f6b", "#80868f"
X_LABEL = "learning rate of the head (log scale)"
TITLE, LOSS = "Learning-rate range test", "training loss"

# Each suggestion's name, what it is, its colour, its sign in matplotlib's and in plotly's words.
_MARKS = (
    ("valley", "middle of the longest descent", ORANGE, "o", "circle"),
    ("minimum", "a tenth of the rate with the lowest loss", GREEN, "s", "square"),
    ("steepest", "where the loss falls fastest", GREY, "D", "diamond"),
)
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.4rem; margin: 0 0 .3rem; overflow-wrap: anywhere; }
table { border-collapse: collapse; margin: 1rem 0; }
td { padding: .15rem 1rem .15rem 0; }
td:nth-child(2) { font-variant-numeric: tabular-nums; white-space: nowrap; }
.more { opacity: .75; }
"""


@default_settings()
def write_png(curve: LrCurve, path: Path, *, title: str = TITLE, loss: str = LOSS) -> None:
    """Draw the curve to `path`; `loss` names the loss with its unit.

    Raises HpsearchError if the curve is too short to suggest anything, InputError if `path` cannot
    be written.
    """
    from matplotlib.figure import Figure  # takes half a second; without pyplot it draws with Agg

    marks = list(zip(_MARKS, _heights(curve), strict=True))
    figure = Figure(figsize=(8, 5), dpi=150, layout="constrained")
    axes = figure.subplots()
    axes.set_xscale("log")
    axes.plot(curve.lrs, curve.losses, ".", color=GREY, alpha=0.5, markersize=5, label="each step")
    axes.plot(curve.lrs, curve.smoothed, color=BLUE, linewidth=2.2, label="running average")
    axes.plot(*_beyond(curve), "^", color=GREY, alpha=0.5, markersize=5, clip_on=False)
    for (name, what, colour, sign, _), (lr, height) in marks:
        axes.axvline(lr, color=colour, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        label = f"{name} {digits(lr, 2)}: {what}"
        axes.plot(
            lr, height, sign, color=colour, markersize=9, markeredgecolor="white", label=label
        )
    axes.margins(x=0.02)
    ticks = log_ticks(curve.lrs[0], curve.lrs[-1])
    axes.set_xticks(ticks, [format_value(tick) for tick in ticks])
    axes.tick_params(axis="x", which="minor", bottom=False)
    axes.set_ylim(*_loss_range(curve))
    axes.set_xlabel(X_LABEL)
    axes.set_ylabel(loss)
    plain = title.replace("$", r"\$")  # else two of them enclose a formula
    axes.set_title(plain, loc="left", fontweight="bold", wrap=True)
    axes.grid(color=GREY, alpha=0.2, linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()  # suggestions left, curves right
    figure.legend(
        handles[2:] + handles[:2], labels[2:] + labels[:2],
        loc="outside lower left", frameon=False, fontsize=9.5, ncols=2,
    )  # fmt: skip
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    write_atomically(path, picture.getvalue())


def write_html(curve: LrCurve, path: Path, *, title: str = TITLE, loss: str = LOSS) -> None:
    """The same as a page that needs no network (plotly's script, 5 MB, is part of it).

    Raises HpsearchError if the curve is too short to suggest anything, InputError if `path` cannot
    be written.
    """
    from plotly.offline import get_plotlyjs

    rows = "".join(
        f'<tr><td style="color:{colour}">{name}</td><td>{digits(lr, 2)}</td><td>{what}</td></tr>'
        for (name, what, colour, _, _), lr in zip(_MARKS, curve.suggestions, strict=True)
    )
    page = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f"<script>{get_plotlyjs()}</script></head><body>",
        f"<h1>{escape(title)}</h1>",
        f"<table>{rows}</table>",
        _plot(curve, loss),
        f'<p class="more">{escape(_ending(curve))}</p>',
        "</body></html>\n",
    ]
    write_atomically(path, "\n".join(page))


def _plot(curve: LrCurve, loss: str) -> str:
    import plotly.graph_objects as go

    figure = go.Figure()
    hover = "rate %{x:.2~r}<br>loss %{y:.4~r}<extra></extra>"
    each = {"color": GREY, "size": 4, "opacity": 0.6}
    figure.add_scatter(
        x=curve.lrs, y=curve.losses, name="each step", mode="markers", marker=each,
        hovertemplate=hover,
    )  # fmt: skip
    figure.add_scatter(
        x=curve.lrs, y=curve.smoothed, name="running average", mode="lines",
        line={"color": BLUE, "width": 2.5}, hovertemplate=hover,
    )  # fmt: skip
    lrs, edge = _beyond(curve)
    figure.add_scatter(
        x=lrs, y=edge, mode="markers", marker={**each, "size": 6, "symbol": "triangle-up"},
        cliponaxis=False, showlegend=False, hovertemplate="rate %{x:.2~r}<br>higher<extra></extra>",
    )  # fmt: skip
    for (name, _, colour, _, sign), (lr, height) in zip(_MARKS, _heights(curve), strict=True):
        figure.add_vline(x=lr, line={"color": colour, "dash": "dash", "width": 1})
        marker = {"color": colour, "size": 11, "symbol": sign}
        figure.add_scatter(
            x=[lr], y=[height], name=name, mode="markers", marker=marker,
            hovertemplate=f"{name} {hover}",
        )  # fmt: skip
    figure.update_layout(
        height=460,
        margin={"l": 60, "r": 15, "t": 20, "b": 50},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": GREY, "size": 13},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        template="none",
    )
    look = {"gridcolor": "rgba(128,134,143,.25)", "zeroline": False, "exponentformat": "none"}
    ticks = log_ticks(curve.lrs[0], curve.lrs[-1])
    names = [format_value(tick) for tick in ticks]
    figure.update_xaxes(title=X_LABEL, type="log", tickvals=ticks, ticktext=names, **look)
    figure.update_yaxes(title=loss, range=_loss_range(curve), automargin=True, **look)
    config = {"responsive": True, "displayModeBar": False}
    html: str = figure.to_html(full_html=False, include_plotlyjs=False, config=config)
    return html


def _heights(curve: LrCurve) -> list[tuple[float, float]]:
    """(rate, running average there) of each suggestion."""
    known = np.log(curve.lrs)
    at = [float(np.interp(math.log(lr), known, curve.smoothed)) for lr in curve.suggestions]
    return list(zip(curve.suggestions, at, strict=True))


def _loss_range(curve: LrCurve) -> tuple[float, float]:
    """All points up to the lowest average, and a third as much above: the explosion would flatten
    all else. A loss that never moves is not made to look as if it did."""
    lowest = min(curve.smoothed)
    fall = curve.losses[: curve.smoothed.index(lowest) + 1]
    low, top = min(*curve.losses, lowest), max(*fall, curve.smoothed[0])
    margin = max(0.33 * (top - low), 0.01 * abs(low)) or 1.0
    return low - 0.2 * margin, top + margin


def _beyond(curve: LrCurve) -> tuple[list[float], list[float]]:
    """The steps whose loss lies above the plot, on its upper edge."""
    top = _loss_range(curve)[1]
    lrs = [lr for lr, loss in zip(curve.lrs, curve.losses, strict=True) if loss > top]
    return lrs, [top] * len(lrs)


def _ending(curve: LrCurve) -> str:
    made, last = len(curve.lrs), digits(curve.lrs[-1], 2)
    if curve.ended == "all":
        return f"All {curve.steps} steps were made, up to a rate of {last}."
    what = "became infinite" if curve.ended == "not finite" else "was four times its lowest value"
    return f"The test ended after {made} of {curve.steps} steps, at {last}: the loss {what}."
