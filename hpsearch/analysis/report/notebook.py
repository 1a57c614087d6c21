"""What a notebook shows of an explanation: short, in the notebook's own colours.

Names come out of stores and files: all are escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from hpsearch.analysis.pooling.results import PoolingResults
from hpsearch.analysis.report.configurations import configurations
from hpsearch.analysis.report.front import front_header, front_rows, front_words
from hpsearch.analysis.report.html import table_html
from hpsearch.analysis.report.pooling import columns, heading_of, legend, row_of, tables
from hpsearch.analysis.report.share_rows import interval, name_of, strong_pairs
from hpsearch.analysis.report.table import MAX_PAIRS, MAX_PARAMS, heading, refusal
from hpsearch.analysis.results import Results
from hpsearch.core.terminal import visible
from hpsearch.core.words import code_html, percent

LEFT = '<div style="text-align: left">'  # Jupyter's tables and lists would stand in the middle
PRE = '<pre style="white-space: pre-wrap; overflow-wrap: anywhere">'  # no line leaves the cell


def explanation_html(e: Results) -> str:
    """The front, then of each objective: heading, configurations, rules, and shares."""
    parts = []
    if e.front is not None:
        table = table_html(front_header(e.front), front_rows(e.front))
        parts = [f"<h4>Pareto front</h4><p>{escape(front_words(e.front))}</p>{table}"]
    parts += [_one(one) for one in (e, *e.others)]
    return visible(f"{LEFT}{''.join(parts)}</div>")


def pooling_html(pooling: PoolingResults) -> str:
    """A table of the pooled rules, each one's sentences, and its studies and moderators."""
    table = table_html(columns(pooling), [row_of(one) for one in pooling.optima])
    rules = "".join(f"<li>{code_html(one.statement)}{tables(one)}</li>" for one in pooling.optima)
    left = "".join(f"<li>Not pooled: {escape(f'{p}: {why}')}.</li>" for p, why in pooling.left_out)
    head = f"<h4>{escape(heading_of(pooling))}</h4>"
    foot = f"<p>{escape(legend(pooling))}</p>" if pooling.optima else ""
    table = table if pooling.optima else ""
    return visible(f"{LEFT}{head}{table}<ul>{rules}{left}</ul>{foot}</div>")


def _one(e: Results) -> str:
    first, *more = heading(e)
    used = "".join(
        f"<p><b>{escape(title)}:</b> {escape(words)}</p>{PRE}{escape(line)}</pre>"
        for title, words, line in configurations(e)
    )
    rules = "".join(f"<li>{rule._repr_html_()}</li>" for rule in e.rules)
    rules = f"<ul>{rules}</ul>" if e.rules else f"<p><b>No rules yet.</b> {escape(refusal(e))}</p>"
    notes = "".join(f"<li>{escape(note)}</li>" for note in e.notes)
    notes = f"<ul>{notes}</ul>" if notes else ""
    return (
        f"<h4>{escape(first)}</h4><p>{escape(' '.join(more))}</p>{used}{rules}{_shares(e)}{notes}"
    )


def _shares(e: Results) -> str:
    shown = [*e.main_importances[:MAX_PARAMS], *strong_pairs(e, MAX_PAIRS)]
    rows: Sequence[Sequence[str]] = [(name_of(i), percent(i.share), interval(i)) for i in shown]
    title = "what matters" if e.trusted else "a first impression, not to be trusted yet"
    return table_html((title, "share of the variance", f"{e.level:.0%} interval"), rows)
