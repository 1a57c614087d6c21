"""A table written to a file, or shown, in the format that its name asks for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.core.files import check_writable, write_atomically
from hpsearch.data.own.csv_files import PARQUET
from hpsearch.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


WRITABLE = (".csv", ".json", *PARQUET)


def with_reasons(made: pd.DataFrame, reasons: Sequence[str | None]) -> pd.DataFrame:
    """Predictions whose rows with a reason are empty but for it, in a column `reason`; those that
    were given if no row has one."""
    rows = [row for row, reason in enumerate(reasons) if reason is not None]
    if not rows:
        return made
    made = made.copy()
    made.iloc[rows, :] = None
    made["reason"] = list(reasons)
    return made


def check_output(output: Path | None) -> None:
    """Raises InputError, before any work, for a file that `write_table` does not write, or that
    cannot be written."""
    if output is None:
        return
    if output.suffix.lower() not in WRITABLE:
        raise InputError(f"{output} is of no known kind: name a .csv, .json or .parquet file.")
    check_writable(output)


def write_table(table: pd.DataFrame, output: Path | None) -> None:
    """As CSV to standard output, or to a file as its ending says: CSV, a JSON list of rows, or
    Parquet."""
    ending = "" if output is None else output.suffix.lower()
    if output is not None and ending in PARQUET:
        write_atomically(output, table.to_parquet(index=False))
        return
    if ending == ".json":
        text = (
            table.to_json(orient="records", indent=1, double_precision=15, force_ascii=False) + "\n"
        )
    else:
        text = table.to_csv(index=False, float_format="%.6g")
    if output is None:
        sys.stdout.write(text)
    else:
        write_atomically(output, text)
