"""Rules pooled over several studies, for people and programs."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any, Literal

from rich.console import Group, RenderableType
from rich.markup import escape as escape_markup
from rich.table import Table

from hpsearch.analysis.pooling.results import Moderator, PooledOptimum, PoolingResults, StudyPart
from hpsearch.analysis.read.axes import Value
from hpsearch.analysis.report.shared import to_json_types
from hpsearch.core.terminal import as_line
from hpsearch.core.words import code_html, digits, format_value

SCHEMA = "hpsearch.pool/2"
DIGITS = 6
WIDTH = 24  # characters of a forest plot: with six columns beside it, 80 hold all
PARTS = ("study", "weight", "best", "without it", "costs it", "gains it")
MODERATORS = ("moderator", "studies", "effect on the best value", "p")


def render_table(pooling: PoolingResults) -> RenderableType:
    """A table of pooled rules; below it each one's forest plot, and what moves it."""
    parts: list[RenderableType] = [as_line(heading_of(pooling), style="bold")]
    if pooling.optima:
        parts += [_table(columns(pooling), [row_of(one) for one in pooling.optima])]
    for one in pooling.optima:
        parts += ["", as_line(one.statement)]
        named, *rest = part_columns(one)
        axis = _axis(one)
        parts += [_table((named, *axis, *rest), _forest(one), drawn=axis)]
        if one.moderators:
            rows = [_moderator(m, one) for m in one.moderators]
            parts += [_table(MODERATORS, rows, left=MODERATORS[2:3])]
        parts += [as_line(note, style="dim") for note in one.notes]
    if pooling.optima:
        parts += ["", as_line(legend(pooling), style="dim")]
    if lines := [f"{param}: {reason}" for param, reason in pooling.left_out]:
        parts += ["", *(as_line(f"Not pooled: {line}.", style="dim") for line in lines)]
    return Group(*parts)


def legend(pooling: PoolingResults) -> str:
    """What the tables' columns mean, and why none says what moves the best values."""
    return " ".join(filter(None, [LEGEND, pooling.about_moderators]))


LEGEND = (
    "Without it: the rule of all other studies; costs it: that rule against this study's own best; "
    "gains it: against this study's default."
)


def render_markdown(pooling: PoolingResults) -> str:
    lines = [f"# {heading_of(pooling)}", ""]
    if pooling.optima:
        lines += _markdown(columns(pooling), [row_of(one) for one in pooling.optima])
    for one in pooling.optima:
        lines += ["", f"## `{one.param}`", "", one.statement, ""]
        lines += _markdown(part_columns(one), [_part(part, one) for part in one.parts])
        if one.moderators:
            lines += ["", *_markdown(MODERATORS, [_moderator(m, one) for m in one.moderators])]
        lines += ["", *one.notes] if one.notes else []
    lines += ["", legend(pooling)] if pooling.optima else []
    lines += ["", *(f"- Not pooled: `{param}`: {reason}." for param, reason in pooling.left_out)]
    return "\n".join(lines).rstrip() + "\n"


def render_json(pooling: PoolingResults) -> str:
    """The fields of PoolingResults, PooledOptimum, StudyPart and Moderator; of each rule also its
    `statement`. Numbers have six digits, and those that are not finite are null."""
    document = {
        "schema": SCHEMA,
        "studies": pooling.studies,
        "level": pooling.level,
        "optima": [{**asdict(one), "statement": one.statement} for one in pooling.optima],
        "left_out": [{"param": param, "reason": why} for param, why in pooling.left_out],
    }
    return json.dumps(to_json_types(document, DIGITS), indent=1, ensure_ascii=False)


def render_html(pooling: PoolingResults) -> str:
    """One page with forest plots and curves of cost; it needs no network."""
    from hpsearch.analysis.report.html import figure_html, page_html, table_html
    from hpsearch.analysis.report.plots.forest import cost_plot, forest_plot
    from hpsearch.analysis.report.plots.style import to_plain

    heading = heading_of(pooling)
    body = [f"<header><h1>{escape(heading)}</h1></header>"]
    if pooling.optima:
        table = table_html(columns(pooling), [row_of(one) for one in pooling.optima])
        body += [f"<section><h2>Rules</h2>{table}</section>"]
    figures = []
    for one in pooling.optima:
        plots = [forest_plot(one), cost_plot(one)]
        figures += [to_plain(plot.figure) for plot in plots]
        body += [f"<section><h2>{escape(one.param)}</h2><p>{code_html(one.statement)}</p>"]
        body += [f'<div class="plots several">{"".join(map(figure_html, plots))}</div>']
        body += [tables(one)]
        body += [f"<p>{escape(note)}</p>" for note in one.notes]
        body += ["</section>"]
    body += [f"<p>Not pooled: {escape(f'{param}: {why}')}.</p>" for param, why in pooling.left_out]
    body += [f"<footer>{escape(legend(pooling))} {pooling.level:.0%} intervals.</footer>"]
    return page_html(heading, "\n".join(body), figures)


def tables(one: PooledOptimum) -> str:
    """HTML: each study's part in a rule, and what moves its value."""
    from hpsearch.analysis.report.html import table_html

    found = table_html(part_columns(one), [_part(part, one) for part in one.parts])
    if one.moderators:
        found += table_html(MODERATORS, [_moderator(m, one) for m in one.moderators])
    return found


