"""What reaches a terminal: names and texts out of stores and files are shown, never obeyed.

A terminal takes the sign ESC in a study's name for a command (set the title, fill the clipboard),
and bidirectional controls turn the rest of a line round. Everything that is printed goes through
`VisibleConsole`, or through `guard_streams` where other code prints; both show such signs as \\x1b
or U+202E.
"""

from __future__ import annotations

import codecs
import re
import sys
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import IO, Any

from rich.console import Console, ConsoleOptions, OverflowMethod, RenderableType
from rich.segment import Segment
from rich.text import Span, Text

CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f]"  # C0 but for tab and the end of a line
    "|[\x7f-\x9f]"  # DEL and C1, which has an ESC of its own
    "|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"  # bidirectional
    "|[\u2028\u2029]"  # ends of lines that few programs know
    "|[\ud800-\udfff]"  # halves of a sign, of file names that are not UTF-8
)
COLOURS = re.compile("(\x1b\\[[0-9;]*m)")
"""What Typer's help and errors colour their text with."""

LONGEST_LINE = 4000
"""Letters of a line: more is a name that somebody made to be in the way."""
PLAIN = {
    "…": "...", "•": "*", "—": "-", "≤": "<=", "≥": ">=",
    "\u2013": "-", "\u2212": "-", "\u00d7": "x",  # a dash, minus and times
}  # fmt: skip


def visible(text: str) -> str:
    """`text` with its control signs as people can see them; tabs and ends of lines stay."""
    return CONTROLS.sub(_shown, text)


def one_line(text: str) -> str:
    """`visible` of a text that must not begin another line either, nor fill the screen."""
    shown = visible(text).replace("\n", "\\n").replace("\t", " ")
    if len(shown) <= LONGEST_LINE:
        return shown
    return f"{shown[: LONGEST_LINE // 2]} ... ({len(shown):,} letters) ... {shown[-200:]}"


def _shown(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x20 else f"U+{code:04X}"


class VisibleConsole(Console):
    """Rich's console, of which only Rich itself commands the terminal."""

    @property
    def file(self) -> IO[str]:
        stream = self._file or (sys.stderr if self.stderr else sys.stdout)
        # A live display puts its proxy before the stream, which is guarded.
        stream = getattr(stream, "rich_proxied_file", stream)
        return stream.raw if isinstance(stream, GuardedStream) else stream

    @file.setter
    def file(self, new_file: IO[str]) -> None:
        self._file = new_file

    def render_str(self, text: str, **options: Any) -> Text:  # noqa: ANN401
        return super().render_str(visible(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        if isinstance(renderable, Text):  # before it is laid out, so that its width is right
            renderable = visible_text(renderable)
        for segment in super().render(renderable, options):
            if segment.control is None and CONTROLS.search(segment.text):
                yield Segment(visible(segment.text), segment.style)
            else:
                yield segment


def new_console(*, stderr: bool = False) -> VisibleConsole:
    return VisibleConsole(stderr=stderr, highlight=False)


def as_line(text: str, *, style: str = "", overflow: OverflowMethod | None = None) -> Text:
    """A text for the screen that begins no other line, whatever names are in it."""
    return Text(one_line(text), style=style, overflow=overflow)


def visible_text(text: Text, show: Callable[[str], str] = visible) -> Text:
    """`show` of a Text, its styles on the same signs as before."""
    plain = text.plain
    if show(plain) == plain:
        return text
    made = text.copy()
    made.plain = show(plain)
    starts = list(accumulate((len(show(sign)) for sign in plain), initial=0))
    last = len(plain)
    made.spans = [
        Span(starts[min(one.start, last)], starts[min(one.end, last)], one.style)
        for one in text.spans
    ]
    return made


class GuardedStream:
    """A stream of the terminal for all that prints past our console: warnings, tracebacks, logs."""

    def __init__(self, raw: IO[str]) -> None:
        self.raw = raw

    def write(self, text: str) -> int:
        parts = COLOURS.split(text)
        parts[::2] = map(visible, parts[::2])
        self.raw.write("".join(parts))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the stream has
        return getattr(self.raw, name)


def guard_streams() -> None:
    """Guard what this process prints, and let no sign end it that the terminal cannot show.

    What goes into a file or a pipe from standard output is data and stays as it is.
    """
    codecs.register_error("hpsearch", _other_signs)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="hpsearch")
    if sys.stderr is not None and not isinstance(sys.stderr, GuardedStream):
        sys.stderr = GuardedStream(sys.stderr)
    if sys.stdout is not None and sys.stdout.isatty():
        sys.stdout = GuardedStream(sys.stdout)


def _other_signs(error: UnicodeError) -> tuple[str, int]:
    """What to write in place of signs that an encoding lacks."""
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end]
    return "".join(PLAIN.get(sign) or ascii(sign)[1:-1] for sign in lacking), error.end
