"""The user's own ratings: one file with a row for each, and what is known of users and items.

Also what a trained recommender reads: pairs to predict, and the few ratings of a new user.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.core.words import how_many, quoted, row_numbers, short_reason
from hpsearch.data.own.bad_rows import BadRows
from hpsearch.data.own.csv_files import STOP, check_columns, is_table, read_columns, strings
from hpsearch.data.own.datasets_folder import is_datasets_folder, read_splits, together
from hpsearch.data.own.typed_columns import read_typed
from hpsearch.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    Fold = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]

TITLE = "title"
RATING = "rating"
PAIRS_HINT = "name the columns of users and items as in the ratings that the model learned from."


def read_pairs(
    file: Path, columns: Sequence[str], *, titled: bool = False
) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Read (all columns, users, items) of a CSV or Parquet file, row by row.

    `columns` are the names of the user column and the item column. If items are `titled`, a column
    "title" may replace the item column. A missing id is "".

    Raises InputError if the file cannot be read or lacks one of them.
    """
    path = file.expanduser()
    user, item = columns
    if titled:
        names = read_strings(path, [user], PAIRS_HINT, others=True).column_names
        item = TITLE if item not in names and TITLE in names else item
    raw = read_strings(path, [user, item], PAIRS_HINT, others=True)
    users, items = (read_ids(path, raw, name).tolist() for name in (user, item))
    return raw.to_pandas(), users, items


@dataclass(frozen=True)
class Answers:
    """The ratings that a new user gave to items, row by row.

    `items` are ids or titles, but only titles if `by_id` is false. `values` (rows,) are ratings, or
    all 1. Rows without an item or a rating are left out; `gaps` counts them.
    """

    items: list[str]
    values: np.ndarray[Any, Any]
    by_id: bool
    gaps: int


def read_answers(file: Path, item: str, *, rated: bool) -> Answers:
    """Read the answers of a new user from a CSV or Parquet file.

    The item column is called `item`, "item" or "title". If the items are `rated`, the file also
    needs a column "rating"; in a file with just two columns that column may have any name.

    Raises InputError if the file cannot be read or lacks one of them.
    """
    import numpy as np

    path = file.expanduser()
    raw = read_strings(path, [], "", others=True)
    names = raw.column_names
    whose = next((name for name in (item, "item", TITLE) if name in names), None)
    others = [name for name in names if name != whose]
    rating = RATING if RATING in names or len(others) != 1 else others[0]
    if whose is None or (rated and rating not in names):
        wanted = f"{item!r} or {TITLE!r}" + (f", and of {RATING!r}" if rated else "")
        raise InputError(
            f"{path} has the columns {quoted(names)}: give it a header with one of {wanted}."
        )
    items = read_ids(path, raw, whose)
    values = np.ones(len(items))
    if rated:
        values = read_numbers(path, raw, rating, "correct it or leave it empty")
    whole = (items != "").to_numpy() & ~np.isnan(values)
    return Answers(items[whole].tolist(), values[whole], whose != TITLE, int((~whole).sum()))


LARGEST = 3.4e38  # rating that a float32 holds
LATEST = 2.0**53  # seconds that a float64 counts exactly
HINT = "name yours as user, item, rating and time in the [data] section of a study.toml."
GIVE = "give a .csv, .parquet or .jsonl file"


@dataclass(frozen=True)
class Parts:
    """Ratings with the columns user, item, rating, time; what is known of users and items, indexed
    by their names; and the official folds as rows of the ratings."""

    ratings: pd.DataFrame
    users: pd.DataFrame | None
    items: pd.DataFrame | None
    folds: Mapping[str, Fold] = field(default_factory=dict)
    note: str | None = None


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
        """The columns that a `[data]` section names.

        The ratings of a named source are always in "rating": a file that replaces the source must
        have ratings, too, and cannot hold implicit feedback.
        """
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


