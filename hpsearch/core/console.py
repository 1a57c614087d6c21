"""What the commands print: tables, sentences, complaints, and the progress of long work.

Progress is a bar on a terminal, and a line now and then elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar
from rich.style import StyleType
from rich.table import Table
from rich.text import Text

from hpsearch.core.terminal import VisibleConsole, as_line, new_console, one_line, visible_text
from hpsearch.core.words import duration

if TYPE_CHECKING:
    from rich.console import RenderableType


Progress = Callable[[str, float, float], None]
"""progress(what, done, total): called now and then during long shared work."""

Say = Callable[[str], None]
"""say(sentence): what the user should know, such as a source of data that was passed over."""


def silent(*_: object) -> None:
    """The Progress and the Say of work that nobody watches."""


LINE_EVERY_S = 15.0


@contextmanager
def shown_progress(console: Console) -> Iterator[Progress]:
    """A function to call as progress(what, done, total) during the block."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
    with ProgressBar(*columns, console=console) as progress:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: float, total: float) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(one_line(what), total=total)
            progress.update(tasks[what], completed=done, total=total)

        yield show


class _Lines:
    """Says what begins, and every quarter of a minute how far it is and how long it will take."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started: dict[str, float] = {}
        self._said = 0.0

    def __call__(self, what: str, done: float, total: float) -> None:
        now = time.monotonic()
        if what not in self._started:
            self._started[what] = self._said = now
            self._print(f"{what} ...")
        elif now - self._said >= LINE_EVERY_S and 0 < done < total:
            self._said = now
            left = (now - self._started[what]) * (total - done) / done
            self._print(f"{what} {done / total:.0%}, about {duration(left)} left")

    def _print(self, line: str) -> None:
        say(self._console, line)


class LinesTable(Table):
    """A table of which no cell's text begins another line."""

    def add_row(
        self,
        *renderables: RenderableType | None,
        style: StyleType | None = None,
        end_section: bool = False,
    ) -> None:
        super().add_row(*map(_in_a_line, renderables), style=style, end_section=end_section)


def _in_a_line(cell: RenderableType | None) -> RenderableType | None:
    if isinstance(cell, Text):
        return visible_text(cell, one_line)
    return one_line(cell) if isinstance(cell, str) else cell


def new_table(title: str, *columns: str, wrap: bool = False) -> Table:
    """An empty table whose first column is coloured, and is cut rather than wrapped unless `wrap`;
    columns that begin with > are aligned to the right. The title is taken as it is."""
    # A title longer than the table's lines stays in one.
    whole = Text(one_line(title), style="bold", no_wrap=True, overflow="ignore")
    table = LinesTable(title=whole, title_justify="left", box=None, pad_edge=False)
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
    wide = VisibleConsole(file=console.file, highlight=False, width=10_000)
    wide.print(part, soft_wrap=isinstance(part, Text))


def say(console: Console, sentence: str, *, style: str = "") -> None:
    """Print a sentence in one line that neither a width nor a name in it breaks."""
    console.print(as_line(sentence, style=style), soft_wrap=True)


def print_error(sentence: str) -> None:
    """Say what went wrong, in one line that no width breaks."""
    new_console(stderr=True).print(
        Text.assemble(("Error: ", "bold red"), one_line(sentence)), soft_wrap=True
    )
