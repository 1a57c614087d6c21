"""The data sets known by name: which there are, where each is now, and getting one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hpsearch.core.console import Progress, Say
from hpsearch.data.cache import read_before
from hpsearch.data.named.known_sets import FILE_SOURCES, TEXT_SOURCES, FileSource, TextSource
from hpsearch.data.named.places import in_cache, in_hpsearch_data
from hpsearch.data.text_dataset import Kind


@dataclass(frozen=True)
class DataStatus:
    """Whether a data set is on this machine: `place` and `kind` say where, or are None."""

    name: str
    title: str
    place: Path | None
    kind: Kind | None
    size: int


@dataclass(frozen=True)
class Fetched:
    """What a data set that is here now holds, in words, and where it came from."""

    content: str
    source: str
    note: str | None


def data_status() -> list[DataStatus]:
    """The known data sets and where they would be read from now; nothing is downloaded."""
    listed = []
    sources: list[TextSource | FileSource] = [*TEXT_SOURCES.values(), *FILE_SOURCES.values()]
    for source in sources:
        local = next(iter(in_hpsearch_data(source)), None)
        kept = in_cache(source) if isinstance(source, FileSource) else read_before.find(source.name)
        place = local or next(iter(kept), None)
        kind: Kind | None = "HPSEARCH_DATA" if local else "cache" if place else None
        size = place.stat().st_size if place and place.is_file() else 0
        listed.append(DataStatus(source.name, source.title, place, kind, size))
    return listed


def fetch_data(name: str, progress: Progress, say: Say) -> Fetched:
    """Get a known data set, into the cache where it has to be downloaded; it is read once, so that
    a damaged one is found now. Raises HpsearchError where no source of it works."""
    kind = FILE_SOURCES[name].kind if name in FILE_SOURCES else "text"
    fetch: dict[str, Callable[[str, Progress, Say], Fetched]] = {
        "text": _fetch_text,
        "table": _fetch_table,
        "ratings": _fetch_ratings,
    }
    return fetch[kind](name, progress, say)


def _fetch_text(name: str, progress: Progress, say: Say) -> Fetched:
    from hpsearch.data.texts import load_text

    found = load_text({"source": name}, path=None, progress=progress, say=say)
    return Fetched(f"{len(found.table):,} texts", found.source, found.note)


def _fetch_table(name: str, progress: Progress, say: Say) -> Fetched:
    from hpsearch.data.tables import load_table

    found = load_table({"source": name}, path=None, progress=progress, say=say)
    apart = f" and {len(found.test):,} test rows" if found.test is not None else ""
    return Fetched(f"{len(found.table):,} rows{apart}", found.source, found.note)


def _fetch_ratings(name: str, progress: Progress, say: Say) -> Fetched:
    from hpsearch.data.ratings import load_ratings

    found = load_ratings({"source": name}, path=None, progress=progress, say=say)
    ratings = found.ratings
    by = f"{ratings['user'].nunique():,} users of {ratings['item'].nunique():,} items"
    return Fetched(f"{len(ratings):,} ratings by {by}", found.source, found.note)
