"""Encoded rows as people know them: which codes and numbers a column gave, and its cells again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hpsearch.trainers.tabular.table.dates import part_names
from hpsearch.trainers.tabular.table.preprocess import Continuous, Preprocessor


class Places(NamedTuple):
    """Where what a column gave stands among an encoded row's codes and its numbers."""

    codes: list[int]
    numbers: list[int]


def column_places(preprocessor: Preprocessor) -> dict[str, Places]:
    """The places of each column of the table; those of a date are those of all its parts."""
    column_of = {
        name: column
        for column in preprocessor.dates
        for name in part_names(column, preprocessor.prefixes.get(column))
    }
    found: dict[str, Places] = {}

    def places(name: str) -> Places:
        return found.setdefault(column_of.get(name, name), Places([], []))

    for i, name in enumerate((*preprocessor.categories, *preprocessor.flags)):
        places(name).codes.append(i)
    for i, name in enumerate(preprocessor.continuous):
        places(name).numbers.append(i)
    return found


def row_text(
    preprocessor: Preprocessor, codes: npt.NDArray[np.int32], numbers: npt.NDArray[np.float32]
) -> str:
    """'age=39, workclass=Private' of one encoded row; what is missing, or was in no training row,
    is left out. Numbers have the few digits that the encoding leaves."""
    n_categories = len(preprocessor.categories)
    missing = {
        name
        for name, code in zip(preprocessor.flags, codes[n_categories:].tolist(), strict=True)
        if code == 2
    }
    cells: dict[str, Any] = {
        name: known[code - 1]
        for (name, known), code in zip(
            preprocessor.categories.items(), codes[:n_categories].tolist(), strict=True
        )
        if code
    }
    for (name, statistics), number in zip(
        preprocessor.continuous.items(), numbers.tolist(), strict=True
    ):
        if name not in missing:
            cells[name] = f"{_cell(statistics, number):.6g}"
    for column in preprocessor.dates:
        names = part_names(column, preprocessor.prefixes.get(column))
        parts = {part: cells.pop(name) for name, part in names.items() if name in cells}
        if "Year" in parts:
            cells[column] = _date(parts)
    return ", ".join(f"{name}={cell}" for name, cell in cells.items())


def _date(parts: Mapping[str, Any]) -> str:
    """A date of its parts: "2024-03-16", and the time of day unless it is midnight; ? stands for a
    part that no training row had."""

    def joined(sign: str, *names: str) -> str:
        cells = [parts.get(name) for name in names]
        return sign.join("?" if cell is None else f"{int(float(cell)):02d}" for cell in cells)

    time = joined(":", "Hour", "Minute", "Second")
    return joined("-", "Year", "Month", "Day") + ("" if time == "00:00:00" else f" {time}")


def _cell(column: Continuous, number: float) -> float:
    """Back from `Continuous.normalise`, without the noise of float32."""
    cell = (np.sinh(number) if column.long_tail else number) * column.std + column.mean
    digits = 5 - int(np.floor(np.log10(max(abs(cell), column.std, 1e-300))))
    return float(round(cell, digits)) + 0.0  # no -0
