"""`predict`: a trained classifier over a file of texts, in its order."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.data.unlabelled import UnlabelledTexts
from hpsearch.errors import InputError
from hpsearch.files import write_whole
from hpsearch.training.contract import Progress

if TYPE_CHECKING:
    import pandas as pd

    from hpsearch.text.saved_classifier import SavedClassifier


def predict_table(
    saved: SavedClassifier, read: UnlabelledTexts, *, progress: Progress
) -> pd.DataFrame:
    """A table with prediction, probability and one column for each class, row by row as in `read`;
    rows without a text have none of them."""
    import pandas as pd

    from hpsearch.search.circumstances import default_device

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


def is_tabular(folder: Path) -> bool:
    """Whether `train` wrote a tabular model there."""
    return (folder / "tabular.json").is_file()


def predict_rows(
    folder: Path, file: str, *, progress: Progress
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(the rows of a CSV or Parquet file; what the tabular model in `folder` predicts of each)."""
    from hpsearch.data.typed import read_typed
    from hpsearch.search.circumstances import default_device
    from hpsearch.tabular.saved import load_tabular

    device = default_device()
    saved = load_tabular(folder, device)
    table = read_typed(Path(file))
    return table, saved.predict(table, device=device, progress=progress)


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
