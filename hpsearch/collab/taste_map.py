"""The taste map: items by two components of their factors, with titles, as PNG and as HTML."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.collab.interpret import Components
from hpsearch.files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMED = 60  # of the items rated most get their title, where there is room for it
LONGEST = 34  # characters of a title
BLUE, GREY = "#2f6fdb", "#80868f"


def draw(found: Components, output: Path, *, title: str) -> tuple[Path, Path]:
    """Write OUTPUT.png and OUTPUT.html, of the first two of at least two components. Raises
    InputError where they cannot be written."""
    png, html = (output.with_name(output.name + suffix) for suffix in (".png", ".html"))
    write_whole(png, draw_png(found, title))
    write_whole(html, draw_html(found, title))
    return png, html


def draw_png(found: Components, title: str) -> bytes:
    """A picture with titles where there is room."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8), dpi=130, layout="constrained")
    axes = figure.add_subplot()
    table = found.table
    axes.scatter(table["1"], table["2"], s=9, color=GREY, alpha=0.35, linewidths=0)
    axes.set_title(title, loc="left")
    axes.set_xlabel(_label(found, 0))
    axes.set_ylabel(_label(found, 1))
    axes.spines[["top", "right"]].set_visible(False)
    figure.draw_without_rendering()
    _name(axes, found)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _name(axes: Axes, found: Components) -> None:
    """Write the titles of the items rated most, but none over another."""
    taken: list[Any] = []
    named = found.table.head(NAMED)
    for title, x, y in zip(named["title"], named["1"], named["2"], strict=True):
        text = axes.annotate(
            _short(title), (x, y), xytext=(3, 2), textcoords="offset points", fontsize=7.5
        )
        box = text.get_window_extent()
        if any(box.overlaps(other) for other in taken):
            text.remove()
            continue
        taken.append(box)
        axes.scatter([x], [y], s=14, color=BLUE, linewidths=0, zorder=3)


def draw_html(found: Components, title: str) -> str:
    """The same as a page that needs no network, with all titles at the pointer."""
    import plotly.graph_objects as go

    table, named = found.table, found.table.head(NAMED)
    hover = "%{text}<extra></extra>"
    figure = go.Figure()
    figure.add_scatter(
        x=table["1"], y=table["2"], text=table["title"], mode="markers", hovertemplate=hover,
        marker={"color": GREY, "size": 5, "opacity": 0.5}, name="all",
    )  # fmt: skip
    figure.add_scatter(
        x=named["1"], y=named["2"], text=named["title"].map(_short), mode="markers+text",
        marker={"color": BLUE, "size": 6}, textposition="top center", textfont={"size": 10},
        hovertemplate=hover, name="rated most",
    )  # fmt: skip
    figure.update_layout(title=title, template="plotly_white", height=800)
    figure.update_xaxes(title=_label(found, 0))
    figure.update_yaxes(title=_label(found, 1))
    page: str = figure.to_html(include_plotlyjs=True)
    return page


def _label(found: Components, place: int) -> str:
    return f"component {place + 1} ({found.shares[place]:.0%} of the variance)"


def _short(title: str) -> str:
    return title if len(title) <= LONGEST else f"{title[: LONGEST - 3].rstrip()}..."
