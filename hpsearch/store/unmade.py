"""A store whose file is made only when there is something to write: an error before leaves none."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy.engine import URL

from hpsearch.core.database_urls import parse_url, shown_url, sqlite_path
from hpsearch.errors import InputError
from hpsearch.store.server.open import check_path
from hpsearch.store.store import Store
from hpsearch.store.summaries import StudySummary


class UnmadeStore(Store):
    """What is known of a store before its file is there: it has no studies."""

    def __init__(self, url: URL) -> None:
        self.url = url

    def study(self, name: str) -> StudySummary | None:
        return None

    def studies(self) -> list[StudySummary]:
        return []

    def close(self) -> None:
        pass


def open_or_await(url: str | None) -> Store:
    """The store at `url`, or an `UnmadeStore` where an SQLite file is still to be made.

    Raises InputError where neither can be.
    """
    parsed = parse_url(url)
    path = sqlite_path(parsed)
    if path is not None:
        check_path(parsed, create=True)
    if path is None or path.exists():
        return Store.open(url)
    if not _is_writable(path.absolute().parent):
        raise InputError(
            f"The store {shown_url(parsed)} cannot be made: {path.absolute().parent} is not yours "
            "to write in; name another place with --storage."
        )
    return UnmadeStore(parsed)


def _is_writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK)
