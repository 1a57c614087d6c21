"""Progress of long shared work: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from hpsearch.search.display import duration
from hpsearch.training.contract import Progress as Report

LINE_EVERY_S = 15.0


@contextmanager
def shown_progress(console: Console) -> Iterator[Report]:
    """A function to call as progress(what, done, total) during the block."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: float, total: float) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
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
        self._console.print(Text(line), soft_wrap=True)
