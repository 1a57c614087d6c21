"""A quote of a CSV file that is never closed: Arrow would take all that follows for one cell."""

from __future__ import annotations

import csv
import gzip
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from hpsearch.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

CHUNK = 16 << 20  # bytes
QUOTE = ord('"')


def check_quotes(path: Path, delimiter: str) -> None:
    """Raises InputError where a quoted cell of the file is not closed, naming its row.

    At once where quotes stand only around cells and doubled inside them; a file that has others,
    such as 5" in a cell without quotes, is read cell by cell.
    """
    if not _quotes_pair(path, delimiter):
        _read_strictly(path, delimiter)


def _open(path: Path) -> IO[bytes]:
    is_gzip = path.name.lower().endswith(".gz")
    return gzip.open(path, "rb") if is_gzip else path.open("rb")  # type: ignore[return-value]


def _quotes_pair(path: Path, delimiter: str) -> bool:
    """Whether every second quote opens a cell (or is the second of a doubled one), every other
    closes one (or is the first of a doubled one), and the last closes."""
    import numpy as np

    around = np.zeros(256, bool)
    around[[QUOTE, ord("\n"), ord("\r"), ord(delimiter)]] = True
    count = 0
    for data in _overlapping(path):
        places = np.flatnonzero(data[1:-1] == QUOTE) + 1
        opens = (np.arange(count, count + len(places)) % 2) == 0
        neighbours = np.where(opens, data[places - 1], data[places + 1])
        if not around[neighbours].all():
            return False
        count += len(places)
    return count % 2 == 0


def _overlapping(path: Path) -> Iterator[npt.NDArray[np.uint8]]:
    """The file's bytes in pieces of which each but the outermost two is inside one piece, between
    two line ends that the file need not have."""
    import numpy as np

    seen = b"\n"
    with _open(path) as file:
        while chunk := file.read(CHUNK):
            data = seen + chunk
            yield np.frombuffer(data, np.uint8)
            seen = data[-2:]
    yield np.frombuffer(seen + b"\n", np.uint8)


def _read_strictly(path: Path, delimiter: str) -> None:
    csv.field_size_limit(sys.maxsize)
    with _open(path) as file:
        lines = (line.decode("utf-8", "surrogateescape") for line in file)
        row = 0  # the header
        while True:
            reader: Any = csv.reader(lines, delimiter=delimiter, strict=True)
            before = 0
            try:
                for _ in reader:
                    row, before = row + 1, reader.line_num
                return
            except csv.Error as error:
                # A cell of several lines with text behind its quote began with one too many.
                torn = "expected after" in str(error) and reader.line_num > before + 1
                if torn or "unexpected end" in str(error):
                    where = f"row {row:,}" if row else "the header"
                    raise InputError(
                        f"{path}: a quote that opens in {where} is not closed, so that"
                        " the rows after it become part of one cell: close it, or double quotes"
                        " that belong to a text."
                    ) from None
                row += 1
