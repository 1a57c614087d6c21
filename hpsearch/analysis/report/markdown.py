"""The explanation as Markdown, for a README, an issue, or the note of a dashboard."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hpsearch.analysis.report.configurations import (
    TUNING_HEADER,
    configurations,
    path_line,
    tuning_rows,
)
from hpsearch.analysis.report.front import front_header, front_rows, front_words
from hpsearch.analysis.report.share_rows import HEADER, legend, share_rows
from hpsearch.analysis.report.shared import aim
from hpsearch.analysis.report.table import heading, named, refusal
from hpsearch.analysis.results import Results
from hpsearch.analysis.views.front import Front
from hpsearch.core.terminal import visible
from hpsearch.core.words import format_ranges, format_value


def render_markdown(explanation: Results) -> str:
    """All objectives, the trials between which one has to choose first."""
    lines = [f"# {escaped(explanation.study)}", ""]
    if explanation.front is not None:
        lines += [*front_lines(explanation.front), ""]
    for e in (explanation, *explanation.others):
        lines += [*_one(e), ""]
    return "\n".join(lines).rstrip() + "\n"


def front_lines(front: Front) -> list[str]:
    lines = ["## Pareto front", "", escaped(front_words(front)), ""]
    return [*lines, *as_table(front_header(front), front_rows(front))]


def _one(e: Results) -> list[str]:
    """Heading, rules or why there are none, table of shares, best values, failures, notes."""
    title = "What matters" if e.trusted else "A first impression, not to be trusted yet"
    lines = [*rule_lines(e), "", f"## {title}", ""]
    lines += [*as_table(HEADER, share_rows(e)), "", legend(e)]
    best = _best_rows(e)
    if best:
        header = ("parameter", "best", f"{e.level:.0%} interval", "may be as good")
        lines += ["", "## Best values", "", *as_table(header, best)]
    if e.tunability is not None:
        lines += [
            "",
            "## What tuning gains",
            "",
            *as_table(TUNING_HEADER, tuning_rows(e.tunability)),
        ]
        lines += ["", escaped(path_line(e.tunability))]
    lines += next_lines(e)
    if e.notes:
        lines += ["", "## Notes", "", *(f"- {escaped(note)}" for note in e.notes)]
    return lines


def rule_lines(e: Results) -> list[str]:
    """What was searched and the rules, or why there are none."""
    _, *more = heading(e)
    lines = [f"What matters for {escaped(e.metric)} ({aim(e)}). {' '.join(more)}"]
    for title, words, line in configurations(e):
        lines += ["", f"## {title}", "", escaped(words), "", f"    {_line(line)}"]
    lines += ["", "## Rules", ""]
    lines += [f"- **{escaped(r.advice)}** {escaped(f'{r.detail} {r.evidence}')}" for r in e.rules]
    if not e.rules:
        lines.append(f"**No rules yet.** {escaped(refusal(e))}")
    return lines


def next_lines(e: Results) -> list[str]:
    """What to do next, as lines to paste."""
    return ["", "## Next", "", "```", *e.next_steps, "```"] if e.next_steps else []


def _best_rows(e: Results) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for param, rule in named(e).items():
        span, region = "", format_ranges(rule.pieces)
        if rule.low is None:
            region = ", ".join(map(format_value, (rule.value, *rule.alternatives)))
        else:
            span = f"{format_value(rule.best_low)} to {format_value(rule.best_high)}"
        rows.append((param, format_value(rule.value), span, region))
    return rows


def as_table(
    header: tuple[str, ...], rows: Sequence[tuple[str, ...]], *, left: int = 1
) -> list[str]:
    """The lines of a table whose first column holds names; the first `left` columns hold words."""
    lines = [header, ("---",) * left + ("---:",) * (len(header) - left)]
    lines += [(_code(first), *map(escaped, rest)) for first, *rest in rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _code(name: str) -> str:
    """A name as code, whatever it holds; a bar would end the cell, even in code."""
    fence = "``" if "`" in name else "`"
    gap = " " if "`" in name else ""
    return f"{fence}{gap}{_line(name)}{gap}{fence}".replace("|", "\\|")


def escaped(text: str) -> str:
    """Text that Markdown takes for nothing else; `code` stays code."""
    pieces = _line(text).split("`")
    if len(pieces) % 2 == 0:
        return re.sub(r"([\\`*_<>\[\]|#])", r"\\\1", _line(text))
    return "`".join(
        piece if index % 2 else re.sub(r"([\\*_<>\[\]|#])", r"\\\1", piece)
        for index, piece in enumerate(pieces)
    )


def _line(text: str) -> str:
    return visible(" ".join(text.split()))
