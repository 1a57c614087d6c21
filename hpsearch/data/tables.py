"""Tables to train tabular models on: a named data set, the user's own file, or a query."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from hpsearch.core.console import Progress, Say
from hpsearch.core.words import nearest, one_of
from hpsearch.data.cache.fingerprints import content_key, read_fingerprint, write_fingerprint
from hpsearch.data.named import adult, in_wheels
from hpsearch.data.named.bundles import is_bundle
from hpsearch.data.named.known_sets import ADULT
from hpsearch.data.named.places import from_anywhere, from_path
from hpsearch.data.own.bad_rows import BadRows
from hpsearch.data.own.csv_files import STOP
from hpsearch.data.own.datasets_folder import (
    files_of,
    is_datasets_folder,
    read_splits,
    together,
)
from hpsearch.data.own.typed_columns import fingerprint, read_typed, to_frame
from hpsearch.data.text_dataset import Kind
from hpsearch.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Tables: TypeAlias = "tuple[pd.DataFrame, pd.DataFrame | None]"
TABLE_SOURCES = {ADULT.name: (ADULT, adult.READER), **in_wheels.TABLES}


@dataclass(frozen=True)
class TableDataset:
    """Rows of typed columns, in the order of the file and of its columns, with a RangeIndex.

    `table` is to train and validate on; `test` has the rows that the publisher, or a second file,
    set apart, or is None. Numbers are numpy numbers, dates datetime64, text is `category` or `str`
    (see `typed.to_frame`). `source` says to people where the rows came from and `kind` says it to
    code. `fingerprint` is a sha256 of the content: equal content, equal fingerprint. `note` holds
    what the user should know about the data, if anything. `bad` knows which rows were left out, and
    whether others may be.
    """

    read: Callable[[], Tables]
    source: str
    kind: Kind
    fingerprint: str
    note: str | None = None
    bad: BadRows = STOP

    @cached_property
    def tables(self) -> Tables:
        """(table, test): read now if a known fingerprint was all that was needed so far."""
        return self.read()

    @property
    def table(self) -> pd.DataFrame:
        return self.tables[0]

    @property
    def test(self) -> pd.DataFrame | None:
        return self.tables[1]


def load_table(
    data: Mapping[str, Any],
    *,
    path: Path | None,
    progress: Progress,
    say: Say = lambda _: None,
) -> TableDataset:
    """The rows of a study's `[data]` section.

    `data` is {"source": "adult"} (or another of TABLE_SOURCES), {"path": CSV, TSV or Parquet,
    "test": a second one (optional)}, or {"database": SQLAlchemy URL, "query": a SELECT, "test": a
    file (optional)}. `path` is the `--data` option and goes before all of them: a file, or Adult's
    own folder or zip. Relative paths count from the current folder. `progress(what, done, total)`
    is called during long work, `say(sentence)` when a source is passed over.

    Raises InputError where a file, the database or the query is wrong, HpsearchError where no
    source of a named data set works. No message and no `source` shows a URL's password.
    """
    if path is not None:
        return _from_path(path.expanduser(), data, "--data", progress)
    if data.get("database") is not None:
        return _from_query(data, progress)
    if data.get("path") is not None:
        own = Path(str(data["path"])).expanduser()
        return _from_path(own, data, "the study's path", progress)
    if data.get("source") is None:
        raise InputError(
            f"The [data] section names no table: add source ({one_of(TABLE_SOURCES)}), path,"
            " or database and query."
        )
    name = str(data["source"])
    if name not in TABLE_SOURCES:
        raise InputError(
            f"There is no source {name!r} of tables{nearest(name, TABLE_SOURCES)}: use"
            f" {one_of(TABLE_SOURCES)}, or name your own file with path, or a database and a"
            " query."
        )
    found = from_anywhere(*TABLE_SOURCES[name], progress, say)
    return _finish(*found.content, found.source, found.kind, found.note)


def _from_path(
    path: Path, data: Mapping[str, Any], given_by: str, progress: Progress
) -> TableDataset:
    origin = f"{path} ({given_by})"
    if is_datasets_folder(path):
        return _of_files(files_of(path), lambda: _of_splits(path, data), origin)
    if is_bundle(path):
        progress(f"reading {path.name}", 0, 1)
        source, reader = TABLE_SOURCES.get(str(data.get("source")), TABLE_SOURCES[ADULT.name])
        (table, test), origin, note = from_path(path, reader, source, origin)
        test = _second_file(data, table, test)
        progress(f"reading {path.name}", 1, 1)
        return _finish(table, test, origin, "path", note)

    bad = BadRows.of(data)

    def read() -> Tables:
        progress(f"reading {path.name}", 0, 1)
        table = read_typed(path, bad=bad)
        test = _second_file(data, table, None)
        progress(f"reading {path.name}", 1, 1)
        return table, test

    files = [path, *(Path(str(data[key])) for key in ("test",) if data.get(key) is not None)]
    if bad.skip:  # read at once: only then it is known which rows cannot be
        tables = read()
        return TableDataset(lambda: tables, origin, "path", fingerprint(*tables), bad=bad)
    return _of_files(files, read, origin)


def _of_splits(path: Path, data: Mapping[str, Any]) -> Tables:
    """The split "test" of a folder of `datasets` is set apart, all others are trained on."""
    splits = read_splits(path)
    apart = to_frame(splits.pop("test")) if len(splits) > 1 and "test" in splits else None
    table = to_frame(together(list(splits.values()), path))
    return table, _second_file(data, table, apart)


def _of_files(files: Sequence[Path], read: Callable[[], Tables], origin: str) -> TableDataset:
    """The dataset of what `read` makes of the files; not read yet if its fingerprint is known."""
    before = content_key(files, "table")
    known = read_fingerprint(before)
    if known is None:
        tables = read()
        known = fingerprint(*tables)
        if before == content_key(files, "table"):
            write_fingerprint(before, known)
        return TableDataset(lambda: tables, origin, "path", known)

    def read_the_same() -> Tables:
        tables = read()
        if fingerprint(*tables) != known:  # or something would be kept under another's name
            raise InputError(f"{files[0]} changed while it was read: run the command again.")
        return tables

    return TableDataset(read_the_same, origin, "path", known)


def _second_file(
    data: Mapping[str, Any], table: pd.DataFrame, test: pd.DataFrame | None
) -> pd.DataFrame | None:
    """The rows of the study's test file; what is text in the table is text there too."""
    if data.get("test") is None:
        return test
    text = [str(name) for name in table.columns if _is_text(table[name])]
    return read_typed(Path(str(data["test"])), strings=text)


def _is_text(column: pd.Series[Any]) -> bool:
    """Whether this column must be read as text in another file: this column is text or large.

    A column of whole numbers is large if it has a number of 2**53 or more. A fraction in the other
    file would make that column floats, which cannot hold such numbers exactly.
    """
    if column.dtype.kind in "iu":
        return len(column) > 0 and bool(max(column.max(), -int(column.min())) >= 2**53)
    return bool(column.dtype.kind == "O")


def _from_query(data: Mapping[str, Any], progress: Progress) -> TableDataset:
    from hpsearch.data.own.database import rows_of_query

    rows, shown = rows_of_query(data, progress)
    table = to_frame(rows)
    test = _second_file(data, table, None)
    found = _finish(table, test, f"{shown} (the study's query)", "path", None)
    return replace(found, bad=BadRows.of(data))


def _finish(
    table: pd.DataFrame, test: pd.DataFrame | None, source: str, kind: Kind, note: str | None
) -> TableDataset:
    return TableDataset(lambda: (table, test), source, kind, fingerprint(table, test), note)
