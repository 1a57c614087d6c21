"""The one form in which labelled texts leave this package, and what is derived from the content."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Kind = Literal["path", "HPSEARCH_DATA", "cache", "publisher", "mirror"]

TEST_SHARE = 0.2  # of the labelled rows, where the data came without a test set


@dataclass(frozen=True)
class TextDataset:
    """Texts with their labels, the same whatever layout they came in.

    `table` has the columns text (str), label (str, NA where there is none) and split ("train",
    "test" or "unsup"; a row is "unsup" exactly when its label is NA). `classes` are the labels,
    sorted. `source` says to people where the texts came from and `kind` says it to code.
    `fingerprint` is a sha256 of the content: equal content, equal fingerprint. `note` holds what
    the user should know about the data, if anything. Where a text may have `several` labels, label
    holds them all, as `set_of` reads them.
    """

    table: pd.DataFrame
    classes: tuple[str, ...]
    source: str
    kind: Kind
    fingerprint: str
    note: str | None = None
    several: bool = False


def set_text(names: Iterable[str]) -> str:
    """Labels as one string, the same for the same set: without blanks around them, sorted.

    Example:
        >>> set_text(["drama", " comedy", "", "drama"]), set_text([])
        ('["comedy", "drama"]', '[]')
    """
    return json.dumps(sorted({name.strip() for name in names} - {""}), ensure_ascii=False)


def set_of(text: str) -> list[str]:
    """The labels that `set_text` wrote, sorted."""
    found: list[str] = json.loads(text)
    return found


def make_table(text: pa.Array, label: pa.Array, split: pa.Array) -> pa.Table:
    """Arrow table of large strings, one chunk a column, so that equal content is equal bytes."""
    import pyarrow as pa

    table = pa.table({"text": text, "label": label, "split": split})
    schema = pa.schema([(name, pa.large_string()) for name in table.column_names])
    return table.cast(schema).combine_chunks()


def fingerprint(table: pa.Table) -> str:
    """sha256 over the lengths and the bytes of every column; NA counts as length -1."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    digest = hashlib.sha256(b"hpsearch.text/1")
    for name in ("text", "label", "split"):
        lengths = pc.binary_length(table[name]).fill_null(-1)
        digest.update(lengths.to_numpy().astype("<i8").tobytes())
        for chunk in table[name].fill_null("").chunks:
            values = chunk.cast(pa.large_binary())
            ends = np.frombuffer(values.buffers()[1], dtype=np.int64)
            first, last = ends[values.offset], ends[values.offset + len(values)]
            if last > first:
                digest.update(values.buffers()[2][first:last])
    return digest.hexdigest()


def finish(
    table: pa.Table,
    *,
    source: str,
    kind: Kind,
    mark: str,
    note: str | None = None,
    several: bool = False,
) -> TextDataset:
    """A `TextDataset` of an Arrow table whose fingerprint is `mark`."""
    found = (label for label in table["label"].unique().to_pylist() if label is not None)
    labels = {name for one in found for name in set_of(one)} if several else found
    return TextDataset(table.to_pandas(), tuple(sorted(labels)), source, kind, mark, note, several)


def set_test_apart(table: pa.Table, share: float = TEST_SHARE) -> tuple[pa.Table, int]:
    """Turn `share` of the training rows of each class into test rows; also say how many.

    Which ones depends on the texts alone, not on the order of the rows or on a random generator:
    rows are taken by the hash of their text, so copies of one text stay on one side (but for the
    one text where the line falls). At least one row of each class stays on either side.
    """
    import pyarrow as pa

    labels = table["label"].to_pylist()
    split = table["split"].to_pylist()
    rows: dict[str, list[tuple[bytes, int]]] = {}
    for row, (text, label) in enumerate(zip(table["text"], labels, strict=True)):
        if split[row] == "train":
            salted = b"hpsearch.test/1" + text.as_buffer().to_pybytes()
            rows.setdefault(label, []).append((hashlib.sha256(salted).digest(), row))
    taken = 0
    for of_class in rows.values():
        apart = min(len(of_class) - 1, max(1, round(share * len(of_class))))
        for _, row in sorted(of_class)[:apart]:
            split[row] = "test"
        taken += apart
    return make_table(table["text"], table["label"], pa.array(split, pa.large_string())), taken


def counts(table: pa.Table) -> Counter[str]:
    """How many rows each split has."""
    return Counter(table["split"].to_pylist())
