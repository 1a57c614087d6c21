"""The user's own ratings: one file with a row for each, and what is known of users and items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.data.fetch import why
from hpsearch.data.movielens import Parts
from hpsearch.data.tables import is_table, read_columns, strings
from hpsearch.data.typed import read_typed
from hpsearch.data.words import how_many, row_numbers
from hpsearch.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

LARGEST = 3.4e38  # rating that a float32 holds
DECIMAL_COMMA = r"^([+-]?\d+),(\d\d?)$"  # three digits may be a thousand's
LATEST = 2.0**53  # seconds that a float64 counts exactly
HINT = "name yours as user, item, rating and time in the [data] section of a study.toml."
GIVE = "give a .csv or .parquet file"


@dataclass(frozen=True)
class OwnColumns:
    """Which columns hold what, and the files that describe users and items."""

    user: str = "user"
    item: str = "item"
    rating: str | None = None
    time: str | None = None
    users: Path | None = None
    items: Path | None = None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> OwnColumns:
        """Those that a `[data]` section names. A named source's ratings are in "rating", as no
        file that takes its place can be of implicit feedback."""
        given = {key: str(value) for key, value in data.items() if value is not None}
        files = {key: Path(given[key]).expanduser() for key in ("users", "items") if key in given}
        return cls(
            given.get("user", cls.user),
            given.get("item", cls.item),
            given.get("rating", "rating" if "source" in given else None),
            given.get("time"),
            **files,
        )

    def all(self) -> list[str]:
        return [name for name in (self.user, self.item, self.rating, self.time) if name]


def read_own(path: Path, columns: OwnColumns) -> Parts:
    """The ratings of a CSV or Parquet file, each pair of user and item once.

    Rows without a user, an item or a rating are left out, and of ratings of one item by one user
    the latest stays (by time if there is one, else in the file): the note says so. Raises
    InputError, one sentence that names file, column and rows.
    """
    raw = read_strings(path, columns.all(), HINT, "or a folder or zip of MovieLens")
    table, gaps = _table(path, raw, columns)
    if table.empty:
        raise InputError(f"{path} has no row with a user, an item and a rating: look at it.")
    ratings, repeated = _once(table)
    notes = []
    if gaps:
        notes.append(f"left out {how_many(gaps, 'row')} without a user, an item or a rating")
    if repeated:
        notes.append(
            f"left out {how_many(repeated, 'row')} that a later one of the same user and item"
            " replaces"
        )
    users = None if columns.users is None else read_metadata(columns.users, columns.user)
    items = None if columns.items is None else read_metadata(columns.items, columns.item)
    return Parts(ratings, users, items, note="; ".join(notes) or None)


def read_strings(
    path: Path, columns: Sequence[str], hint: str, instead: str = "", *, others: bool = False
) -> pa.Table:
    """As `read_columns`, with a sentence for a file that is not there, cannot be read, or is of
    another kind (`instead` says what else may be given)."""
    if not is_table(path):
        kind = "is of no known kind" if path.exists() else "does not exist"
        raise InputError(f"{path} {kind}: {', '.join(filter(None, (GIVE, instead)))}.")
    try:
        return read_columns(path, columns, hint, others=others)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: give a CSV or Parquet file.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {why(error)}.") from error


def _table(path: Path, raw: pa.Table, columns: OwnColumns) -> tuple[pd.DataFrame, int]:
    """(the complete rows, how many were left out)."""
    import numpy as np
    import pandas as pd

    ids = {"user": read_ids(path, raw, columns.user), "item": read_ids(path, raw, columns.item)}
    whole = ((ids["user"] != "") & (ids["item"] != "")).to_numpy(dtype=bool)
    found: dict[str, Any] = dict(ids)
    if columns.rating:
        hint = "correct it, or leave the key rating out for implicit feedback"
        rating = read_numbers(path, raw, columns.rating, hint)
        if infinite := np.flatnonzero(np.abs(rating) > LARGEST).tolist():
            raise InputError(
                f"{path}, column {columns.rating!r} has an infinite or too large rating in"
                f" {row_numbers(infinite)}: remove or correct it."
            )
        whole = whole & ~np.isnan(rating)  # not in place: what pandas gives may be read-only
        found["rating"] = rating.astype(np.float32)
    if columns.time:
        found["time"] = _seconds(path, raw, columns.time)
    table = pd.DataFrame(found)
    return table[whole].reset_index(drop=True), int((~whole).sum())


def read_ids(path: Path, raw: pa.Table, name: str) -> pd.Series[str]:
    """A column of ids as text without spaces around it; "" where there is none."""
    import pyarrow.compute as pc

    ids: pd.Series[str] = (
        pc.utf8_trim_whitespace(strings(path, raw, name)).to_pandas().astype("str")
    )
    return ids


def read_numbers(path: Path, raw: pa.Table, name: str, hint: str) -> np.ndarray[Any, Any]:
    """A column as float64, NaN where it is empty; 3,5 is 3.5. Raises InputError, which ends with
    `hint`, where it has something else."""
    import numpy as np

    text = strings(path, raw, name).to_pandas().astype("str").str.strip()
    numbers = _as_floats(text)
    if np.isnan(numbers).any():
        numbers = _as_floats(text.str.replace(DECIMAL_COMMA, r"\1.\2", regex=True))
    blank = text.isin(["", "nan", "NaN", "NA"]).to_numpy()
    if wrong := np.flatnonzero(np.isnan(numbers) & ~blank).tolist():
        raise InputError(
            f"{path}, column {name!r} has {text.iloc[wrong[0]][:40]!r} in {row_numbers(wrong)},"
            f" which is no number: {hint}."
        )
    return numbers


def _seconds(path: Path, raw: pa.Table, name: str) -> np.ndarray[Any, Any]:
    """A column of seconds or of dates as int64 seconds (since 1970, UTC)."""
    import numpy as np
    import pandas as pd

    text = strings(path, raw, name).to_pandas().astype("str").str.strip()
    seconds = _as_floats(text)
    if np.isnan(seconds).any():
        dates = pd.to_datetime(text, errors="coerce", utc=True, format="ISO8601")
        since = (dates - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
        seconds = np.where(np.isnan(seconds), since.to_numpy(dtype=np.float64), seconds)
    if wrong := np.flatnonzero(~(np.abs(seconds) < LATEST)).tolist():
        raise InputError(
            f"{path}, column {name!r} has {text.iloc[wrong[0]][:40]!r} in {row_numbers(wrong)},"
            " which is neither seconds nor a date such as 2024-05-31: correct it, or leave the key"
            " time out."
        )
    whole: np.ndarray[Any, Any] = np.floor(seconds).astype(np.int64)
    return whole


def _as_floats(text: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """What is no number, and what is empty, is NaN."""
    import numpy as np
    import pandas as pd

    numbers: np.ndarray[Any, Any] = pd.to_numeric(text, errors="coerce").to_numpy(
        dtype=np.float64, na_value=np.nan
    )
    return numbers


def _once(table: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """(each pair's latest row, in the file's order; how many rows that leaves out)."""
    ordered = table.sort_values("time", kind="stable") if "time" in table else table
    again = ordered.duplicated(["user", "item"], keep="last")
    kept = table[~again.sort_index()].reset_index(drop=True)
    return kept, int(again.sum())


def read_metadata(path: Path, name: str) -> pd.DataFrame:
    """A file's typed columns, indexed by its column `name`, which is text. Raises InputError where
    there is none, or two rows of one name."""
    table = read_typed(path, strings=(name,))
    if name not in table:
        raise InputError(
            f"{path} has no column {name!r} to know its rows by: name it as in the ratings."
        )
    for other, kind in table.attrs.get("unread", {}).items():
        raise InputError(
            f"{path}, column {other!r} has the type {kind}, of which nothing is learnt: leave it "
            "out, or write it as numbers, text or dates."
        )
    if table[name].dtype.kind == "f":  # integers with gaps
        table = table[table[name].notna()].astype({name: "int64"})
    table[name] = table[name].astype("str").str.strip()
    table = table[table[name].notna() & (table[name] != "")]
    if table[name].duplicated().any():
        twice = table[name][table[name].duplicated()].iloc[0]
        raise InputError(f"{path} has two rows for {name} {twice[:40]!r}: remove one.")
    return table.set_index(name)
