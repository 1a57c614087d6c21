"""`predict`: a trained model of any kind over the rows of a file, in its order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from hpsearch.core.console import Progress, Say, say, shown_progress
from hpsearch.core.environment import default_device
from hpsearch.core.terminal import new_console
from hpsearch.data.own.label_sets import SEPARATORS
from hpsearch.data.own.unlabelled_texts import UnlabelledTexts, read_texts
from hpsearch.data.write_tables import with_reasons
from hpsearch.errors import InputError
from hpsearch.models.plan_file import PLAN_FILE

if TYPE_CHECKING:
    import pandas as pd

    from hpsearch.trainers.collab.saved import SavedCollab
    from hpsearch.trainers.text.classifier.saved import SavedClassifier


@dataclass(frozen=True)
class PredictOptions:
    """What a prediction may be given beside model and file; see hpsearch.predict."""

    text: Sequence[str] = ()
    users: Path | None = None
    items: Path | None = None
    threshold: float | Mapping[str, float] | None = None
    trust_code: bool = False


def predict(
    folder: Path,
    file: str,
    options: PredictOptions = PredictOptions(),
    *,
    columns: bool = False,
    console: Console | None = None,
) -> pd.DataFrame:
    """What `predict_file` predicts; with `columns` beside those of the file."""
    import pandas as pd

    console = console or new_console(stderr=True)
    with shown_progress(console) as progress:
        table, made = predict_file(
            folder, file, options, progress=progress, say=lambda sentence: say(console, sentence)
        )  # fmt: skip
    return pd.concat([table, made], axis=1) if columns else made


def predict_file(
    folder: Path,
    file: str,
    options: PredictOptions,
    *,
    progress: Progress,
    say: Say,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predict for the rows of `file` with the model that `train` wrote to `folder`.

    Returns (the columns of `file`, the predictions), row by row. If a row can have no prediction,
    its prediction is empty and a column `reason` says why; `say` gets the number of such rows.
    Raises InputError if the folder holds no such model, or the file does not fit the model.
    """
    if options.threshold is not None and not (folder / "classifier.json").is_file():
        raise InputError("threshold is for classifiers of texts of several labels: drop it.")
    if file == "-" and not (folder / "classifier.json").is_file():
        raise InputError("Only texts are read from stdin: give a CSV or Parquet file.")
    if (folder / "tabular.json").is_file():
        return _predict_rows(folder, file, progress, say)
    if (folder / "recommender.json").is_file():
        from hpsearch.trainers.collab.recommender.recommend import load_recommender

        loaded = load_recommender(folder, users=options.users, items=options.items)
        return _predict_pairs(loaded.saved, file, say)
    if (folder / "classifier.json").is_file():
        from hpsearch.trainers.text.classifier.saved import load_classifier

        saved = load_classifier(folder, trust_code=options.trust_code)
        if options.threshold is not None:
            saved = saved.with_threshold(options.threshold)
        return _predict_texts(saved, file, options.text, progress, say)
    if (folder / PLAN_FILE).is_file():
        raise InputError(
            f"{folder} is of your own objective, an estimator or a language model, which only your "
            "own code can predict with: a function keeps what it needs in the folder `output`."
        )
    raise InputError(
        f"{folder} holds no classifier, tabular model or recommender: give a folder that "
        "`hpsearch train` wrote."
    )


def _predict_texts(
    saved: SavedClassifier, file: str, text: Sequence[str], progress: Progress, say: Say
) -> tuple[pd.DataFrame, pd.DataFrame]:
    read = read_texts(file, tuple(text or saved.text_columns))
    made = predict_table(saved, read, progress=progress)
    if read.empty:
        say(f"{len(read.empty):,} of {len(made):,} rows have no text, so no prediction.")
    return read.table.to_pandas(), made


def predict_table(
    saved: SavedClassifier, read: UnlabelledTexts, *, progress: Progress
) -> pd.DataFrame:
    """A table with prediction, probability and one column for each class, row by row as in `read`;
    rows without a text have none of them, but a `reason`.

    Where a text may have several labels, the prediction holds all that it is given, as in
    drama|comedy, and is empty where it is given none.
    """
    import pandas as pd

    if not read.texts:
        raise InputError("There are no texts to predict: the file has no rows.")
    probabilities = saved.predict(read.texts, device=default_device(), progress=progress)
    between = _separator(saved.classes)
    made = pd.DataFrame(
        {
            "prediction": [between.join(one or ()) for one in saved.choose(probabilities)],
            **({} if saved.several else {"probability": probabilities.max(1)}),
            **{f"p({name})": probabilities[:, i] for i, name in enumerate(saved.classes)},
        }
    )
    reasons: list[str | None] = [None] * len(made)
    for row in read.empty:
        reasons[row] = "no text"
    return with_reasons(made, reasons)


def _separator(labels: Sequence[str]) -> str:
    """A sign between labels that stands in none of them."""
    free = (one for one in SEPARATORS if not any(one in label for label in labels))
    return next(free, "\n")


def _predict_rows(
    folder: Path, file: str, progress: Progress, say: Say
) -> tuple[pd.DataFrame, pd.DataFrame]:
    from hpsearch.data.own.typed_columns import read_typed
    from hpsearch.trainers.tabular.saved import load_tabular

    device = default_device()
    saved = load_tabular(folder, device)
    table = read_typed(Path(file), strings=saved.encoding.preprocessor.texts)
    made = saved.predict(table, device=device, progress=progress)
    if "reason" in made:
        n = int(made["reason"].notna().sum())
        say(f"{n:,} of {len(made):,} rows have a cell that cannot be read, so no prediction.")
    for name, (n, such) in saved.encoding.preprocessor.unseen(table).items():
        say(
            f"{n:,} of {len(made):,} rows have a {name} that the training rows lack, such as "
            f"{such[:40]!r}: it is taken for unknown."
        )
    return table, made


def _predict_pairs(saved: SavedCollab, file: str, say: Say) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predict the ratings of the pairs in a file; a model of choices predicts probabilities."""
    import pandas as pd

    from hpsearch.data.own.rating_files import read_pairs

    titled = saved.items is not None and "title" in saved.items
    table, users, items = read_pairs(Path(file), saved.columns, titled=titled)
    items, n_titles = saved.ids_of_titles(items)
    if n_titles:
        say(f"{n_titles:,} of {len(items):,} rows: the item was found by its title.")
    made = saved.predict(users, items, device=default_device())
    gaps = np.array([not (user and item) for user, item in zip(users, items, strict=True)])
    reasons = ["no user or no item" if gap else None for gap in gaps]
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
    predictions = pd.DataFrame({"probability" if saved.implicit else "prediction": made})
    return table, with_reasons(predictions, reasons)
