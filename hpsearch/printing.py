"""Tables and complaints for people, all of one look."""

from __future__ import annotations

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text


def new_table(title: str, *columns: str, wrap: bool = False) -> Table:
    """An empty table whose first column is coloured, and is cut rather than wrapped unless `wrap`;
    columns that begin with > are aligned to the right. The title is taken as it is."""
    # A title longer than the table's lines stays in one.
    whole = Text(title, style="bold", no_wrap=True, overflow="ignore")
    table = Table(title=whole, title_justify="left", box=None, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(
            column.removeprefix(">"),
            style="cyan" if i == 0 else None,
            no_wrap=i == 0 and not wrap,
            overflow="fold",
            justify="right" if column.startswith(">") else "left",
        )
    return table


def print_lines(console: Console, part: RenderableType) -> None:
    """Print a table or a text: on a terminal it wraps between words, elsewhere a row is a line."""
    if console.is_terminal:
        console.print(part)
        return
    wide = Console(file=console.file, highlight=False, width=10_000)
    wide.print(part, soft_wrap=isinstance(part, Text))


def complain(sentence: str) -> None:
    """Say what went wrong, in one line that no width breaks."""
    Console(stderr=True, highlight=False).print(
        Text.assemble(("Error: ", "bold red"), sentence), soft_wrap=True
    )
