"""`predict`: a trained classifier over a file of texts, in its order."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.data.unlabelled import join_columns
from hpsearch.errors import InputError
from hpsearch.files import write_whole
from hpsearch.training.contract import Progress

if TYPE_CHECKING:
    import pandas as pd

    from hpsearch.text.saved_classifier import SavedClassifier


def predict_table(
    saved: SavedClassifier, table: pd.DataFrame, columns: Sequence[str], *, progress: Progress
) -> tuple[pd.DataFrame, int]:
    """(a table with prediction, probability and one column for each class, row by row as in
    `table`; how many rows have no text and so no prediction)."""
    import pandas as pd

    from hpsearch.search.circumstances import default_device

    texts, empty = join_columns(table, columns)
    if not texts:
        raise InputError("There are no texts to predict: the file has no rows.")
    probabilities = saved.predict(texts, device=default_device(), progress=progress)
    best = probabilities.argmax(1)
    made = pd.DataFrame(
        {
            "prediction": [saved.classes[i] for i in best],
            "probability": probabilities.max(1),
            **{f"p({name})": probabilities[:, i] for i, name in enumerate(saved.classes)},
        },
        index=table.index,
    )
    made.iloc[empty, :] = None
    return made, len(empty)


def write_table(table: pd.DataFrame, output: Path | None) -> None:
    """As CSV to standard output or a .csv file, as Parquet to a .parquet file."""
    if output is not None and output.suffix.lower() in (".parquet", ".pq"):
        write_whole(output, table.to_parquet(index=False))
        return
    text = table.to_csv(index=False, float_format="%.6g")
    if output is None:
        sys.stdout.write(text)
    else:
        write_whole(output, text)
