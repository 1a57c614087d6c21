"""The explanation as one self-contained page: rules on top, then plots one can hover.

Plotly's script is part of the file, compressed (1.9 MB; 4.8 MB plain), so it needs no network. The
page follows the reader's dark mode and prints; every plot is said in words, with its numbers behind
it, and without scripts these are what is seen.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from functools import lru_cache
from html import escape
from pathlib import Path

from plotly.offline import get_plotlyjs

from hpsearch.analysis.explanation import Explanation
from hpsearch.analysis.report.figures import Group, plot_groups
from hpsearch.analysis.report.plot import Plot, aim, to_plain
from hpsearch.analysis.report.rule_cards import rules_html
from hpsearch.analysis.report.shares import HEADER, legend, share_rows
from hpsearch.analysis.rules import show

LONGEST_NAME = 48  # characters, in a column of a table
HERE = Path(__file__).parent


def render_html(explanation: Explanation) -> str:
    """The whole page as text."""
    e = explanation
    groups = plot_groups(e)
    figures = [to_plain(plot.figure) for group in groups for plot in group.plots]
    body = [_header(e), "<main>", "<section><h2>Rules</h2>", rules_html(e), _next(e), _ranges(e)]
    body.append("</section>")
    for group in groups:
        body += [f"<section><h2>{escape(group.title)}</h2>", _plots(group)]
        if group is groups[0]:
            body.append(_opinions(e))
        body.append("</section>")
    if e.notes:
        notes = "".join(f"<li>{escape(note)}</li>" for note in e.notes)
        body.append(f'<section><h2>Notes</h2><ul class="notes">{notes}</ul></section>')
    body += ["</main>", _footer(e)]
    return _page(f"{e.study}: what matters", "\n".join(body), figures)


def _page(title: str, body: str, figures: Sequence[object]) -> str:
    # "<" cannot end the script element if it is not there.
    data = json.dumps(figures, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>",
            f"<style>\n{_file('page.css')}</style>\n</head>\n<body>",
            body,
            f'<script type="application/json" id="figures">{data}</script>',
            f'<script type="text/plain" id="plotly">{_packed_plotly()}</script>',
            f"<script>\n{_file('page.js')}</script>\n</body>\n</html>\n",
        ]
    )


def _header(e: Explanation) -> str:
    counts = [f"{e.n_complete:,} complete"]
    counts += [f"{e.n_pruned:,} pruned"] if e.n_pruned else []
    counts += [f"{e.n_failed:,} failed"] if e.n_failed else []
    q = e.quality
    facts = (
        ("Trials", f"{e.n_trials:,}", ", ".join(counts)),
        (f"Best {e.metric}", f"{e.best_value:.4g}", aim(e)),
        (
            "The forest explains",
            f"{max(q.r2, 0):.0%}",
            f"of unseen variance; {max(q.null, 0):.0%} would be luck",
        ),
        ("Repeating a trial varies by", f"{e.noise.value:.2g}", f"learned from {e.noise.source}"),
    )
    tiles = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(more)}</small></dd></div>"
        for name, value, more in facts
    )
    return (
        f"<header><h1>{escape(e.study)}</h1><p>What matters for {escape(e.metric)} ({aim(e)}).</p>"
        f'<dl class="facts">{tiles}</dl>'
        '<p id="no-plots" class="refusal" hidden>This browser cannot draw the plots (one from 2023 '
        "or later can): their numbers are below.</p>"
        "<noscript><style>.plot { display: none; }</style></noscript></header>"
    )


def _next(e: Explanation) -> str:
    if not e.next_steps:
        return ""
    return f"<h3>Next</h3><pre>{escape(chr(10).join(e.next_steps))}</pre>"


def _ranges(e: Explanation) -> str:
    """Where the rules hold: what was searched."""
    rows = [
        (axis.name, ", ".join(map(show, axis.choices)), "")
        if axis.is_categorical
        else (axis.name, f"{show(axis.low)} to {show(axis.high)}", "log" if axis.log else "linear")
        for axis in e.frame.axes
    ]
    table = table_html(("parameter", "searched", "scale"), rows)
    return f"<details><summary>The ranges within which this holds</summary>{table}</details>"


def _plots(group: Group) -> str:
    several = " several" if len(group.plots) > 1 and not group.wide else ""
    legend = f'<p class="legend">{escape(group.legend)}</p>' if group.legend else ""
    figures = "".join(map(_figure, group.plots))
    return f'{legend}<div class="plots{several}">{figures}</div>'


def _figure(plot: Plot) -> str:
    height = plot.figure.layout.height
    numbers = ""
    if plot.rows:
        table = table_html(plot.header, plot.rows)
        numbers = f"<details><summary>The numbers</summary>{table}</details>"
    return (
        f"<figure><h3>{escape(plot.title)}</h3>"
        f'<div class="plot" role="img" aria-label="{escape(plot.words)}" '
        f'style="min-height:{height}px"></div>'
        f"<figcaption>{escape(plot.words)}</figcaption>{numbers}</figure>\n"
    )


def _opinions(e: Explanation) -> str:
    table = table_html(HEADER, share_rows(e, LONGEST_NAME))
    return (
        f'<figure class="opinions"><h3>Second opinions</h3>{table}'
        f"<figcaption>{escape(legend(e))}</figcaption></figure>"
    )


def table_html(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column names the rows."""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    lines = []
    for first, *rest in rows:
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in rest)
        lines.append(f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>')
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _footer(e: Explanation) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in e.versions.items())
    return f"<footer>hpsearch; seed {e.seed}; {e.level:.0%} intervals; {escape(versions)}</footer>"


def _file(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _packed_plotly() -> str:
    script = get_plotlyjs().encode()
    return base64.b64encode(gzip.compress(script, compresslevel=9, mtime=0)).decode()
