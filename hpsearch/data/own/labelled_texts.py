"""Texts with their labels, out of a table that was read: one label a text, or several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.core.words import how_many, quoted, row_numbers
from hpsearch.data.own.bad_rows import BadRows
from hpsearch.data.own.csv_files import STOP, check_columns, join_columns, read_columns, strings
from hpsearch.data.own.label_sets import (
    Several,
    check_sets,
    read_sets,
    without_rare,
)
from hpsearch.data.own.typed_columns import is_list
from hpsearch.data.text_dataset import make_table
from hpsearch.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa


SPLITS = ("train", "test", "unsup")
HINT = "name yours as text and label in the [data] section of a study.toml."


@dataclass(frozen=True)
class Columns:
    """Which columns hold what. Several text columns are joined with `xxfld 1 … xxfld 2 …`.
    `several` says where the labels are if a text may have several."""

    text: tuple[str, ...] = ("text",)
    label: str = "label"
    split: str | None = None
    several: Several | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        return self.several.columns if self.several else (self.label,)

    def all(self) -> tuple[str, ...]:
        return (*self.text, *self.labels, *((self.split,) if self.split else ()))


def read_table(path: Path, columns: Columns, bad: BadRows = STOP) -> tuple[pa.Table, str | None]:
    """(table of text, label and split in the file's order, what to tell the user about it).

    Labels and texts stay what the file says: "NA", "0" and "True" are themselves; only an empty
    cell (or one of spaces) is missing. Rows without a label become "unsup", and those of them
    without a text are dropped. Raises InputError, one sentence that names file, column and rows.
    """
    return labelled_texts(read_columns(path, columns.all(), HINT, bad=bad), columns, path, bad)


def labelled_texts(
    raw: pa.Table, columns: Columns, where: Path | str, bad: BadRows = STOP
) -> tuple[pa.Table, str | None]:
    """As `read_table`, of a table that was read already; `where` is what people call it."""
    import pyarrow.compute as pc

    check_columns(where, raw.column_names, columns.all(), HINT)
    texts, blank = join_columns(where, raw, columns.text)
    unread: list[int] = []
    if columns.several is not None:
        labels, unread = read_sets(where, raw, columns.several, blank, bad)
    else:
        if is_list(raw[columns.label].type):
            raise InputError(
                f"{where}, column {columns.label!r} holds lists of labels: say labels = "
                f'"{columns.label}" in the place of label.'
            )
        # Blanks around a label make no class: nobody sees them.
        labels = pc.utf8_trim_whitespace(strings(where, raw, columns.label)).to_pylist()
    splits = strings(where, raw, columns.split) if columns.split else None
    rows = _Rows(labels, None if splits is None else splits.to_pylist(), blank, unread)
    return _checked(where, columns, texts, rows, bad)


@dataclass
class _Rows:
    """Labels (see `read_sets` if there are several) and splits row by row, the rows that have no
    text, and those whose labels cannot be read."""

    labels: list[str]
    splits: list[str] | None
    blank: list[int]
    unread: list[int]


def _checked(
    where: Path | str, columns: Columns, texts: pa.ChunkedArray, rows: _Rows, bad: BadRows
) -> tuple[pa.Table, str | None]:
    import pyarrow as pa
    import pyarrow.compute as pc

    label, blank = rows.labels, rows.blank
    split, unread = ["train"] * len(label), rows.unread
    if rows.splits is not None:
        split, unknown = _read_splits(where, columns.split, rows.splits, bad)
        unread = [*unread, *unknown]
    label = ["" if part == "unsup" else name for name, part in zip(label, split, strict=True)]
    without_text = [row for row in blank if label[row]]
    if without_text and not bad.skip:
        raise InputError(
            f"{where}, column {quoted(columns.text)} has no text in {row_numbers(without_text)},"
            f" which {'has a label' if len(without_text) == 1 else 'have labels'}: fill in or"
            f" remove {'that row' if len(without_text) == 1 else 'those rows'} (row 1 follows the"
            " header), or leave them out with --skip-bad-rows."
        )
    bad.add("no text", without_text)
    dropped = _flags([*blank, *unread], len(label))
    rare = None
    if columns.several is None:
        once = _label_once(where, columns.label, label, dropped, bad)
        dropped = _flags([*blank, *unread, *once], len(label))
    else:
        label, rare = without_rare(where, columns.several, label, dropped, bad)
    kept = [(n, part) for n, part, out in zip(label, split, dropped, strict=True) if not out]
    if columns.several is None:
        _check_classes(where, columns.label, kept)
    else:
        check_sets(where, columns.several, kept)
    keep = pa.array([not out for out in dropped])
    label_of = pa.array([name for name, _ in kept], pa.large_string())
    table = make_table(
        texts.filter(keep),
        pc.if_else(pc.equal(label_of, ""), None, label_of),
        pa.array([part if name else "unsup" for name, part in kept], pa.large_string()),
    )
    unlabelled, empty = table["label"].null_count, len(blank) - len(without_text)
    notes = [f"{how_many(unlabelled, 'row')} without a label"] if unlabelled else []
    notes += [f"dropped {how_many(empty, 'row')} without text or label"] if empty else []
    return table, "; ".join(filter(None, [*notes, bad.note, rare])) or None


def _read_splits(
    path: Path | str, name: str | None, splits: list[str], bad: BadRows
) -> tuple[list[str], list[int]]:
    """(train, test or unsup for each row, the rows that say none of these).

    "valid" and "true" (as in is_valid) say test.
    """
    from hpsearch.data.cells import HELD_OUT

    values = [value.strip().lower() for value in splits]
    known = {one: one for one in SPLITS} | {
        word: "test" if held else "train" for word, held in HELD_OUT.items()
    }
    unread = [row for row, value in enumerate(values) if value not in known]
    if unread and not bad.skip:
        raise InputError(
            f"{path}, column {name!r} has {values[unread[0]][:40]!r} in row {unread[0] + 1}:"
            f" use {', '.join(SPLITS[:-1])} or {SPLITS[-1]}, or true (held out) and false."
        )
    bad.add(f"a {name} that says nothing", unread)
    return [known.get(value, "train") for value in values], unread


def _label_once(
    path: Path | str, column: str, label: list[str], dropped: list[bool], bad: BadRows
) -> list[int]:
    """The rows whose label no other row has. Raises InputError if they may not be left out."""
    used = [name for name, out in zip(label, dropped, strict=True) if name and not out]
    counted = Counter(used)
    if not counted:
        raise InputError(f"{path}, column {column!r} has no labels: name the column that has them.")
    once = [name for name, times in counted.items() if times == 1]
    if once and not bad.skip:
        are = "is a label that occurs" if len(once) == 1 else "are labels that occur"
        raise InputError(
            f"{path}, column {column!r}: {quoted(once)} {are} only once, and one text can not be"
            " both learnt from and tested on: give it more rows, or remove it, or leave it out with"
            " --skip-bad-rows."
        )
    rows = [i for i, name in enumerate(label) if counted[name] == 1 and not dropped[i]]
    bad.add("a label that occurs once", rows)
    return rows


def _check_classes(path: Path | str, column: str, rows: list[tuple[str, str]]) -> None:
    """Raises InputError if the labels and splits of the `rows` leave no two classes to learn."""
    counted = Counter(name for name, _ in rows if name)
    here = f"{path}, column {column!r}"
    if not counted:
        raise InputError(f"{here} has no labels that occur twice: name another column.")
    if len(counted) == 1:
        raise InputError(
            f"{here} has only the label {next(iter(counted))!r}: a classifier needs two or more."
        )
    if missing := sorted(counted.keys() - {name for name, part in rows if part == "train"}):
        raise InputError(f"{here}: {quoted(missing)} has no row in the split 'train': add some.")


def _flags(rows: Iterable[int], length: int) -> list[bool]:
    flags = [False] * length
    for row in rows:
        flags[row] = True
    return flags
