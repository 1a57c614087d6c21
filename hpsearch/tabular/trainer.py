"""The tabular trainer as the search knows it: torch is imported when the first network trains.

Who starts workers has the data prepared, but trains nothing: importing torch would take longer
than all else it does.
"""

from __future__ import annotations

import importlib
from typing import Any

from hpsearch.tabular.prepare import prepare

__all__ = ["prepare"]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(importlib.import_module("hpsearch.tabular.train"), name)
