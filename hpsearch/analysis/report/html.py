"""The explanation as one self-contained page: rules on top, then plots one can hover.

Plotly's script is part of the file, compressed (1.9 MB; 4.8 MB plain), so it needs no network. The
page follows the reader's dark mode and prints; every plot is said in words, with its numbers behind
it, and without scripts these are what is seen.

Rules stand as cards, each with the place of its values in the searched range.
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

from hpsearch.analysis.read.axes import Axis, Value
from hpsearch.analysis.report.configurations import (
    TUNING_HEADER,
    configurations,
    path_line,
    tuning_rows,
)
from hpsearch.analysis.report.front import front_plots
from hpsearch.analysis.report.plots.figures import Group, plot_groups
from hpsearch.analysis.report.plots.style import Plot, to_plain
from hpsearch.analysis.report.share_rows import HEADER, legend, share_rows
from hpsearch.analysis.report.shared import aim
from hpsearch.analysis.report.table import refusal
from hpsearch.analysis.results import Results
from hpsearch.analysis.rules.rules import Rule
from hpsearch.core.terminal import visible
from hpsearch.core.words import code_html, digits, format_ranges, format_value

LONGEST_NAME = 48  # characters, in a column of a table
NO_PLOTS = (
    '<p id="no-plots" class="refusal" hidden>This browser cannot draw the plots (one from 2023 or '
    "later can): their numbers are below.</p>"
    "<noscript><style>.plot { display: none; }</style></noscript>"
)
HERE = Path(__file__).parent


def render_html(explanation: Results) -> str:
    """The whole page as text."""
    e, body, figures = explanation, list[str](), list[object]()
    if e.front is not None:
        plots = front_plots(e.front)
        figures += [to_plain(plot.figure) for plot in plots]
        body.append(_front(e.study, plots))
    for one in (e, *e.others):
        groups = plot_groups(one)
        figures += [to_plain(plot.figure) for group in groups for plot in group.plots]
        body += _of_one(one, groups, title=e.study if e.front is None else one.metric)
    body.append(_footer(e))
    return page_html(f"{e.study}: what matters", "\n".join(body), figures)


def _of_one(e: Results, groups: Sequence[Group], title: str) -> list[str]:
    """All that is said of one objective."""
    body = ["<article>", _header(e, title), _use(e), "<section><h2>Rules</h2>", _rules(e), _next(e)]
    body += [_ranges(e), _tuning(e), "</section>"]
    for group in groups:
        body += [f"<section><h2>{escape(group.title)}</h2>", _plots(group)]
        if group is groups[0]:
            body.append(_opinions(e))
        body.append("</section>")
    if e.notes:
        notes = "".join(f"<li>{escape(note)}</li>" for note in e.notes)
        body.append(f'<section><h2>Notes</h2><ul class="notes">{notes}</ul></section>')
    return [*body, "</article>"]


def _front(study: str, plots: Sequence[Plot]) -> str:
    """The trials between which one has to choose, on top of what is said of each objective."""
    figures = "".join(map(figure_html, plots))
    return (
        f"<header><h1>{escape(study)}</h1></header><section><h2>Pareto front</h2>"
        f'<div class="plots">{figures}</div></section>'
    )


def page_html(title: str, body: str, figures: Sequence[object]) -> str:
    """A page that needs no network: its figures are drawn into the `.plot`s of the body in turn."""
    # "<" cannot end the script element if it is not there.
    data = json.dumps(figures, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(visible(title))}</title>",
            f"<style>\n{_file('page.css')}</style>\n</head>\n<body>",
            f"{NO_PLOTS}<main>",
            visible(body),
            "</main>",
            f'<script type="application/json" id="figures">{visible(data)}</script>',
            f'<script type="text/plain" id="plotly">{_packed_plotly()}</script>',
            f"<script>\n{_file('page.js')}</script>\n</body>\n</html>\n",
        ]
    )


def _header(e: Results, title: str) -> str:
    counts = [f"{e.n_complete:,} complete"]
    counts += [f"{e.n_pruned:,} pruned"] if e.n_pruned else []
    counts += [f"{e.n_failed:,} failed"] if e.n_failed else []
    q = e.quality
    facts = (
        ("Trials", f"{e.n_trials:,}", ", ".join(counts)),
        (f"Best {e.metric}", digits(e.best_value, 4), aim(e)),
        (
            "The forest explains",
            f"{max(q.r2, 0):.0%}",
            f"of unseen variance; {max(q.null, 0):.0%} would be luck",
        ),
        (
            "Repeating a trial varies by",
            digits(e.noise.value, 2),
            f"learned from {e.noise.source}",
        ),
    )
    tiles = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(more)}</small></dd></div>"
        for name, value, more in facts
    )
    return (
        f"<header><h1>{escape(title)}</h1><p>What matters for {escape(e.metric)} ({aim(e)}).</p>"
        f'<dl class="facts">{tiles}</dl></header>'
    )


def _use(e: Results) -> str:
    """The best trial's values and the recommended ones, each as a line to copy."""
    return "".join(
        f"<section><h2>{escape(title)}</h2><pre>{escape(line)}</pre><p>{escape(words)}</p></section>"
        for title, words, line in configurations(e)
    )


