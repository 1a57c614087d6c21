"""`predict`: a trained model of any kind over the rows of a file, in its order."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.data.tables import PARQUET
from hpsearch.data.unlabelled import UnlabelledTexts, read_texts
from hpsearch.errors import InputError
from hpsearch.files import check_writable, write_whole
from hpsearch.search.circumstances import default_device
from hpsearch.training.contract import Progress, Say

if TYPE_CHECKING:
    import pandas as pd

    from hpsearch.collab.saved import SavedCollab
    from hpsearch.text.saved_classifier import SavedClassifier


WRITABLE = (".csv", ".json", *PARQUET)


def predict_file(
    folder: Path,
    file: str,
    *,
    text: Sequence[str] = (),
    users: Path | None = None,
    items: Path | None = None,
    progress: Progress,
    say: Say,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(the columns of `file`; what the model that `train` wrote to `folder` predicts), row by row.

    `text` are the columns of a classifier's texts, if other than in training; `users` and `items`
    files that describe a recommender's new ones. Rows for which there
    can be no prediction have an empty one, and `say` is told how many. Raises InputError if the
    folder holds no such model, or the file does not fit it.
    """
    if file == "-" and not (folder / "classifier.json").is_file():
        raise InputError("Only texts are read from stdin: give a CSV or Parquet file.")
    if (folder / "tabular.json").is_file():
        return _predict_rows(folder, file, progress)
    if (folder / "recommender.json").is_file():
        from hpsearch.collab.recommend import load_recommender

        return _predict_pairs(load_recommender(folder, users=users, items=items).saved, file, say)
    if (folder / "classifier.json").is_file():
        return _predict_texts(folder, file, text, progress, say)
    raise InputError(
        f"{folder} holds no classifier, tabular model or recommender: give a folder that "
        "`hpsearch train` wrote."
    )


def _predict_texts(
    folder: Path, file: str, text: Sequence[str], progress: Progress, say: Say
) -> tuple[pd.DataFrame, pd.DataFrame]:
    from hpsearch.text.saved_classifier import load_classifier

    saved = load_classifier(folder)
    read = read_texts(file, tuple(text or saved.text_columns))
    made = predict_table(saved, read, progress=progress)
    if read.empty:
        say(f"{len(read.empty):,} of {len(made):,} rows have no text, so no prediction.")
    return read.table.to_pandas(), made


def predict_table(
    saved: SavedClassifier, read: UnlabelledTexts, *, progress: Progress
) -> pd.DataFrame:
    """A table with prediction, probability and one column for each class, row by row as in `read`;
    rows without a text have none of them."""
    import pandas as pd

    if not read.texts:
        raise InputError("There are no texts to predict: the file has no rows.")
    probabilities = saved.predict(read.texts, device=default_device(), progress=progress)
    best = probabilities.argmax(1)
    made = pd.DataFrame(
        {
            "prediction": [saved.classes[i] for i in best],
            "probability": probabilities.max(1),
            **{f"p({name})": probabilities[:, i] for i, name in enumerate(saved.classes)},
        }
    )
    made.iloc[read.empty, :] = None
    return made


def _predict_rows(folder: Path, file: str, progress: Progress) -> tuple[pd.DataFrame, pd.DataFrame]:
    from hpsearch.data.typed import read_typed
    from hpsearch.tabular.saved import load_tabular

    device = default_device()
    saved = load_tabular(folder, device)
    table = read_typed(Path(file), strings=saved.encoding.preprocessor.texts)
    return table, saved.predict(table, device=device, progress=progress)


def _predict_pairs(saved: SavedCollab, file: str, say: Say) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Ratings, or of a model of choices probabilities, of the pairs in a file."""
    import pandas as pd

    from hpsearch.data.recommender_files import read_pairs

    titled = saved.items is not None and "title" in saved.items
    table, users, items = read_pairs(Path(file), saved.columns, titled=titled)
    items, n_titles = saved.ids_of_titles(items)
    if n_titles:
        say(f"{n_titles:,} of {len(items):,} rows: the item was found by its title.")
    made = saved.predict(users, items, device=default_device())
    gaps = np.array([not (user and item) for user, item in zip(users, items, strict=True)])
    made[gaps] = np.nan
    if gaps.any():
        say(f"{gaps.sum():,} of {len(made):,} rows lack a user or an item, so have no prediction.")
    numbers = saved.user_ids.numbers(users), saved.item_ids.numbers(items)
    for what, found, n_trained in zip(("user", "item"), numbers, saved.n_trained, strict=True):
        by_id = what == "item" and not titled
        hint = "; it knows items by their ids, not by titles" if by_id else ""
        for which, which_are in (
            (
                f"unknown to the model, which takes it for an average one{hint}",
                (found == 0) & ~gaps,
            ),
            ("known by metadata only", found >= n_trained),
        ):
            if which_are.any():
                say(f"{which_are.sum():,} of {len(made):,} rows: the {what} is {which}.")
    return table, pd.DataFrame({"probability" if saved.implicit else "prediction": made})


def check_output(output: Path | None) -> None:
    """Raises InputError, before any work, for a file that `write_table` does not write, or that
    cannot be written."""
    if output is None:
        return
    if output.suffix.lower() not in WRITABLE:
        raise InputError(f"{output} is of no known kind: name a .csv, .json or .parquet file.")
    check_writable(output)


def write_table(table: pd.DataFrame, output: Path | None) -> None:
    """As CSV to standard output, or to a file as its ending says: CSV, a JSON list of rows, or
    Parquet."""
    ending = "" if output is None else output.suffix.lower()
    if output is not None and ending in PARQUET:
        write_whole(output, table.to_parquet(index=False))
        return
    if ending == ".json":
        text = (
            table.to_json(orient="records", indent=1, double_precision=15, force_ascii=False) + "\n"
        )
    else:
        text = table.to_csv(index=False, float_format="%.6g")
    if output is None:
        sys.stdout.write(text)
    else:
        write_whole(output, text)
