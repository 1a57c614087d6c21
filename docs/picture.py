"""Turns the printed outcome of `make demo` into the README's picture: `make picture` calls it."""

import io
import re
import sys

from rich.console import Console
from rich.text import Text

WIDTH = 124
NOISE = ("WARNING", "python3 -", ".venv/bin/python", "touch ", "make")


def main() -> None:
    """Read the output from standard input, write an SVG to standard output."""
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    for line in sys.stdin.read().splitlines():
        if line.startswith(NOISE):
            continue
        text = Text(line.replace(".venv/bin/hpsearch", "hpsearch"))
        if line.startswith(".venv/bin/hpsearch"):
            text = Text("$ ", style="green") + Text(text.plain, style="bold")
        text.highlight_regex(r"█+", "cyan")
        text.highlight_regex(r"^No rules yet\.|^•", "yellow")
        text.highlight_regex(r"(?<=accuracy )0\.\d+", "bold cyan")
        console.print(text, highlight=False)
    svg = console.export_svg(title="make demo")
    # A picture that loads nothing from elsewhere.
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    sys.stdout.write(svg.replace("Fira Code", "monospace") + "\n")


main()
