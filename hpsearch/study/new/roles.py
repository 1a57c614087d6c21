"""What the columns of somebody's table are for, by their names and by what they hold."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from hpsearch.study.metric_names import words_of

if TYPE_CHECKING:
    import pandas as pd


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_IDS = _words("id ids no nr number num key code name uid")
_USERS = _words(
    "user customer client buyer member reader reviewer viewer listener visitor person account "
    "profile student player guest patron"
)
_ITEMS = _words(
    "item product movie film book isbn asin track song artist album article game restaurant "
    "recipe anime show business place hotel course beer wine sku"
)
_RATINGS = _words("rating ratings stars star score vote votes points overall rate grade")
_TIMES = _words("time timestamp date datetime at on when day")
_TEXTS = _words(
    "text review comment body sentence tweet message content description post abstract title "
    "summary headline subject question"
)
_LABELS = _words(
    "label sentiment class category target y stars rating score topic polarity tag intent "
    "emotion spam language genre stance"
)
_SEVERAL = frozenset(f"{word}s" for word in _LABELS) | _words("classes categories labelset")
_FLAGS = ({"0", "1"}, {"true", "false"}, {"yes", "no"})
_TARGETS = frozenset(("target", "label", "class", "y", "outcome"))
_SPLITS = _words("split valid is_valid set fold partition is_test")
MOST_CLASSES = 50
SEPARATORS = ("|", ";", ",")
A_SHARE = 0.05
"""From so many of the cells on that hold a separator, it parts labels."""
SAMPLE = 2000  # cells whose words are counted
A_TEXT, A_LONG_TEXT = 4, 10  # words on average
MOST_BESIDE_TEXTS = 3
"""A table with more columns beside its texts is one of facts, unless its texts are long."""


class Texts(NamedTuple):
    """The columns of texts, and how many words such a text has on average."""

    columns: list[str]
    words: float


def _head(name: str) -> str:
    """The word that says what a column is: user of `userId`, film of `film_no`."""
    words = words_of(name)
    kept = [word for word in words if word not in _IDS]
    return (kept or words or [""])[-1]


def _has_numbers(cells: pd.Series) -> bool:
    """Whether most cells are numbers: a few that cannot be read make no other column of it."""
    import pandas as pd

    return bool(pd.to_numeric(cells, errors="coerce").notna().mean() > 0.5)


def ratings_in(table: pd.DataFrame, target: str | None) -> dict[str, str] | None:
    """The keys of [data] that name a table's columns user, item, rating and time; None if it is not
    one of ratings: nobody in it comes twice, or its `target` is something else."""
    names = [str(name) for name in table.columns]
    found: dict[str, str] = {}
    for key, words in (("user", _USERS), ("item", _ITEMS), ("rating", _RATINGS), ("time", _TIMES)):
        fitting = [name for name in names if _head(name) in words and name not in found.values()]
        if key == "rating":
            fitting = [name for name in fitting if _has_numbers(table[name])]
        if fitting:
            found[key] = fitting[0]
    if not {"user", "item"} <= found.keys() or (target not in (None, found.get("rating"))):
        return None
    # With no rating it is a table of choices only if there is little else.
    if "rating" not in found and len(names) > len(found) + 1:
        return None
    repeated = all(table[found[key]].nunique() < len(table) for key in ("user", "item"))
    return found if repeated else None


def texts_in(table: pd.DataFrame, target: str | None) -> Texts | None:
    """The columns that hold texts of several words, few of them equal; None if there are none."""
    words = {}
    for name in map(str, table.columns):
        column = table[name].dropna()
        if name == target or column.dtype.kind in "iufbM" or not len(column):
            continue
        cells = column.iloc[:SAMPLE].astype(str)
        mean = float(cells.str.split().str.len().mean())
        distinct = cells.nunique() > len(cells) / 2
        if distinct and mean >= (A_TEXT / 2 if _head(name) in _TEXTS else A_TEXT):
            words[name] = mean
    if not words:
        return None
    longest = max(words, key=lambda name: words[name])
    columns = [name for name in words if name == longest or _head(name) in _TEXTS]
    return Texts(columns, sum(words[name] for name in columns))


def are_texts(table: pd.DataFrame, texts: Texts, target: str | None) -> bool:
    """Whether the texts are what a table is about, not one column among facts."""
    others = [str(name) for name in table.columns if name not in texts.columns]
    flags = flags_in(table, others)
    beside = len(others) - (target is not None) - (len(flags) if len(flags) > 1 else 0)
    number = target is not None and table[target].nunique() > MOST_CLASSES
    return not number and (texts.words >= A_LONG_TEXT or beside <= MOST_BESIDE_TEXTS)


def label_in(table: pd.DataFrame, texts: Texts) -> str | None:
    """The column of labels: one called so, or the only one with few values."""
    few = [
        str(name)
        for name in table.columns
        if name not in texts.columns
        and _head(str(name)) not in _SPLITS
        and 2 <= table[name].nunique() <= min(MOST_CLASSES, len(table) / 2)
    ]
    named = [name for name in few if _head(name) in _LABELS]
    return named[0] if named else few[0] if len(few) == 1 else None


class Several(NamedTuple):
    """Where several labels a text are: in one column, with `separator` between them or as lists
    (None), or in `columns` of 0 and 1. `counts` says how many texts have each, where that is known,
    and `empty` how many rows say nothing."""

    columns: list[str]
    separator: str | None
    counts: dict[str, int]
    empty: int


def several_in(
    table: pd.DataFrame, texts: list[str], target: str | None, *, wanted: bool
) -> Several | None:
    """Several labels a text, if that is what columns beside the texts hold; None if not.

    A column that is called so goes before columns of 0 and 1, and these before any other; where a
    column is called so and holds one label a text, it is the label, unless several are `wanted`, or
    it is one of three or more of 0 and 1.
    """
    others = [
        str(name)
        for name in table.columns
        if name not in texts and _head(str(name)) not in _SPLITS and target in (None, name)
    ]
    called = [name for name in others if target or _head(name) in _LABELS | _SEVERAL]
    found = [one for name in called if (one := _in_cells(table, name, wanted=wanted))]
    if found:
        return found[0]
    flags = flags_in(table, others)
    one_of_them = len(flags) > 2 and set(called) <= set(flags) - _TARGETS
    if len(flags) > 1 and (wanted or not called or one_of_them):
        yes = {name: int(_says_yes(table[name]).sum()) for name in flags}
        return Several(flags, None, yes, int(table[flags].isna().all(axis=1).sum()))
    if called and not wanted:
        return None
    found = [one for name in others if (one := _in_cells(table, name, wanted=wanted))]
    return found[0] if len(found) == 1 else None


def flags_in(table: pd.DataFrame, names: list[str]) -> list[str]:
    """Those of the columns that say 0 or 1 (or true or false), and both."""
    found = []
    for name in names:
        column = table[name]
        distinct = column.dropna().unique() if column.nunique() == 2 else []
        if {str(one).strip().lower().removesuffix(".0") for one in distinct} in _FLAGS:
            found.append(name)
    return found


def _says_yes(column: pd.Series) -> pd.Series:
    said = column.astype(object).astype(str).str.strip().str.lower()
    return said.isin(("1", "1.0", "true", "yes"))


def _in_cells(table: pd.DataFrame, name: str, *, wanted: bool) -> Several | None:
    """The labels in the cells of one column; None if they do not look like several."""
    unread = str(table.attrs.get("unread", {}).get(name, ""))
    if "list<" in unread and "int" in unread:
        return Several([name], None, {}, 0)
    cells = table[name]
    filled = cells.dropna()
    if filled.dtype.kind in "iufbM" or not len(filled):
        return None
    counted: Counter[str] = Counter()
    texts = filled.astype(str)
    if name in table.attrs.get("lists", ()):
        for cell, times in texts.value_counts().items():
            counted.update(dict.fromkeys(set(str(cell).split("|")) - {""}, int(times)))
        return Several([name], None, dict(counted), 0)  # an empty list says that there are none
    lists = texts.str.startswith("[") & texts.str.endswith("]")
    if lists.mean() > 0.5:
        bare = texts.str.strip("[]").str.split(",").explode().str.strip(" '\"")
        found = bare[bare != ""].value_counts()
        return Several([name], None, dict(found), int(cells.isna().sum()))
    for separator in SEPARATORS:
        has = texts.str.contains(separator, regex=False)
        if not has.any():
            continue
        parts = texts.str.split(separator, regex=False).explode().str.strip()
        found = parts[parts != ""].value_counts()
        many = len(found) <= len(filled) / 2 and found.mean() >= 2
        short = parts.str.split().str.len().mean() <= A_TEXT
        if wanted or (has.mean() >= A_SHARE and many and short):
            return Several([name], separator, dict(found), int(cells.isna().sum()))
    return None


def target_in(names: list[str]) -> str | None:
    """The only column that is called what one predicts, whatever the table is about.

    Example:
        >>> target_in(["age", "Target"]), target_in(["y", "class"]), target_in(["class_size"])
        ('Target', None, None)
    """
    found = [name for name in names if name.strip().lower() in _TARGETS]
    return found[0] if len(found) == 1 else None


def split_in(table: pd.DataFrame, known: set[str]) -> str | None:
    """The column that says which rows are held out, in words that are `known`."""
    for name in map(str, table.columns):
        if name.lower() in _SPLITS or _head(name) in _SPLITS:
            values: Any = table[name].dropna().astype(str).str.strip().str.lower()
            if len(values) == len(table) and values.isin(known).all() and values.nunique() > 1:
                return name
    return None
