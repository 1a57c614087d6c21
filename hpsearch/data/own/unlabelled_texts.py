"""Texts that need no labels: what `predict` and `pretrain` read."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.data.own.csv_files import check_columns, is_table, join_columns, read_columns
from hpsearch.data.own.datasets_folder import is_datasets_folder, read_labelled
from hpsearch.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

LINE_END = re.compile(r"\r\n|\n|\r")
"""Signs such as U+2028, at which Python's own `splitlines` splits too, belong to the text."""
HINT = "say with --text which column holds the texts."


@dataclass(frozen=True)
class UnlabelledTexts:
    """A file's texts, several columns joined as fields; the rows that have no text at all; and the
    table they stand in, row by row."""

    texts: list[str]
    empty: list[int]
    table: pa.Table


def read_texts(file: str, columns: Sequence[str]) -> UnlabelledTexts:
    """Of a CSV or Parquet file, or a folder that `datasets` saved, the text `columns`; of any other
    file (or of standard input, "-") the lines.

    Raises InputError if the file cannot be read or lacks a column.
    """
    import pyarrow as pa

    if is_table(path := Path(file)):
        if not path.is_file():
            raise InputError(f"{file} does not exist: give a CSV, Parquet or text file.")
        table = read_columns(path, columns, HINT, others=True)
        texts, empty = join_columns(path, table, columns)
        return UnlabelledTexts(texts.to_pylist(), empty, table)
    if is_datasets_folder(path):
        table = read_labelled(path)
        check_columns(path, table.column_names, columns, HINT)
        texts, empty = join_columns(path, table, columns)
        return UnlabelledTexts(texts.to_pylist(), empty, table)
    try:
        content = sys.stdin.buffer.read() if file == "-" else path.read_bytes()
        lines = LINE_END.split(content.decode("utf-8-sig"))
        lines = lines[:-1] if not lines[-1] else lines
    except FileNotFoundError:
        raise InputError(f"{file} does not exist: give a CSV, Parquet or text file.") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 text (byte {error.start:,}).") from error
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}.") from error
    empty = [i for i, line in enumerate(lines) if not line.strip()]
    return UnlabelledTexts(lines, empty, pa.table({columns[0]: pa.array(lines, pa.large_string())}))