def _tuning(e: Results) -> str:
    """What tuning each parameter gains, and the path from the defaults."""
    if e.tunability is None:
        return ""
    table = table_html(TUNING_HEADER, tuning_rows(e.tunability))
    return f"<h3>What tuning gains</h3>{table}<p>{escape(path_line(e.tunability))}</p>"


def _rules(e: Results) -> str:
    """The rules, or why there are none."""
    if not e.rules:
        return f'<p class="refusal"><b>No rules yet.</b> {escape(refusal(e))}</p>'
    return f'<ol class="rules">{"".join(_card(e, rule) for rule in e.rules)}</ol>'


def _card(e: Results, rule: Rule) -> str:
    evidence = " ".join(part for part in (rule.detail, rule.evidence) if part)
    return (
        f'<li class="{rule.kind}"><p class="advice">{code_html(rule.advice)}</p>'
        f"{_range(e, rule)}"
        f'<p class="evidence">{code_html(evidence)}</p></li>\n'
    )


def _range(e: Results, rule: Rule) -> str:
    """A line for the searched range: the rule's interval, its value, and the default."""
    axis = next((axis for axis in e.frame.axes if axis.name == rule.param), None)
    if axis is None or axis.is_categorical:
        return ""
    if rule.kind in ("no-effect", "conditional"):
        return ""

    def x(unit: float) -> str:
        return f"{100 * unit:.2f}%"

    def place(value: Value) -> str:
        return x(float(axis.to_unit([value])[0]))

    spans = "".join(
        f'<line class="span" x1="{x(low)}" x2="{x(max(high, low + 0.004))}" y1="10" y2="10" '
        'stroke-width="8"/>'
        for low, high in rule.unit_pieces
    )
    value, default = "", ""
    low, high = _ends(axis)
    words = f"From {low} to {high}: "
    words += format_ranges(rule.pieces)
    if rule.kind != "avoid":
        value = f'<circle class="value" cx="{place(rule.value)}" cy="10" r="5"/>'
    if "default-unknown" not in rule.flags:
        at = place(rule.default)
        default = f'<line class="default" x1="{at}" x2="{at}" y1="2" y2="18" stroke-width="2"/>'
        words += f"; the line is the default, {format_value(rule.default)}"
    return (
        f'<svg class="range" role="img" aria-label="{escape(words)}"><title>{escape(words)}</title>'
        '<line class="track" x1="0" x2="100%" y1="10" y2="10" stroke-width="4"/>'
        f'{spans}{default}{value}<text x="0" y="34">{escape(low)}</text>'
        f'<text x="100%" y="34" text-anchor="end">{escape(high)}</text></svg>'
    )


def _ends(axis: Axis) -> tuple[str, str]:
    """The ends of the searched range, whole numbers as such."""
    return format_value(axis.from_unit(0.0)), format_value(axis.from_unit(1.0))


def _next(e: Results) -> str:
    if not e.next_steps:
        return ""
    return f"<h3>Next</h3><pre>{escape(chr(10).join(e.next_steps))}</pre>"


def _ranges(e: Results) -> str:
    """Where the rules hold: what was searched."""
    rows = [
        (axis.name, ", ".join(map(format_value, axis.choices)), "")
        if axis.is_categorical
        else (
            axis.name,
            " to ".join(_ends(axis)),
            "log" if axis.log else "linear",
        )
        for axis in e.frame.axes
    ]
    table = table_html(("parameter", "searched", "scale"), rows)
    return f"<details><summary>The ranges within which this holds</summary>{table}</details>"


def _plots(group: Group) -> str:
    several = " several" if len(group.plots) > 1 and not group.wide else ""
    legend = f'<p class="legend">{escape(group.legend)}</p>' if group.legend else ""
    figures = "".join(map(figure_html, group.plots))
    return f'{legend}<div class="plots{several}">{figures}</div>'


def figure_html(plot: Plot) -> str:
    """A place for the plot, what is seen in words, and its numbers."""
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


def _opinions(e: Results) -> str:
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


def _footer(e: Results) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in e.versions.items())
    return f"<footer>hpsearch; seed {e.seed}; {e.level:.0%} intervals; {escape(versions)}</footer>"


def _file(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _packed_plotly() -> str:
    script = get_plotlyjs().encode()
    return base64.b64encode(gzip.compress(script, compresslevel=9, mtime=0)).decode()
