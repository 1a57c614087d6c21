"""The taste map: items by two components of their factors, with titles, as PNG and as HTML.

The page draws itself with a small script of its own: Plotly's would be 4.8 MB for a few dots.
"""

from __future__ import annotations

import io
import json
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.core.files import write_atomically
from hpsearch.core.terminal import visible
from hpsearch.trainers.collab.recommender.interpret import Components
from hpsearch.trainers.shared.plot_settings import default_settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMED = 60  # of the items rated most get their title, where there is room for it
LONGEST = 34  # characters of a title
DIGITS = 4  # of a place on the page
BLUE, GREY = "#2f6fdb", "#80868f"
HINT = "Point at a dot, or touch it: here its title is shown."
STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --paper: #fff; --blue: #2f6fdb; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0f1318; --blue: #6cb0f0; } }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 80rem; padding: 1rem;
  color: var(--ink); background: var(--paper); }
h1 { font-size: 1.3rem; margin: 0; overflow-wrap: anywhere; }
p { margin: .3rem 0; min-height: 1.5em; overflow-wrap: anywhere; }
svg { display: block; width: 100%; touch-action: manipulation; }
circle { fill: #80868f; opacity: .45; } circle.named { fill: var(--blue); opacity: 1; }
text { font-size: 11px; fill: var(--ink); } text.axis { font-size: 12px; fill: #80868f; }
"""


def draw(found: Components, output: Path, *, title: str) -> tuple[Path, Path]:
    """Write OUTPUT.png and OUTPUT.html, of the first two of at least two components. Raises
    InputError where they cannot be written."""
    png, html = (output.with_name(output.name + suffix) for suffix in (".png", ".html"))
    write_atomically(png, draw_png(found, title))
    write_atomically(html, draw_html(found, title))
    return png, html


@default_settings()
def draw_png(found: Components, title: str) -> bytes:
    """A picture with titles where there is room."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8), dpi=130, layout="constrained")
    axes = figure.add_subplot()
    table = found.table
    axes.scatter(table["1"], table["2"], s=9, color=GREY, alpha=0.35, linewidths=0)
    axes.set_title(title, loc="left", parse_math=False)  # a $ is no formula
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
            _shortened(title), (x, y), xytext=(3, 2), textcoords="offset points", fontsize=7.5,
            parse_math=False,
        )  # fmt: skip
        box = text.get_window_extent()
        if any(box.overlaps(other) for other in taken):
            text.remove()
            continue
        taken.append(box)
        axes.scatter([x], [y], s=14, color=BLUE, linewidths=0, zorder=3)


def draw_html(found: Components, title: str) -> str:
    """The same as a page that needs no network, with all titles at the pointer."""
    table = found.table
    columns = (table["1"], table["2"], table["title"])
    points = [
        [float(f"{x:.{DIGITS}g}"), float(f"{y:.{DIGITS}g}"), name]
        for x, y, name in zip(*columns, strict=True)
    ]
    content = {
        "points": points,
        "named": NAMED,
        "longest": LONGEST,
        "labels": [_label(found, 0), _label(found, 1)],
    }
    # "<" cannot end the script element if it is not there.
    data = json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    script = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
    return visible(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>"
        f'<h1>{escape(title)}</h1><p id="said" data-hint="{HINT}">{HINT}</p><svg></svg>'
        f'<script type="application/json" id="points">{data}</script>'
        f"<script>\n{script}</script></body></html>\n"
    )


def _label(found: Components, place: int) -> str:
    return f"component {place + 1} ({found.shares[place]:.0%} of the variance)"


def _shortened(title: str) -> str:
    return title if len(title) <= LONGEST else f"{title[: LONGEST - 3].rstrip()}..."
