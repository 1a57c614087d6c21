"""Tables that were read before, as Parquet under the cache folder, each with where it came from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.core.files import atomic_path
from hpsearch.core.home import DATA_SETS, below, ensure_home, home_error

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 1  # goes up when a reader changes what it makes of the same bytes
_KEY = b"hpsearch"


@dataclass(frozen=True)
class Facts:
    """What is kept beside a table: the data set it is (if a known one), and its origin."""

    dataset: str | None
    fingerprint: str
    origin: str
    note: str | None = None


def folder() -> Path:
    """Where the tables lie; it may not be there yet."""
    return below(DATA_SETS)


def place(key: str) -> Path:
    """The file for the table with this key."""
    return folder() / f"texts-{FORMAT}-{key[:40]}.parquet"


def load(file: Path) -> tuple[pa.Table, Facts] | None:
    """The table in `file`, or None where there is none or it is damaged (then it is removed)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not file.is_file():
        return None
    try:
        table = pq.read_table(file, page_checksum_verification=True)
        facts = Facts(**json.loads(table.schema.metadata[_KEY]))
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError):
        with suppress(OSError):
            file.unlink()
        return None
    return table.replace_schema_metadata(None), facts


def save(table: pa.Table, facts: Facts, file: Path) -> None:
    """Write the table whole or not at all; HpsearchError where the folder cannot be written to."""
    import pyarrow.parquet as pq

    ensure_home(DATA_SETS)
    try:
        with atomic_path(file) as part:
            pq.write_table(
                table.replace_schema_metadata({_KEY: json.dumps(asdict(facts)).encode()}),
                part,
                compression="zstd",
                use_dictionary=["label", "split"],
                write_statistics=False,
                write_page_checksum=True,
            )
    except OSError as error:
        raise home_error(file.parent, error) from error


def find(dataset: str) -> list[Path]:
    """The tables of a known data set: those without a note (whole ones) before those with."""
    listed = _listed()
    found = [(facts.note is not None, file) for file, facts in listed if facts.dataset == dataset]
    return [file for _, file in sorted(found)]


def _listed() -> Iterator[tuple[Path, Facts]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for file in sorted(folder().glob(f"texts-{FORMAT}-*.parquet")):
        with suppress(pa.ArrowException, OSError, KeyError, TypeError, ValueError):
            yield file, Facts(**json.loads(pq.read_schema(file).metadata[_KEY]))
