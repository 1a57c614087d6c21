"""What each parameter adds to the prediction of one trial, for people and programs."""

from __future__ import annotations

import json
from dataclasses import asdict

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from hpsearch.analysis.views.contributions import ContributionResults
from hpsearch.core.terminal import as_line
from hpsearch.core.words import digits, format_value

SCHEMA = "hpsearch.contributions/1"
SHOWN = 15
BAR = 12  # characters of the longest bar
DOUBT = (
    "Do not trust this: the forest predicts trials that it has not seen no better than chance, so "
    "what it adds up here may be luck."
)


def render_table(c: ContributionResults, most: int = SHOWN) -> RenderableType:
    """Heading, the `most` strongest parts with their values, and what is left."""
    table = Table(box=None, pad_edge=False)
    table.add_column("parameter", style="cyan", no_wrap=True)
    table.add_column("value", no_wrap=True)
    table.add_column("adds", justify="right")
    table.add_column("", no_wrap=True)
    largest = max((abs(amount) for _, amount in c.parts), default=0.0) or 1.0
    for params, amount in c.parts[:most]:
        bar = "█" * round(abs(amount) / largest * BAR) or "▏"
        style = "green" if (amount > 0) == c.maximize else "red"
        table.add_row(
            escape(" x ".join(params)), escape(_values(c, params)), digits(amount, sign=True),
            as_line(bar, style=style),
        )  # fmt: skip
    doubt = [] if c.trusted else [as_line(DOUBT, style="bold")]
    return Group(as_line(heading(c)), *doubt, table, as_line(_left(c, most), style="dim"))


def render_markdown(c: ContributionResults) -> str:
    lines = [f"# {c.study}, trial {c.trial}", "", heading(c), ""]
    lines += [] if c.trusted else [f"**{DOUBT}**", ""]
    lines += ["| parameter | value | adds |", "|---|---|---:|"]
    lines += [
        f"| {' x '.join(f'`{param}`' for param in params)} | {_values(c, params)} | "
        f"{digits(amount, sign=True)} |"
        for params, amount in c.parts[:SHOWN]
    ]
    return "\n".join([*lines, "", _left(c)])


def render_json(c: ContributionResults) -> str:
    return json.dumps({"schema": SCHEMA, **asdict(c)}, indent=1, ensure_ascii=False)


def heading(c: ContributionResults) -> str:
    aim = "higher" if c.maximize else "lower"
    return (
        f"{c.study}, trial {c.trial}: {c.metric} {digits(c.value, 4)} ({aim} is better); the "
        f"forest "
        f"predicts {digits(c.prediction, 4)}, which is the mean of the space, "
        f"{digits(c.mean, 4)}, and:"
    )


def _values(c: ContributionResults, params: tuple[str, ...]) -> str:
    return ", ".join(format_value(c.params[param]) for param in params)


def _left(c: ContributionResults, most: int = SHOWN) -> str:
    others = c.parts[most:]
    rest = c.rest + sum(amount for _, amount in others)
    if abs(rest) < 1e-12 * (abs(c.prediction) + abs(c.mean)):
        rest = 0.0  # what adding leaves of rounding
    what = f"{len(others)} smaller parts and interactions" if others else "interactions"
    return f"{what} of three and more add {digits(rest, sign=True)}"
