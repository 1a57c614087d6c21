"""What somebody's data is, and what [data] says of it: texts, a table or ratings.

Data is a file, a folder, an archive, or what a query gives.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hpsearch.core.console import Progress
from hpsearch.core.words import how_many, nearest, quoted
from hpsearch.data.cells import HELD_OUT
from hpsearch.data.named import adult, imdb, movielens
from hpsearch.data.named.bundles import is_bundle, read_files
from hpsearch.data.own.class_folders import has_class_folders
from hpsearch.data.own.csv_files import is_table
from hpsearch.data.own.datasets_folder import is_datasets_folder
from hpsearch.data.own.labelled_texts import SPLITS
from hpsearch.errors import InputError
from hpsearch.study.new import roles
from hpsearch.study.trainers import table_looker

if TYPE_CHECKING:
    import pandas as pd

Task = Literal[
    "texts", "multi-label", "language-model", "table", "classification", "regression", "ratings"
]
SAMPLE_ENGLISH = 500  # texts
ENGLISH = frozenset(("the", "of", "and", "to", "a", "in", "is", "it", "that", "this", "for", "was"))
DOUBTFUL = 100
"""Whole numbers of so many values may be meant as classes or as numbers."""
LONG_WORDS = 60.0
"""Texts with more words than this on average are like film reviews, shorter ones like snippets."""


@dataclass(frozen=True)
class Found:
    """What the data is.

    Attributes:
        trainer: By its name in a study.toml.
        data: The keys of [data].
        n: Rows, texts or ratings, of which a fifth will be held out.
        what: One phrase for people.
        columns: Lines of [data] that say what each column of a table is, and why.
        notes: Sentences for people.
        words: In a text, on average.
        reasons: Of keys of [data], why they are so.
    """

    trainer: str
    data: Mapping[str, Any]
    n: int
    what: str
    columns: Sequence[str] = ()
    notes: tuple[str, ...] = ()
    words: float = 0.0
    reasons: Mapping[str, str] = field(default_factory=dict)


def look(
    where: Mapping[str, Any], task: Task | None, target: str | None, progress: Progress
) -> Found:
    """Look at the data and say what it is.

    Args:
        where: {"path": ...} or {"database": URL, "query": SELECT}.
        task: What it is to be taken for. None: what it looks like.
        target: The column to predict: a table's, the labels of texts, or the rating.

    Raises:
        InputError: It cannot be read, or the column to predict is neither named nor obvious.
    """
    if "path" in where:
        path = Path(str(where["path"])).expanduser()
        if not path.exists():
            raise InputError(f"{path} does not exist: give a file, a folder or an archive.")
        if is_datasets_folder(path):
            return _look_at_table({"path": str(path)}, _saved_rows(path), task, target)
        if path.is_dir() or not is_table(path):
            found = _bundle(path, task, progress)
            if isinstance(found, Found):
                return found
            path = found
        where = {"path": str(path)}
    return _look_at_table(where, _rows(where, progress), task, target)


def _bundle(path: Path, task: Task | None, progress: Progress) -> Found | Path:
    """A folder, an archive or a plain text, as a whole; or the only table in a folder."""
    for trainer, is_it, load in _LAYOUTS:
        if task in (None, *_TASKS[trainer]) and is_it(path):
            with suppress(InputError):  # of the same names, but not the publisher's
                return load(path, progress)
    # A .json in a folder is likelier a description than rows.
    files = path.iterdir() if path.is_dir() else ()
    tables = sorted(one for one in files if is_table(one) and one.suffix.lower() != ".json")
    if len(tables) > 1:
        some = quoted(one.name for one in tables)
        raise InputError(f"{path} holds several tables ({some}): name the one to learn from.")
    return tables[0] if tables else _corpus(path, progress)


def _reviews(path: Path, progress: Progress) -> Found:
    from hpsearch.data.texts import load_text

    data = {"path": str(path)}
    dataset = load_text(data, path=None, progress=progress)
    n = int((dataset.table["split"] == "train").sum())
    what = f"{len(dataset.table):,} texts of {len(dataset.classes)} classes"
    texts = dataset.table["text"].head(SAMPLE_ENGLISH).tolist()
    words = sum(len(text.split()) for text in texts) / max(1, len(texts))
    notes = _other_language(texts)
    return Found("text-classifier", data, n, what, notes=notes, words=words)


def _movielens(path: Path, progress: Progress) -> Found:
    from hpsearch.data.ratings import load_ratings

    data = {"path": str(path), "rating": "rating"}
    ratings = load_ratings(data, path=None, progress=progress).ratings
    return Found("collab", data, len(ratings), f"{len(ratings):,} ratings of MovieLens")


def _adult(path: Path, progress: Progress) -> Found:
    data = {"path": str(path), "target": "salary", "task": "classification"}
    rows = len(_rows(data, progress))
    return Found("tabular", data, rows, f"classification of salary from {rows:,} rows of Adult")


def _has_labels(path: Path) -> bool:
    """Whether it is a folder or a zip with a folder of texts for each class."""
    if path.is_dir():
        return imdb.find_root(path) is not None or has_class_folders(path)
    return zipfile.is_zipfile(path) and has_class_folders(path)


def _holds(path: Path, wanted: Collection[str]) -> bool:
    return is_bundle(path) and bool(read_files(path, set(wanted)))


_LAYOUTS: tuple[tuple[str, Callable[[Path], bool], Callable[[Path, Progress], Found]], ...] = (
    (
        "text-classifier",
        lambda path: imdb.is_archive(path) or _has_labels(path),
        _reviews,
    ),
    ("collab", lambda path: _holds(path, movielens.READER.wanted), _movielens),
    ("tabular", lambda path: _holds(path, adult.READER.wanted), _adult),
)
"""The published layouts that are read as a whole: trainer, whether it is that, what it is."""
_TASKS = {
    "text-classifier": ("texts",),
    "collab": ("ratings",),
    "tabular": ("table", "classification"),
}


def _corpus(path: Path, progress: Progress) -> Found:
    """Texts without labels."""
    from hpsearch.data.corpus import read_corpus

    corpus = read_corpus(str(path), progress=progress)
    return Found(
        "language-model",
        {"path": str(path)},
        len(corpus.texts),
        f"a language model of {how_many(len(corpus.texts), 'text')}",
        notes=_other_language(corpus.texts),
    )


def _rows(where: Mapping[str, Any], progress: Progress) -> pd.DataFrame:
    from hpsearch.data.tables import load_table

    return load_table(where, path=None, progress=progress).table


def _saved_rows(path: Path) -> pd.DataFrame:
    """The rows of a folder that `datasets` saved, but for those of a split "test" beside others.
    The splits are no column: whoever reads the folder knows them."""
    from hpsearch.data.own.datasets_folder import read_splits, together
    from hpsearch.data.own.typed_columns import to_frame

    splits = read_splits(path)
    if len(splits) > 1:
        splits.pop("test", None)
    return to_frame(together([*splits.values()], path))


def _look_at_table(
    where: Mapping[str, Any], table: pd.DataFrame, task: Task | None, target: str | None
) -> Found:
    names = [str(name) for name in table.columns]
    if target is not None and target not in names:
        raise InputError(
            f"There is no column {target!r}{nearest(target, names)} to predict: it has "
            f"{quoted(names)}."
        )
    if task in (None, "ratings"):
        rated = roles.ratings_in(table, target)
        if rated is not None:
            return _ratings(where, table, rated)
        if task == "ratings":
            return _ratings(where, table, _named_by_place(names))
    texts = roles.texts_in(table, target)
    of_texts = ("texts", "multi-label", "language-model")
    if task in of_texts and texts is None:
        raise InputError(f"No column holds texts of several words: it has {quoted(names)}.")
    if texts is not None and (
        task in of_texts or (task is None and roles.are_texts(table, texts, target))
    ):
        return _texts(where, table, texts, task, target)
    return _table(where, table, task, target)


def _named_by_place(names: list[str]) -> dict[str, str]:
    """Columns of ratings whose names say nothing: user, item, rating, time in this order."""
    if len(names) < 2:
        raise InputError("Ratings need a column of users and one of items.")
    _check_names(names)
    return dict(zip(("user", "item", "rating", "time"), names, strict=False))


def _ratings(where: Mapping[str, Any], table: pd.DataFrame, rated: dict[str, str]) -> Found:
    users, items = (table[rated[key]].nunique() for key in ("user", "item"))
    kind = "ratings" if "rating" in rated else "choices"
    what = f"{len(table):,} {kind} of {users:,} users and {items:,} items"
    notes: tuple[str, ...] = ()
    if "rating" in rated:
        ends = table[rated["rating"]]
        if ends.dtype.kind in "iuf":
            what += f", from {ends.min():g} to {ends.max():g}"
    else:
        notes = (
            "There is no rating, so a row says only who chose what; if it is another table, add "
            "--task table and --target.",
        )
    return Found("collab", {**where, **rated}, len(table), what, notes=notes)


def _texts(
    where: Mapping[str, Any],
    table: pd.DataFrame,
    texts: roles.Texts,
    task: Task | None,
    target: str | None,
) -> Found:
    text = texts.columns[0] if len(texts.columns) == 1 else texts.columns
    data = {**where, "text": text}
    sample = table[texts.columns[0]].dropna().astype(str).head(SAMPLE_ENGLISH).tolist()
    notes = _other_language(sample)
    if task not in ("texts", "language-model"):
        wanted = task == "multi-label"
        several = roles.several_in(table, texts.columns, target, wanted=wanted)
        if several is not None:
            return _several_labels(data, table, texts, several, notes)
        if wanted:
            raise InputError(
                "No column holds several labels a text: name it with --target, or give columns of "
                "0 and 1."
            )
    label = target or (roles.label_in(table, texts) if task != "language-model" else None)
    if task == "language-model" or (label is None and len(table.columns) == len(texts.columns)):
        if "path" not in where:
            raise InputError("A language model reads files: write the query's texts to a CSV file.")
        what = f"a language model of {how_many(len(table), 'text')}"
        return Found("language-model", data, len(table), what, notes=notes, words=texts.words)
    if label is None:
        others = [str(name) for name in table.columns if name not in texts.columns]
        raise InputError(
            f"Which column has the labels of the texts in {quoted(texts.columns)}? Add --target, "
            f"one of {', '.join(others)}, or --task language-model."
        )
    data["label"] = label
    split = roles.split_in(table, {*SPLITS, *HELD_OUT})
    if split is not None:
        data["split"] = split
    classes = table[label].nunique()
    what = f"{len(table):,} texts of {classes} classes ({quoted(texts.columns)}: {label!r})"
    return Found("text-classifier", data, len(table), what, notes=notes, words=texts.words)


def _several_labels(
    data: dict[str, Any],
    table: pd.DataFrame,
    texts: roles.Texts,
    found: roles.Several,
    notes: tuple[str, ...],
) -> Found:
    """Texts that may have several labels each."""
    flags = len(found.columns) > 1
    data["labels"] = found.columns if flags else found.columns[0]
    if found.separator is not None:
        data["label_separator"] = found.separator
    split = roles.split_in(table, {*SPLITS, *HELD_OUT})
    if split is not None:
        data["split"] = split
    where = "0 or 1 in" if flags else "several in a cell of"
    counts = found.counts
    labels = f"several of {how_many(len(counts), 'label')}" if counts else "several labels"
    what = f"{len(table):,} texts, each of which may have {labels} "
    what += f"({quoted(texts.columns)}: {where} {quoted(found.columns)})"
    notes += ("If each text has one label, add --task texts and --target COLUMN.",)
    if found.empty:
        notes += (
            f"{how_many(found.empty, 'row')} with nothing in {quoted(found.columns)} "
            f"{'counts' if found.empty == 1 else 'count'} as not labelled: if "
            f"{'it has' if found.empty == 1 else 'they have'} none of the labels, say so with "
            'empty_labels = "none" in [data].',
        )
    if rare := sorted(name for name, times in counts.items() if times == 1):
        data["on_error"] = "skip"
        notes += (
            f"{how_many(len(rare), 'label')} of one text ({quoted(rare[:5])}"
            f"{' and others' if len(rare) > 5 else ''}) will be left out, as on_error in the study "
            "says.",
        )
    return Found(
        "text-classifier", data, len(table), what, notes=notes, words=texts.words,
        reasons={"labels": "a text may have several"},
    )  # fmt: skip


def _other_language(texts: list[str]) -> tuple[str, ...]:
    """A note if few words are among the commonest of English, which pretrained models have read."""
    words = [word.lower() for text in texts[:SAMPLE_ENGLISH] for word in text.split()]
    if len(words) < 50 or sum(word in ENGLISH for word in words) >= 0.08 * len(words):
        return ()
    return (
        "The texts do not look like English, which the language models that are here have read: "
        "set tokenizer in [data], and train one of your own texts with hpsearch pretrain.",
    )


def _target_in(table: pd.DataFrame) -> str:
    """The only column that is called what one predicts. Raises InputError if there is none."""
    names = [str(name) for name in table.columns]
    if len(names) == 1:
        raise InputError(
            f"The only column is {names[0]}: give a table with another, to be predicted from it."
        )
    _check_names(names)
    if (target := roles.target_in(names)) is not None:
        return target
    raise InputError(f"Which column is to be predicted? Add --target, one of {', '.join(names)}.")


def _check_names(names: list[str]) -> None:
    """Raises InputError for a first row of numbers: one of values, unless it counts the columns."""
    numbers = [name.strip().replace(".", "", 1) for name in names]
    counted = [[str(i + first) for i in range(len(names))] for first in (0, 1)]
    if all(number.isdecimal() for number in numbers) and names not in counted:
        raise InputError(
            f"The first row has values in place of the columns' names ({quoted(names)}): write "
            "names above it, for ratings user,item,rating,time."
        )


def _table(
    where: Mapping[str, Any], table: pd.DataFrame, task: Task | None, target: str | None
) -> Found:
    notes: tuple[str, ...] = ()
    if target is None:
        target = _target_in(table)
        notes = (f"{target} is what is predicted, by its name; otherwise add --target COLUMN.",)
    split = roles.split_in(table, set(HELD_OUT))
    split = None if split == target else split
    given = task if task in ("classification", "regression") else None
    seen = table_looker().look_at(table, target, [split] if split else [], given)
    counts = ", ".join(f"{n} {kind}" for kind, n in seen.counts.items())
    data = {**where, "target": target, "task": seen.task}
    if split is not None:
        data["split"] = {"column": split}
    elif seen.task == "classification":
        data["split"] = {"share": 0.2, "stratify": target}
    if seen.without_target:
        data["on_error"] = "skip"
        rows = how_many(seen.without_target, "row")
        notes += (f"{rows} without {target} will be left out, as on_error in the study says.",)
    if table[target].dtype.kind in "iu" and table[target].nunique() <= DOUBTFUL and given is None:
        other = "regression" if seen.task == "classification" else "classification"
        taken = "classes" if seen.task == "classification" else "numbers"
        notes += (
            f"{target} has {seen.why}, which are taken for {taken}; otherwise add --task {other}.",
        )
    return Found(
        "tabular",
        data,
        len(table),
        f"{seen.task} of {target} from {len(table):,} rows; columns: {counts}",
        seen.lists,
        notes,
        reasons={"target": seen.why},
    )
