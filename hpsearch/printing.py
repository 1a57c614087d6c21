"""Tables for people, all of one look."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table


def new_table(title: str, *columns: str, wrap: bool = False) -> Table:
    """An empty table whose first column is coloured, and is cut rather than wrapped unless `wrap`;
    columns that begin with > are aligned to the right. The title is taken as it is."""
    table = Table(
        title=escape(title), title_justify="left", title_style="bold", box=None, pad_edge=False
    )
    for i, column in enumerate(columns):
        table.add_column(
            column.removeprefix(">"),
            style="cyan" if i == 0 else None,
            no_wrap=i == 0 and not wrap,
            overflow="fold",
            justify="right" if column.startswith(">") else "left",
        )
    return table
