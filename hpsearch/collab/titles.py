"""What items are called."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def titles_of(items: pd.DataFrame | None, ids: Iterable[str]) -> list[str]:
    """The title of each id, or the id itself where none is known."""
    names = list(ids)
    if items is None or "title" not in items:
        return names
    titles = items["title"].reindex(names)
    return [n if t is None or t != t else str(t) for n, t in zip(names, titles, strict=True)]
