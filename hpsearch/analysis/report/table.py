"""The explanation as a terminal table that a person reads in ten seconds.

Only the terminal's own foreground, bold and dim, and cyan bars: it is read on light and on dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from hpsearch.analysis.estimates import Importance
from hpsearch.analysis.report.configurations import configurations, path_line
from hpsearch.analysis.report.front import front_header, front_rows, front_words
from hpsearch.analysis.report.share_rows import (
    interval,
    lost,
    name_of,
    separate,
    strong_pairs,
)
from hpsearch.analysis.report.shared import aim
from hpsearch.analysis.results import Results
from hpsearch.analysis.rules.rules import Rule
from hpsearch.analysis.views.front import Front
from hpsearch.core.terminal import as_line, one_line
from hpsearch.core.words import digits, format_ranges, format_value, percent, shortened

BAR = 10  # characters of the longest bar
EIGHTHS = " ▏▎▍▌▋▊▉"
MAX_PARAMS = 10
MAX_PAIRS = 3
MIN_NAME = 24  # characters of a name that other columns make room for
GAP = 2


@dataclass(frozen=True)
class TableReport:
    """Something for `rich.console.Console.print`; fits the console's width.

    `everything`: all parameters rather than the strongest, and the second opinions.
    """

    explanation: Results
    everything: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.explanation.front is not None:
            yield from _front(self.explanation, self.explanation.front)
        for place, e in enumerate((self.explanation, *self.explanation.others)):
            if place:
                yield Text("")
            yield from self._one(e, options.max_width)

    def _one(self, e: Results, width: int) -> RenderResult:
        first, *more = heading(e)
        yield as_line(first, style="bold", overflow="fold")
        yield from (as_line(line) for line in more)
        yield Text("")
        yield from _configurations(e)
        yield _shares(e, width, self.everything)
        yield from _left_out(e, self.everything)
        yield Text("")
        yield from _rules(e)
        if e.tunability is not None and e.tunability.path:
            yield as_line(path_line(e.tunability), style="dim")
        yield from (as_line(note, style="dim") for note in e.notes)
        for step in e.next_steps:  # in one line, which can be pasted
            yield Text(one_line(f"Next: {step}"), no_wrap=True, overflow="ignore")


def render_table(explanation: Results, *, everything: bool = False) -> RenderableType:
    """Heading, what matters, the rules or why there are none, notes."""
    return TableReport(explanation, everything)


def heading(e: Results) -> list[str]:
    """The study and its aim; its trials; how far the forest can be trusted; the noise."""
    counts = [f"{e.n_complete:,} complete"]
    counts += [f"{e.n_pruned:,} pruned"] if e.n_pruned else []
    counts += [f"{e.n_failed:,} failed"] if e.n_failed else []
    q = e.quality
    return [
        f"{e.study}: {e.metric}, {aim(e)}",
        f"{e.n_trials:,} trials ({', '.join(counts)}), best {digits(e.best_value, 4)}. "
        f"Repeating one varies by {digits(e.noise.value, 2)} (from {e.noise.source}); values count "
        f"as equally good within {digits(e.worth, 2)}.",
        f"The forest explains {max(q.r2, 0):.0%} of unseen variance (luck: up to "
        f"{max(q.null, 0):.0%}), rank correlation {q.rank_correlation:.2f}; shares are of that.",
    ]


def refusal(e: Results) -> str:
    """Why there are no rules and what would help."""
    text = (e.reason or "").rstrip(".")
    if e.more_trials is None:
        return f"{text}. Nothing suggests that more trials of this space would change that."
    spread = ", spread over the ranges as random search does," if e.trusted else ""
    return f"{text}. About {e.more_trials} more trials{spread} would probably do."


@dataclass(frozen=True)
class Column:
    """One column; those of the highest `rank` go first where the terminal is narrow."""

    header: str
    cells: list[str]
    rank: int

    @property
    def width(self) -> int:
        return GAP + max(cell_len(cell) for cell in (self.header, *self.cells))


def _shares(e: Results, width: int, everything: bool) -> Table:
    """As many columns as leave room for the names."""
    rows = _shown(e, everything)
    names = [name_of(i) for i in rows]
    title = "What matters" if e.trusted else "A first impression, not to be trusted yet"
    wanted = min(max(map(cell_len, (*names, "What matters"))), MIN_NAME)
    columns = [c for c in _columns(e, rows, everything) if any(c.cells)]
    left = width
    kept: list[Column] = []
    for column in sorted(columns, key=lambda column: column.rank):
        if left - column.width >= wanted or not kept:
            kept.append(column)
            left -= column.width
    table = Table(
        title=title,
        title_style="bold",
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, GAP, 0, 0),
        header_style="dim",
    )
    table.add_column("parameter", overflow="fold")
    for column in (kept := [c for c in columns if c in kept]):
        bars = column.header == ""
        table.add_column(
            column.header,
            justify="left" if bars else "right",
            style="cyan" if bars else None,
            no_wrap=True,
        )
    for row, importance in enumerate(rows):
        cells = [as_line(column.cells[row]) for column in kept]
        table.add_row(as_line(name_of(importance, max(left, 12))), *cells)
    return table


def _columns(e: Results, rows: Sequence[Importance], everything: bool) -> list[Column]:
    """All columns that there are, from left to right."""
    rules = named(e)
    best = [rules.get(i.params[0]) if len(i.params) == 1 else None for i in rows]
    largest = max((i.share for i in rows), default=0.0) or 1.0
    between = f"{e.level:.0%} interval"
    columns = [
        Column("share", [percent(i.share) for i in rows], 0),
        Column("", [_bar(i.share / largest) for i in rows], 7),
        Column(between, [interval(i) for i in rows], 1),
        Column("best", [shortened(format_value(b.value), 12) if b else "" for b in best], 5),
        Column(between, [format_ranges(b.pieces) if b else "" for b in best], 6),
    ]
    if everything:
        opinions = {opinion.param: opinion for opinion in e.second_opinions}
        found = [opinions.get(i.params[0]) if len(i.params) == 1 else None for i in rows]
        better = e.good_region().shares
        columns.append(Column("better half", [percent(better[i.params]) for i in rows], 2))
        columns.append(Column("R² lost", [lost(o) for o in found], 3))
        columns.append(Column("PED-ANOVA", [separate(o) for o in found], 4))
    return columns


def _shown(e: Results, everything: bool) -> list[Importance]:
    """Parameters, then the interactions that matter."""
    params = e.main_importances if everything else e.main_importances[:MAX_PARAMS]
    return [*params, *strong_pairs(e, MAX_PAIRS)]


def _left_out(e: Results, everything: bool) -> list[Text]:
    rest = [] if everything else e.main_importances[MAX_PARAMS:]
    if not rest:
        return []
    largest = percent(rest[0].share)
    size = "below 1%" if largest in ("0%", "<1%") else f"of at most {largest}"
    plural = "parameters" if len(rest) > 1 else "parameter"
    return [as_line(f"and {len(rest)} more {plural} {size} (--all shows them)", style="dim")]


def named(e: Results) -> dict[str, Rule]:
    """The rules that name a best value, by parameter."""
    kinds = ("optimum", "edge", "threshold")
    return {rule.param: rule for rule in e.rules if rule.kind in kinds}


def _bar(share: float) -> str:
    """A bar of eighths of characters."""
    eighths = round(share * BAR * 8)
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()


def _configurations(e: Results) -> list[Text]:
    """The best trial's values and the recommended ones, each as a line to copy."""
    lines: list[Text] = []
    for title, words, line in configurations(e):
        lines.append(Text.assemble((f"{title}: ", "bold"), one_line(words)))
        lines.append(as_line(line, style="bold", overflow="fold"))
    return [*lines, Text("")]