def read_own(path: Path, columns: OwnColumns, bad: BadRows = STOP) -> Parts:
    """The ratings of a CSV or Parquet file, or of a folder that `datasets` saved, each pair of user
    and item once.

    Rows without a user, an item or a rating are left out, and of ratings of one item by one user
    the latest stays (by time if there is one, else in the file): the note says so. Raises
    InputError, one sentence that names file, column and rows.
    """
    if is_datasets_folder(path):
        return parts_of(together([*read_splits(path).values()], path), columns, path, bad)
    raw = read_strings(path, columns.all(), HINT, "or a folder or zip of MovieLens", bad=bad)
    return parts_of(raw, columns, path, bad)


def parts_of(raw: pa.Table, columns: OwnColumns, path: Path | str, bad: BadRows = STOP) -> Parts:
    """As `read_own`, of a table that was read already; `path` is what people call it."""
    check_columns(path, raw.column_names, columns.all(), HINT)
    table, gaps = _table(path, raw, columns, bad)
    if table.empty:
        raise InputError(f"{path} has no row with a user, an item and a rating: look at it.")
    ratings, repeated = _once(table)
    notes = [bad.note] if bad.note else []
    if gaps:
        notes.append(f"left out {how_many(gaps, 'row')} without a user, an item or a rating")
    if repeated:
        notes.append(
            f"left out {how_many(repeated, 'row')} that a later one of the same user and item"
            " replaces"
        )
    users = None if columns.users is None else read_metadata(columns.users, columns.user)
    items = None if columns.items is None else read_metadata(columns.items, columns.item)
    for side, table in (("user", users), ("item", items)):
        if table is not None and not ratings[side].isin(table.index).any():
            file = columns.users if side == "user" else columns.items
            notes.append(
                f"{file} knows none of the {side}s: there one is called {table.index[0]!r}, in the"
                f" ratings {ratings[side].iloc[0]!r}"
            )
    return Parts(ratings, users, items, note="; ".join(notes) or None)


def read_strings(
    path: Path,
    columns: Sequence[str],
    hint: str,
    instead: str = "",
    *,
    others: bool = False,
    bad: BadRows = STOP,
) -> pa.Table:
    """As `read_columns`, with a sentence for a file that is not there, cannot be read, or is of
    another kind (`instead` says what else may be given)."""
    if not is_table(path):
        kind = "is of no known kind" if path.exists() else "does not exist"
        raise InputError(f"{path} {kind}: {', '.join(filter(None, (GIVE, instead)))}.")
    try:
        return read_columns(path, columns, hint, others=others, bad=bad)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: give a CSV or Parquet file.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {short_reason(error)}.") from error


def _table(
    path: Path | str, raw: pa.Table, columns: OwnColumns, bad: BadRows
) -> tuple[pd.DataFrame, int]:
    """(the complete rows, how many were left out for gaps)."""
    import numpy as np
    import pandas as pd

    ids = {"user": read_ids(path, raw, columns.user), "item": read_ids(path, raw, columns.item)}
    whole = ((ids["user"] != "") & (ids["item"] != "")).to_numpy(dtype=bool)
    found: dict[str, Any] = dict(ids)
    usable = np.ones(len(whole), bool)
    if columns.rating:
        hint = (
            "correct it, leave such rows out with --skip-bad-rows, or leave the key rating out for "
            "implicit feedback"
        )
        rating, wrong = _read_ratings(path, raw, columns.rating, hint, bad)
        usable[wrong] = False
        if infinite := np.flatnonzero(np.abs(rating) > LARGEST).tolist():
            raise InputError(
                f"{path}, column {columns.rating!r} has an infinite or too large rating in"
                f" {row_numbers(infinite)}: remove or correct it."
            )
        whole = whole & ~np.isnan(rating)  # not in place: what pandas gives may be read-only
        found["rating"] = rating.astype(np.float32)
    if columns.time:
        found["time"], wrong = _seconds(path, raw, columns.time, bad)
        usable[wrong] = False
    table = pd.DataFrame(found)
    return table[whole & usable].reset_index(drop=True), int((~whole & usable).sum())


