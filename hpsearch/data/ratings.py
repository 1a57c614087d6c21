"""Who rated (or bought, or read) what: MovieLens, or the user's own file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.core.console import Progress, Say
from hpsearch.core.words import nearest, one_of
from hpsearch.data.cache.fingerprints import content_key, read_fingerprint, write_fingerprint
from hpsearch.data.named import in_wheels, movielens
from hpsearch.data.named.bundles import is_bundle
from hpsearch.data.named.known_sets import MOVIELENS_100K, MOVIELENS_SMALL
from hpsearch.data.named.places import from_anywhere, from_path
from hpsearch.data.own import rating_files
from hpsearch.data.own.bad_rows import BadRows
from hpsearch.data.own.database import rows_of_query
from hpsearch.data.own.datasets_folder import files_of, is_datasets_folder
from hpsearch.data.own.rating_files import OwnColumns, Parts
from hpsearch.data.own.typed_columns import fingerprint
from hpsearch.data.text_dataset import Kind
from hpsearch.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

RATING_SOURCES = {
    **{source.name: (source, movielens.READER) for source in (MOVIELENS_100K, MOVIELENS_SMALL)},
    **in_wheels.RATINGS,
}


@dataclass(frozen=True)
class RatingsDataset:
    """Ratings in the file's order, with a RangeIndex; each pair of user and item occurs once.

    `ratings` has the columns user and item (str), rating (float32; absent where the feedback is
    implicit) and time (int64, seconds; absent where there is none). `users` and `items` hold what
    is known of them, indexed by user or item (str), or are None; they may lack some and have
    others. `folds` are official ones, by name: the rows to train and to test on, ascending.
    `source`, `kind`, `fingerprint` and `note` are those of a `TextDataset`.
    """

    ratings: pd.DataFrame
    users: pd.DataFrame | None
    items: pd.DataFrame | None
    folds: Mapping[str, tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]
    source: str
    kind: Kind
    fingerprint: str
    note: str | None = None


def load_ratings(
    data: Mapping[str, Any],
    *,
    path: Path | None,
    progress: Progress,
    say: Say = lambda _: None,
) -> RatingsDataset:
    """The ratings of a study's `[data]` section.

    `data` is {"source": "movielens-100k" or "movielens-small"} or {"path": CSV or Parquet, "user":
    column, "item": column, "rating": column (none for implicit feedback), "time": column
    (optional), "users": file of metadata (optional), "items": likewise}, or a database and a query
    in the place of path. A path may also be a folder or zip of MovieLens. `path` is the `--data`
    option and goes before all else. Relative paths count from the current folder.
    `progress(what, done, total)` is called during long work, `say(sentence)` when a source is
    passed over.

    Raises InputError where a file is wrong, HpsearchError where no source of a named one works.
    """
    if path is not None:
        return _from_path(path.expanduser(), data, "--data", progress)
    if data.get("database") is not None:
        bad = BadRows.of(data)
        rows, shown = rows_of_query(data, progress)
        parts = rating_files.parts_of(rows, OwnColumns.of(data), f"The query on {shown}", bad)
        return _finish(parts, f"{shown} (the study's query)", "path", None)
    if data.get("path") is not None:
        own = Path(str(data["path"])).expanduser()
        return _from_path(own, data, "the study's path", progress)
    if data.get("source") is None:
        raise InputError(
            f"The [data] section names no ratings: add source ({one_of(RATING_SOURCES)}) or"
            " path, a CSV or Parquet file of yours."
        )
    name = str(data.get("source"))
    if name not in RATING_SOURCES:
        raise InputError(
            f"There is no source {name!r} of ratings{nearest(name, RATING_SOURCES)}: use"
            f" {one_of(RATING_SOURCES)}, or name your own file with path."
        )
    found = from_anywhere(*RATING_SOURCES[name], progress, say)
    return _finish(found.content, found.source, found.kind, found.note)


def _from_path(
    path: Path, data: Mapping[str, Any], given_by: str, progress: Progress
) -> RatingsDataset:
    origin, note = f"{path} ({given_by})", None
    progress(f"reading {path.name}", 0, 1)
    if is_bundle(path) and not is_datasets_folder(path):
        source, reader = RATING_SOURCES.get(str(data.get("source")), (None, movielens.READER))
        parts, origin, note = from_path(path, reader, source, origin)
        progress(f"reading {path.name}", 1, 1)
        return _finish(parts, origin, "path", note)
    columns, bad = OwnColumns.of(data), BadRows.of(data)
    own = files_of(path) if is_datasets_folder(path) else [path]
    files = [*own, *(Path(one).expanduser() for one in (columns.users, columns.items) if one)]
    before = content_key(files, f"ratings {columns} {bad.skip}")
    parts = rating_files.read_own(path, columns, bad)
    progress(f"reading {path.name}", 1, 1)
    after = content_key(files, f"ratings {columns} {bad.skip}")
    mark = read_fingerprint(before) if before == after else None
    found = _finish(parts, origin, "path", note, mark)
    if before == after:
        write_fingerprint(before, found.fingerprint)
    return found


def _finish(
    parts: Parts, source: str, kind: Kind, note: str | None, mark: str | None = None
) -> RatingsDataset:
    """`mark` is the fingerprint, where it is known."""
    notes = "; ".join(filter(None, (parts.note, note))) or None
    mark = mark or _fingerprint(parts)
    return RatingsDataset(
        parts.ratings, parts.users, parts.items, parts.folds, source, kind, mark, notes
    )


def _fingerprint(parts: Parts) -> str:
    mark = hashlib.sha256(fingerprint(parts.ratings).encode())
    for table in (parts.users, parts.items):
        mark.update(fingerprint(None if table is None else table.reset_index()).encode())
    return mark.hexdigest()