def heading_of(pooling: PoolingResults) -> str:
    count = len(pooling.studies)
    if pooling.optima:
        return f"{count} studies together: {', '.join(pooling.studies)}"
    return f"Nothing can be pooled over the {count} studies {', '.join(pooling.studies)}"


def columns(pooling: PoolingResults) -> tuple[str, ...]:
    return ("parameter", "use", f"{pooling.level:.0%} interval", "costs a new study",
            "gains it", "tau", "I2")  # fmt: skip


def row_of(one: PooledOptimum) -> tuple[str, ...]:
    span = f"{format_value(one.low)} to {format_value(one.high)}"
    tau = i2 = ""
    if one.categorical or one.tau is None or one.i2 is None:
        span = ", ".join(map(format_value, one.may_be_best))
    else:
        # On a log scale tau is in logarithms: as a factor it says something.
        tau = f"factor {math.exp(one.tau):.2f}" if one.log else digits(one.tau, 2)
        i2 = f"{one.i2:.0%}"
    costs = f"{digits(one.loss.mean, 2)} (up to {digits(one.loss.new_high, 2)})"
    gains = "no default"
    if one.gain is not None:
        low, high = digits(one.gain.new_low, 2), digits(one.gain.new_high, 2)
        gains = f"{digits(one.gain.mean, 2, sign=True)} ({low} to {high})"
    return (one.param, format_value(one.value), span, costs, gains, tau, i2)


def part_columns(one: PooledOptimum) -> tuple[str, ...]:
    """The headings of the table of studies: what is gained over defaults where any has one."""
    return PARTS[: len(PARTS) - all(part.gain is None for part in one.parts)]


def _part(part: StudyPart, one: PooledOptimum) -> tuple[str, ...]:
    study, weight, best, *rest = _drawn_part(part, one)
    if not one.categorical:
        best += f" ({format_value(part.low)} to {format_value(part.high)})"
    return (study, weight, best, *rest)


def _drawn_part(part: StudyPart, one: PooledOptimum) -> tuple[str, ...]:
    """The same beside a forest plot, which shows the interval of the best value."""
    gain = "no default" if part.gain is None else digits(part.gain, 2, sign=True)
    best, without = format_value(part.best), format_value(part.without)
    cells = (part.study, f"{part.weight:.0%}", best, without, digits(part.loss, 2), gain)
    return cells[: len(part_columns(one))]


def _axis(one: PooledOptimum) -> tuple[str, ...]:
    """The heading of the column that a forest plot is drawn in; none for categories."""
    if one.categorical:
        return ()
    low, high = format_value(one.values[0]), format_value(one.values[-1])
    return (f"{low}{high:>{max(WIDTH - len(low), len(high) + 1)}}",)


def _forest(one: PooledOptimum) -> list[tuple[str, ...]]:
    """A row for each study, for the rule, and for a new study's best."""
    rows = [_drawn_part(part, one) for part in one.parts]
    if one.categorical:
        return rows
    bars = [_bar(one, part.low, part.best, part.high, "■") for part in one.parts]
    drawn = [(row[0], bar, *row[1:]) for row, bar in zip(rows, bars, strict=True)]
    rest = [""] * (len(part_columns(one)) - 3)
    bar, new = _bar(one, one.low, one.value, one.high, "◆"), (one.new_low, None, one.new_high)
    rule = ("all studies", bar, "", format_value(one.value), *rest)
    return [*drawn, rule, ("a new study", _bar(one, *new, ""), "", "", *rest)]


def _bar(one: PooledOptimum, low: Value, value: Value, high: Value, mark: str) -> str:
    """An interval and a value as a line of characters over the pooled range."""

    def at(number: Value) -> int:
        ends = [float(v) for v in (one.values[0], number, one.values[-1])]  # type: ignore[arg-type]
        first, here, last = map(math.log, ends) if one.log else ends
        return round((WIDTH - 1) * min(max((here - first) / (last - first), 0.0), 1.0))

    line = [" "] * WIDTH
    for place in range(at(low), at(high) + 1):
        line[place] = "─"
    if value is not None:
        line[at(value)] = mark
    return "".join(line)


def _moderator(moderator: Moderator, one: PooledOptimum) -> tuple[str, ...]:
    effect, p_value = moderator.effect(one.log), digits(moderator.p_value, 2)
    return (moderator.name, str(moderator.studies), effect, p_value)


def _table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    drawn: Sequence[str] = (),
    left: Sequence[str] = (),
) -> Table:
    """Numbers to the right, the first column and those `left` not; no `drawn` one is wrapped."""
    table = Table(box=None, pad_edge=False)
    for i, column in enumerate(columns):
        justify: Literal["left", "right"] = "right"
        if not i or column in drawn or column in left:
            justify = "left"
        style = None if i else "cyan"
        table.add_column(column, style=style, justify=justify, no_wrap=column in drawn)
    for row in rows:
        table.add_row(*map(escape_markup, row))
    return table


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(columns)} |", f"|---|{'---:|' * (len(columns) - 1)}"]
    rows = [tuple(cell.replace("|", "\\|") for cell in row) for row in rows]
    return lines + [f"| {' | '.join(row)} |" for row in rows]


@lru_cache(maxsize=1)
def json_schema() -> dict[str, Any]:
    """The JSON Schema that `render_json`'s documents follow."""
    path = Path(__file__).with_name("pool-2.schema.json")
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema
