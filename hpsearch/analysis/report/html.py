"""The explanation as one self-contained page: rules on top, then plots one can hover.

Plotly's script is part of the file, so it needs no network (and weighs 5 MB). Colours are chosen to
be read on white and on black; the page follows the reader's dark mode and prints.
"""

from __future__ import annotations

from html import escape

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs
from rich.text import Text

from hpsearch.analysis.explanation import Explanation
from hpsearch.analysis.report.figures import figures
from hpsearch.analysis.report.table import heading, refusal

STYLE = """
:root { color-scheme: light dark; --line: #8884; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2rem 0 .3rem; }
p.quality, .notes { opacity: .75; }
ol.rules { padding-left: 1.3rem; } ol.rules li { margin: .5rem 0; }
.refusal { border-left: 4px solid #d9822b; padding: .3rem .8rem; }
code { background: #8883; border-radius: 3px; padding: 0 .25em; }
figure { margin: 0; border-top: 1px solid var(--line); break-inside: avoid; }
@media (min-width: 50rem) {
  .curves { display: grid; grid-template-columns: 1fr 1fr; gap: 0 1rem; }
}
"""


def render_html(explanation: Explanation) -> str:
    """The whole page as text."""
    e = explanation
    quality = Text.from_markup(heading(e)).plain.removeprefix(f"{e.study}: ").split("\n")
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(e.study)}: what matters</title><style>{STYLE}</style>",
        f"<script>{get_plotlyjs()}</script></head><body>",
        f"<h1>{escape(e.study)}</h1>",
        *(f'<p class="quality">{escape(line)}</p>' for line in quality),
        "<h2>Rules</h2>",
        _rules(e),
    ]
    for title, group in figures(e):
        parts.append(f"<h2>{escape(title)}</h2>")
        several = len(group) > 1
        parts.append('<div class="curves">' if several else "<div>")
        parts += [f"<figure>{_plot(figure)}</figure>" for figure in group]
        parts.append("</div>")
    if e.notes:
        notes = "".join(f"<li>{escape(note)}</li>" for note in e.notes)
        parts.append(f'<h2>Notes</h2><ul class="notes">{notes}</ul>')
    parts.append("</body></html>\n")
    return "\n".join(parts)


def _rules(e: Explanation) -> str:
    if not e.trusted:
        return f'<p class="refusal"><b>No rules yet.</b> {escape(refusal(e))}</p>'
    if not e.rules:
        return "<p>The trials tell parameters apart, but support no rule yet.</p>"
    items = "".join(f"<li>{_code(rule.statement)}</li>" for rule in e.rules)
    return f'<ol class="rules">{items}</ol>'


def _code(statement: str) -> str:
    """`name` becomes code."""
    pieces = escape(statement).split("`")
    return "".join(
        f"<code>{piece}</code>" if index % 2 else piece for index, piece in enumerate(pieces)
    )


def _plot(figure: go.Figure) -> str:
    config = {"responsive": True, "displayModeBar": False}
    html: str = figure.to_html(full_html=False, include_plotlyjs=False, config=config)
    return html
