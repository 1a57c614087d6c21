"""Where commands print, and the reports that they show: on the screen or in a file."""

from __future__ import annotations

import contextlib
import io
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

from rich.console import Console, RenderableType

from hpsearch.core.console import say
from hpsearch.core.files import write_atomically
from hpsearch.core.terminal import VisibleConsole, new_console
from hpsearch.errors import InputError

console = new_console()
notes = new_console(stderr=True)
"""For what is no result: progress, and what a person should know."""


Format = Literal["table", "md", "json", "html"]


class Report(Protocol):
    """What can be shown: an explanation, or a part of one."""

    def to_table(self, *, everything: bool) -> RenderableType: ...
    def to_markdown(self) -> str: ...
    def to_json(self) -> str: ...


def format_of(output: Path | None) -> Format:
    """The format that the ending of a file says; a table where there is no file or no ending.

    Raises InputError for an ending of another format.
    """
    if output is None:
        return "table"
    endings: dict[str, Format] = {
        "": "table", ".txt": "table", ".html": "html", ".htm": "html", ".json": "json",
        ".md": "md", ".markdown": "md",
    }  # fmt: skip
    ending = output.suffix.lower()
    if ending not in endings:
        raise InputError(
            f"--output {output}: {ending} is no format of a report: use .html, .md, .json or .txt, "
            "or add --format."
        )
    return endings[ending]


def show_reports(
    reports: Sequence[Report],
    format: str,
    output: Path | None,
    console: Console,
    *,
    everything: bool = False,
) -> None:
    """Print the reports as a table, Markdown, JSON or HTML, or write them to `output`.

    `everything`: tables leave nothing out. Raises InputError for HTML of what has none.
    """
    if format == "table" and output is None:
        for i, report in enumerate(reports):
            table = report.to_table(everything=everything)
            console.print(*([""] if i else []), table, crop=False)
        return
    if format == "table":
        plain = VisibleConsole(record=True, width=100, file=io.StringIO())
        for report in reports:
            plain.print(report.to_table(everything=everything), crop=False)
        text = plain.export_text()
    else:
        name = {"md": "to_markdown", "json": "to_json", "html": "to_html"}[format]
        if not all(hasattr(report, name) for report in reports):
            raise InputError(f"There is no --format {format} of this: use table, md or json.")
        texts = [getattr(report, name)() for report in reports]
        several = format == "json" and len(texts) > 1  # one document all the same
        text = f"[{', '.join(texts)}]" if several else "\n\n".join(texts)
    if output is None:
        sys.stdout.write(text + "\n")
    else:
        write_atomically(output, text + "\n")
        say(console, f"Wrote {output}")


def command_line(name: str, storage: str | None, *arguments: str) -> str:
    """A command that can be pasted, beginning with what this one was called by if need be."""
    from hpsearch.core.database_urls import parse_url, shown_url

    called = Path(sys.argv[0])
    program = shlex.quote(str(called))
    if called.name == "__main__.py":
        program = f"{shlex.quote(sys.executable)} -m hpsearch"
    elif found := shutil.which("hpsearch"):
        with contextlib.suppress(OSError):
            program = "hpsearch" if called.samefile(found) else program
    option = ""
    if storage is not None:
        shown = shown_url(parse_url(storage))
        option = f" --storage {shlex.quote(shown if '***' in shown else storage)}"
    return " ".join([program, name, *map(shlex.quote, arguments)]) + option
