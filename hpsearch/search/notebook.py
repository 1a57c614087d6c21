"""One output of a notebook's cell whose content changes, as a live display does on a terminal.

Rich's own asks for ipywidgets in Jupyter; this needs nothing but IPython, which is there.
"""

from __future__ import annotations

import io
from importlib import import_module
from typing import Any

from rich.console import RenderableType

from hpsearch.core.terminal import VisibleConsole

WIDTH = 110
LOOK = '<pre style="white-space: pre-wrap; line-height: normal">{code}</pre>'


class NotebookOutput:
    """An output below the running cell; `update` replaces what it shows, from any thread."""

    def __init__(self) -> None:
        shown: Any = import_module("IPython.display")  # whose functions have no types
        self._html = shown.HTML
        self._handle = shown.display(shown.HTML(""), display_id=True)

    def update(self, content: RenderableType) -> None:
        console = VisibleConsole(
            record=True, width=WIDTH, file=io.StringIO(), force_jupyter=False, highlight=False
        )
        console.print(content)
        self._handle.update(self._html(console.export_html(inline_styles=True, code_format=LOOK)))
