"""What stands above the rows of a CSV file: names, what parts the cells, and lines to skip."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from hpsearch.errors import InputError

LONGEST_ROW = 64 << 20  # bytes
ROWS_LOOKED_AT = 50
"""So many rows show what parts the cells of a file."""


def _first_lines(file: gzip.GzipFile | io.BufferedReader) -> bytes:
    """64 KB, or as much more as the first line takes."""
    start = file.read(1 << 16)
    while b"\n" not in start and b"\r" not in start and len(start) < LONGEST_ROW:
        if not (more := file.read(1 << 16)):
            break
        start += more
    return start


class Header(NamedTuple):
    """The names of the columns, what parts the cells, and how many lines stand before the names."""

    names: list[str]
    delimiter: str
    skipped: int


def read_header(path: Path) -> Header:
    """What stands above the rows of a CSV file.

    A first line `sep=;`, as Excel writes it, says what parts the cells. Else it is the sign with
    which most of the next rows have as many cells as the header, and of several such signs the one
    that gives the most cells. Lines that begin with # before a header that does not are comments.

    Raises InputError where the file is damaged or its header is not UTF-8.
    """
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with opener(path, "rb") as file:
            start = _first_lines(file).decode("utf-8-sig", errors="surrogateescape")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path} is damaged or not in gzip format: compress it again.") from error
    lines = re.split(r"\r\n|\r|\n", start)
    first = next((i for i, line in enumerate(lines) if line.strip()), 0)
    told = re.fullmatch(r'\s*"?sep=(.)"?\s*', lines[first])
    top = first + 1 if told else _behind_comments(lines, first)
    text = "\n".join(lines[top:])
    delimiter = told[1] if told else _delimiter(text)
    header = next(filter(None, csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)), [])
    if any("\udc80" <= sign <= "\udcff" for name in header for sign in name):
        raise InputError(f"{path} has a header that is not UTF-8 text: save the file as UTF-8.")
    return Header(header, delimiter, top if top > first else 0)


def _behind_comments(lines: Sequence[str], first: int) -> int:
    """The place of the header: behind lines that begin with #, if they are no header themselves.

    `#id,name` is one: the rows below it have as many cells.
    """
    place = first
    while place < len(lines) and (not lines[place].strip() or lines[place].startswith("#")):
        place += 1
    if place == first or place + 1 >= len(lines):
        return first
    delimiter = _delimiter("\n".join(lines[place:]))
    cells = [next(csv.reader([line], delimiter=delimiter)) for line in lines[place - 1 : place + 1]]
    return first if len(cells[0]) == len(cells[1]) else place


def _delimiter(text: str) -> str:
    """What parts the cells: where two do equally well, the one with more cells, then the comma."""
    best, found = (0.0, 0), ","
    for sign in ",;\t|":
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=sign)
        with suppress(csv.Error):
            sizes = [len(row) for row in islice(filter(None, rows), ROWS_LOOKED_AT)]
            if len(sizes) > 2:  # the last row may be cut off
                sizes.pop()
            like = sum(size == sizes[0] for size in sizes) / len(sizes) if sizes else 0.0
            if sizes and sizes[0] > 1 and (like, sizes[0]) > best:
                best, found = (like, sizes[0]), sign
    return found
