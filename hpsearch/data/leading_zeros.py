"""Columns of a CSV file whose cells look like numbers and are codes: 00123 is not 123."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

SAMPLE = 1 << 20  # bytes
_CODE = re.compile(r"\s*0\d+\s*$", re.ASCII)


def codes_among(path: Path, delimiter: str, names: Collection[str]) -> list[str]:
    """Those of the columns `names` with a cell such as 00123 in the file's first megabyte."""
    if not names:
        return []
    is_gzip = path.name.lower().endswith(".gz")
    with gzip.open(path, "rb") if is_gzip else path.open("rb") as file:
        start = file.read(SAMPLE)
    text = (start[: start.rfind(b"\n") + 1] or start).decode("utf-8-sig", "replace")
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    found: set[str] = set()
    with suppress(csv.Error):  # a cell longer than Python reads: what was found until there
        header: list[str] = next(filter(None, rows), [])
        wanted = {i: name for i, name in enumerate(header) if name in names}
        for row in rows:
            found |= {name for i, name in wanted.items() if i < len(row) and _CODE.match(row[i])}
    return sorted(found)