def _read_ratings(
    path: Path | str, raw: pa.Table, name: str, hint: str, bad: BadRows
) -> tuple[np.ndarray[Any, Any], list[int]]:
    """(a column as float64, NaN where it is empty; the rows to leave out, without a number)."""
    import numpy as np

    if not bad.skip:
        return read_numbers(path, raw, name, hint), []
    numbers, wrong = _numbers(strings(path, raw, name).to_pandas().astype("str").str.strip())
    wrong = [*wrong, *np.flatnonzero(np.abs(numbers) > LARGEST).tolist()]
    numbers = numbers.copy()  # what pandas gives may be read-only
    numbers[wrong] = np.nan
    bad.add(f"no number in {name!r}", wrong)
    return numbers, wrong


def _numbers(text: pd.Series[str]) -> tuple[np.ndarray[Any, Any], list[int]]:
    """(texts as float64, NaN where there is none; the rows with something else)."""
    import numpy as np

    from hpsearch.data.cells import floats_in

    numbers = floats_in(text, commas=True)
    blank = text.isin(["", "nan", "NaN", "NA"]).to_numpy()
    return numbers, np.flatnonzero(np.isnan(numbers) & ~blank).tolist()


def read_ids(path: Path | str, raw: pa.Table, name: str) -> pd.Series[str]:
    """A column of ids as text without spaces around it; "" where there is none."""
    return plain_ids(strings(path, raw, name).to_pandas().astype("str").str.strip())


def plain_ids(ids: pd.Series[str]) -> pd.Series[str]:
    """Ids without the ".0" that pandas writes behind whole numbers in a column with a gap, if all
    of them are numbers."""
    known = ids.dropna()
    if not known.str.endswith(".0").any() or not known.str.fullmatch(r"(-?\d+(\.0)?)?").all():
        return ids
    return ids.str.removesuffix(".0")


def read_numbers(path: Path | str, raw: pa.Table, name: str, hint: str) -> np.ndarray[Any, Any]:
    """A column as float64, NaN where it is empty; 3,5 is 3.5. Raises InputError, which ends with
    `hint`, where it has something else."""
    text = strings(path, raw, name).to_pandas().astype("str").str.strip()
    numbers, wrong = _numbers(text)
    if wrong:
        raise InputError(
            f"{path}, column {name!r} has {text.iloc[wrong[0]][:40]!r} in {row_numbers(wrong)},"
            f" which is no number: {hint}."
        )
    return numbers


def _seconds(
    path: Path | str, raw: pa.Table, name: str, bad: BadRows
) -> tuple[np.ndarray[Any, Any], list[int]]:
    """(a column of seconds or of dates as int64 seconds since 1970 in UTC; the rows to leave out).

    Where a cell is empty it is the earliest of them, so that any rating with a time is later.
    """
    import numpy as np
    import pandas as pd

    from hpsearch.data.cells import DATES, floats_in, form_of, iso_days, plain

    text = strings(path, raw, name).to_pandas().astype("str").str.strip()
    form = form_of(text)
    text = plain(text, str(form)).fillna("") if form in DATES else text
    seconds = floats_in(text)
    if np.isnan(seconds).any():
        dates = pd.to_datetime(iso_days(text), errors="coerce", utc=True, format="ISO8601")
        since = (dates - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
        seconds = np.where(np.isnan(seconds), since.to_numpy(dtype=np.float64), seconds)
    empty = np.array(text == "", dtype=bool)
    wrong = np.flatnonzero(~(np.abs(seconds) < LATEST) & ~empty).tolist()
    if wrong and not bad.skip:
        raise InputError(
            f"{path}, column {name!r} has {text.iloc[wrong[0]][:40]!r} in {row_numbers(wrong)},"
            " which is neither seconds nor a date such as 2024-05-31: correct it, or leave the key"
            " time out."
        )
    bad.add(f"no time in {name!r}", wrong)
    empty[wrong] = True
    seconds = np.where(empty, seconds[~empty].min() if not empty.all() else 0.0, seconds)
    whole: np.ndarray[Any, Any] = np.floor(seconds).astype(np.int64)
    return whole, wrong


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
    table[name] = plain_ids(table[name].astype("str").str.strip())
    table = table[table[name].notna() & (table[name] != "")]
    if table[name].duplicated().any():
        twice = table[name][table[name].duplicated()].iloc[0]
        raise InputError(f"{path} has two rows for {name} {twice[:40]!r}: remove one.")
    return table.set_index(name)
