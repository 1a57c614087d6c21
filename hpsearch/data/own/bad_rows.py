"""Rows that cannot be used: left out, counted and named where `on_error = "skip"` says so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from hpsearch.core.words import how_many, row_numbers

if TYPE_CHECKING:
    import pyarrow as pa


class BadRows:
    """The rows that are left out, by the reason; `skip` says whether any may be."""

    def __init__(self, skip: bool) -> None:
        self.skip = skip
        self._rows: dict[str, list[int]] = {}
        self._torn: set[int] = set()

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> BadRows:
        """As the [data] section wants it."""
        return cls(data.get("on_error") == "skip")

    def torn(self, row: pa.csv.InvalidRow) -> Literal["skip", "error"]:
        """Arrow's handler of a line of a CSV file with too few or too many cells."""
        self._torn.add((row.number or 2) - 2)  # Arrow counts the header as row 1
        return "skip"

    def add(self, reason: str, rows: Iterable[int]) -> None:
        """Leave out rows, numbered from 0 among those that were read."""
        found = [self._in_file(row) for row in rows]
        if found:
            self._rows.setdefault(reason, []).extend(found)

    def _in_file(self, row: int) -> int:
        """The row's number in the file: torn lines before it count, too."""
        for torn in sorted(self._torn):
            if torn <= row:
                row += 1
        return int(row)

    @property
    def note(self) -> str | None:
        """'left out 3 rows: no text (rows 2 and 7), too many or too few cells (row 9)'."""
        reasons = dict(self._rows)
        if self._torn:
            reasons["too many or too few cells"] = sorted(self._torn)
        if not reasons:
            return None
        total = len({row for rows in reasons.values() for row in rows})
        said = ", ".join(f"{why} ({row_numbers(sorted(rows))})" for why, rows in reasons.items())
        return f"left out {how_many(total, 'row')}: {said}"
