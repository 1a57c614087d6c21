"""MovieLens as its publisher, GroupLens, has it, in each layout that it has had.

    u.data, u.item, u.user, u1.base ...   ML-100K: tabs and bars, latin-1
    ratings.dat, movies.dat, users.dat    ML-1M and ML-10M: two colons, latin-1 or UTF-8
    ratings.csv, movies.csv               latest-small and every edition since 20M
    ml-100k.inter, .item, .user           ML-100K as RecBole carries it: a header with types

Users, films and titles keep the publisher's names. A film's year is that in its title, else that of
its release.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hpsearch.data.named.places import Files, Reader
from hpsearch.data.own.rating_files import Parts
from hpsearch.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from hpsearch.data.own.rating_files import Fold

FOLDS = ("u1", "u2", "u3", "u4", "u5")
GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary",
    "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi",
    "Thriller", "War", "Western",
)  # fmt: skip
NO_GENRE = ("unknown", "(no genres listed)")
IDS = ("user", "item")
NUMBERS = ("rating", "time")
# A title may end in "(1995) (V)", or for a series in "(1975-1979)" or "(2007-)".
YEAR = r"\((\d{4})(?:[-\u2013]\d{0,4})?\)\s*(?:\([^()]*\)\s*)?$"


def read_movielens(files: Files, where: str) -> Parts:
    """The parts that the files hold. Raises InputError where they are no MovieLens, or damaged."""
    import pyarrow as pa

    try:
        if "u.data" in files:
            return _checked(_publisher_100k(files, where))
        if "ml-100k.inter" in files:
            return _checked(_recbole_100k(files))
        if "ratings.dat" in files:
            return _checked(_double_colons(files))
        if "ratings.csv" in files:
            return _checked(_latest(files))
    except (pa.ArrowInvalid, KeyError, ValueError) as error:
        raise InputError(f"{where} is damaged or not MovieLens's: get it again.") from error
    raise InputError(
        f"{where} holds no u.data, ratings.dat or ratings.csv: give a folder or zip of MovieLens,"
        " or a CSV or Parquet file."
    )


def _checked(parts: Parts) -> Parts:
    """Raises ValueError where there are no ratings, or some that MovieLens never has."""
    import numpy as np

    ratings = parts.ratings
    twice = ratings.duplicated(["user", "item"]).any()
    if ratings.empty or twice or not np.isfinite(ratings["rating"]).all():
        raise ValueError("ratings that occur twice, or are none")
    return parts


def _publisher_100k(files: Files, where: str) -> Parts:
    import pandas as pd

    ratings = _table(files["u.data"], "\t", IDS + NUMBERS)
    users = items = None
    if "u.user" in files:
        columns = ("user", "age", "sex", "occupation", "zip")
        users = _indexed(_table(files["u.user"], "|", columns, integers=("age",)), "user")
        users = users[["age", "sex", "occupation"]]
    if "u.item" in files:
        facts = ("item", "title", "release", "video", "url")
        table = _table(files["u.item"].decode("latin-1").encode(), "|", (*facts, *GENRES))
        flags = table[list(GENRES)].to_numpy(dtype=str) == "1"
        genres = ["|".join(g for g, on in zip(GENRES, row, strict=True) if on) for row in flags]
        released = pd.to_numeric(table["release"].str[-4:], errors="coerce")
        items = _items(table["item"], table["title"], genres, released)
    return Parts(ratings, users, items, _folds(files, ratings, where))


def _folds(files: Files, ratings: pd.DataFrame, where: str) -> dict[str, Fold]:
    """The rows of `ratings`, ascending, of each fold whose two files are there."""
    import numpy as np
    import pandas as pd

    rows = pd.Series(np.arange(len(ratings)), index=_pairs(ratings))
    folds: dict[str, Fold] = {}
    for name in FOLDS:
        parts = [files.get(f"{name}.{part}") for part in ("base", "test")]
        if None in parts:
            continue
        found = [
            rows.reindex(_pairs(_table(part or b"", "\t", IDS + NUMBERS))).to_numpy(dtype=float)
            for part in parts
        ]
        if any(np.isnan(part).any() for part in found):
            raise InputError(f"{where}: {name} has ratings that u.data has not; get it again.")
        train, test = (np.sort(part.astype(np.int64)) for part in found)
        folds[name] = (train, test)
    return folds


def _pairs(ratings: pd.DataFrame) -> pd.Series[Any]:
    return ratings["user"] + "\t" + ratings["item"]


def _recbole_100k(files: Files) -> Parts:
    import pandas as pd

    ratings = _table(_body(files["ml-100k.inter"]), "\t", IDS + NUMBERS)
    columns = ("user", "age", "sex", "occupation", "zip")
    users = _table(_body(files["ml-100k.user"]), "\t", columns, integers=("age",))
    table = _table(_body(files["ml-100k.item"]), "\t", ("item", "title", "year", "genres"))
    year = pd.to_numeric(table["year"], errors="coerce")
    dated = table["title"] + " (" + table["year"] + ")"
    title = table["title"].where(year.isna(), dated).replace("unkonwn", "unknown")
    genres = table["genres"].str.replace(" ", "|")
    return Parts(
        ratings,
        _indexed(users, "user")[["age", "sex", "occupation"]],
        _items(table["item"], title, genres, year),
        note="the mirror's copy has no official folds (u1 to u5)",
    )


def _body(content: bytes) -> bytes:
    """A RecBole file without its header, user_id:token and so on."""
    return content.partition(b"\n")[2]


def _double_colons(files: Files) -> Parts:
    """ML-1M and ML-10M. No sign parts the cells of the latter's films (titles hold colons), so the
    two colons become a control character that no title has."""
    import numpy as np

    def table(name: str, columns: Sequence[str], integers: Sequence[str] = ()) -> pd.DataFrame:
        content = files[name].replace(b"::", b"\x01")
        try:
            content.decode("utf-8")
        except UnicodeDecodeError:
            content = content.decode("latin-1").encode()
        return _table(content, "\x01", columns, integers=integers)

    ratings = table("ratings.dat", IDS + NUMBERS, ("time",))
    users = items = None
    if "users.dat" in files:
        found = table("users.dat", ("user", "sex", "age", "occupation", "zip"), ("age",))
        users = _indexed(found, "user")[["age", "sex", "occupation"]]
    if "movies.dat" in files:
        films = table("movies.dat", ("item", "title", "genres"))
        unknown = np.full(len(films), np.nan)
        items = _items(films["item"], films["title"], films["genres"], unknown)
    return Parts(ratings, users, items)


def _latest(files: Files) -> Parts:
    import numpy as np

    ratings = _table(_body(files["ratings.csv"]), ",", IDS + NUMBERS)
    if "movies.csv" not in files:
        return Parts(ratings, None, None)
    movies = _table(_body(files["movies.csv"]), ",", ("item", "title", "genres"), quotes=True)
    unknown = np.full(len(movies), np.nan)
    return Parts(ratings, None, _items(movies["item"], movies["title"], movies["genres"], unknown))


def _items(item: Any, title: Any, genres: Any, released: Any) -> pd.DataFrame:  # noqa: ANN401
    """The films: title, year (float, NaN where unknown), genres ("" where none is known)."""
    import pandas as pd

    table = pd.DataFrame({"item": item, "title": title, "year": released, "genres": genres})
    table["title"] = table["title"].str.strip()
    in_title = table["title"].str.extract(YEAR, expand=False)
    table["year"] = pd.to_numeric(in_title, errors="coerce").astype("float64").fillna(table["year"])
    table["genres"] = table["genres"].astype("str").where(~table["genres"].isin(NO_GENRE), "")
    return _indexed(table, "item")


def _indexed(table: pd.DataFrame, name: str) -> pd.DataFrame:
    return table.set_index(name)


def _table(
    content: bytes,
    delimiter: str,
    columns: Sequence[str],
    *,
    integers: Sequence[str] = ("time",),
    quotes: bool = False,
) -> pd.DataFrame:
    """Rows without a header; rating is float32, `integers` int64, all else text."""
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    kinds = {"rating": pa.float32(), **dict.fromkeys(integers, pa.int64())}
    table = pa_csv.read_csv(
        pa.BufferReader(content),
        read_options=pa_csv.ReadOptions(column_names=columns),
        parse_options=pa_csv.ParseOptions(delimiter=delimiter, quote_char='"' if quotes else False),
        convert_options=pa_csv.ConvertOptions(
            column_types={name: kinds.get(name, pa.large_string()) for name in columns},
            null_values=[],
        ),
    )
    frame: pd.DataFrame = table.to_pandas()
    return frame


WANTED = (
    *("u.data", "u.item", "u.user"),
    *(f"{name}.{part}" for name in FOLDS for part in ("base", "test")),
    *("ratings.dat", "movies.dat", "users.dat"),
    *("ratings.csv", "movies.csv"),
    *("ml-100k.inter", "ml-100k.item", "ml-100k.user"),
)
READER = Reader(WANTED, read_movielens)
