"""Tables of texts that need no labels: what `predict` and `pretrain` read."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


def read_texts(file: str, columns: Sequence[str]) -> pd.DataFrame:
    """The file's rows: those of a CSV or Parquet file with the text `columns`, or the lines of any
    other file (or of standard input, "-") as the only text column.

    Raises InputError if the file cannot be read or lacks a column.
    """
    import pandas as pd

    if file == "-":
        return pd.DataFrame({columns[0]: sys.stdin.read().splitlines()})
    path = Path(file)
    name = path.name.lower()
    try:
        if name.endswith((".parquet", ".pq")):
            table = pd.read_parquet(path)
        elif name.endswith((".csv", ".csv.gz", ".tsv")):
            table = pd.read_csv(path, sep=None, engine="python", dtype=str)
        else:
            return pd.DataFrame({columns[0]: path.read_text(encoding="utf-8").splitlines()})
    except FileNotFoundError:
        raise InputError(f"{file} does not exist: give a CSV, Parquet or text file.") from None
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(f"{file} cannot be read: {lines[0]}.") from error
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise InputError(
            f"{file} has no column {missing[0]!r} but {', '.join(map(str, table.columns[:10]))}: "
            "say with --text which column holds the texts."
        )
    return table


def join_columns(table: pd.DataFrame, columns: Sequence[str]) -> tuple[list[str], list[int]]:
    """(the rows' texts, several columns joined as fields; the rows that have no text at all)."""
    import numpy as np

    texts = table[list(columns)].fillna("").astype(str)
    empty = np.flatnonzero((texts.apply(lambda column: column.str.strip()) == "").all(axis=1))
    if len(columns) == 1:
        return texts[columns[0]].tolist(), empty.tolist()
    marked = [f"xxfld {n} " + texts[column] for n, column in enumerate(columns, start=1)]
    joined = marked[0]
    for more in marked[1:]:
        joined = joined + " " + more
    return joined.tolist(), empty.tolist()