def _front(e: Results, front: Front) -> list[RenderableType]:
    """The trials between which one has to choose, on top of what is said of each objective."""
    head, rows = front_header(front), front_rows(front)
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="dim")
    for name in head[:-1]:
        table.add_column(as_line(name), justify="right", overflow="fold")
    table.add_column(head[-1], overflow="fold")
    for row in rows:
        table.add_row(*map(as_line, row))
    more = len(front.trials) - len(rows)
    left = [as_line(f"and {more} more between these (--format json)", style="dim")] if more else []
    title = Text.assemble(("Pareto front: ", "bold"), one_line(front_words(front)))
    return [as_line(e.study, style="bold"), title, table, *left, Text("")]


def _rules(e: Results) -> list[RenderableType]:
    if not e.rules:
        return [Text.assemble(("No rules yet. ", "bold"), one_line(refusal(e)))]
    return [_bullet(rule) for rule in e.rules]


def _bullet(rule: Rule) -> RenderableType:
    """What to do, and dimmed why to believe it."""
    evidence = f" {rule.evidence}" if rule.evidence else ""
    detail = f" {rule.detail}" if rule.detail else ""
    text = Text.assemble(
        (one_line(rule.advice), "bold"),
        one_line(detail),
        (one_line(evidence), "dim"),
        overflow="fold",
    )
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column()
    grid.add_column(overflow="fold")
    grid.add_row("•", text)
    return grid
