"""What a tabular model is worth: gradient boosting beside it, its worst rows, and which columns it
needs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpsearch.core.console import Progress
from hpsearch.trainers.shared.assessment import (
    Assessment,
    Baseline,
    assess_classes,
    assess_numbers,
    cached_baseline,
    note_test_metrics,
)
from hpsearch.trainers.shared.metrics import Floats, errors, scores
from hpsearch.trainers.tabular.importance import column_importance
from hpsearch.trainers.tabular.table.decode import column_places, row_text
from hpsearch.trainers.tabular.table.encoded_rows import EncodedRows
from hpsearch.trainers.tabular.table.prepare import PARTS, PreparedTable

CHEAP_CELLS = 1_000_000
MOST_CODES = 255
"""scikit-learn's trees take a column of more categories as numbers, in the categories' order."""
LOWER_IS_BETTER = ("mse", "rmse", "mae")


def is_cheap(data: PreparedTable) -> bool:
    train, classes = data.parts["train"], data.encoding.target.classes
    trees = len(classes) if len(classes) > 2 else 1  # of each round
    return (train.codes.size + train.numbers.size) * trees <= CHEAP_CELLS


def baseline(settings: Mapping[str, Any], data: PreparedTable) -> Baseline:
    """Histogram gradient boosting as scikit-learn sets it, on the encoded rows."""
    digest = hashlib.sha256()
    for part in PARTS:
        for array in (data.parts[part].codes, data.parts[part].numbers, data.parts[part].targets):
            digest.update(np.ascontiguousarray(array).tobytes())
    key = {"table": data.fingerprint, "rows": digest.hexdigest()}
    return cached_baseline(key, lambda: _baseline(data))


def _baseline(data: PreparedTable) -> Baseline:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    train, is_class = data.parts["train"], bool(data.encoding.target.classes)
    few = np.array(data.encoding.preprocessor.n_categories, np.int64) <= MOST_CODES
    kind = HistGradientBoostingClassifier if is_class else HistGradientBoostingRegressor
    model = kind(
        categorical_features=np.r_[few, np.zeros(train.numbers.shape[1], bool)],
        early_stopping=False,
        random_state=0,
    )
    metrics: dict[str, float] = {}
    # On few cells threads wait for each other longer than they work.
    with threadpool_limits(1 if is_cheap(data) else None, "openmp"):
        model.fit(_features(train), train.targets)
        for part, prefix in (("valid", ""), ("test", "test_")):
            rows = data.parts[part]
            if len(rows):
                answer = model.predict_proba if is_class else model.predict
                made = _measured(data, answer(_features(rows)).astype(np.float32), rows)
                metrics |= {f"{prefix}{name}": value for name, value in made.items()}
    return Baseline("histogram gradient boosting", metrics)


def _features(rows: EncodedRows) -> npt.NDArray[np.float32]:
    return np.hstack([rows.codes.astype(np.float32), rows.numbers])


def _measured(data: PreparedTable, found: Floats, rows: EncodedRows) -> dict[str, float]:
    """The metrics of probabilities (rows, classes), or of numbers (rows,) as they are learnt."""
    if data.encoding.target.classes:
        return scores(found, np.asarray(rows.targets))
    return errors(*_in_units(data, found, rows))


def _in_units(data: PreparedTable, found: Floats, rows: EncodedRows) -> tuple[Floats, Floats]:
    """Predicted and true numbers (rows,) in units of the target."""
    truth = np.asarray(rows.targets)
    if not data.scaled:
        return found, truth
    return data.encoding.unscale(found), data.encoding.unscale(truth)


def assess(
    folder: Path,
    data: PreparedTable,
    *,
    test: bool,
    metric: str,
    device: str,
    progress: Progress,
) -> Assessment:
    """See `hpsearch.trainers.shared.assessment.Assessor`."""
    from hpsearch.trainers.tabular.saved import NAME, load_tabular

    test = test and bool(len(data.parts["test"]))
    part = "test" if test else "valid"
    rows, encoding, model = data.parts[part], data.encoding, load_tabular(folder, device).model

    def answer(some: EncodedRows) -> Floats:
        return _answers(model, some, device, is_class=bool(encoding.target.classes))

    def show(row: int) -> tuple[str, str]:
        content = row_text(encoding.preprocessor, rows.codes[row], rows.numbers[row])
        return f"row {data.rows[part][row] + 1:,}", content

    found = answer(rows)
    if encoding.target.classes:
        fields = assess_classes(found, np.asarray(rows.targets), encoding.target.classes, show)
    else:
        fields = assess_numbers(*_in_units(data, found, rows), show)
    judged = metric if metric in fields["metrics"] else next(iter(fields["metrics"]))
    sign = -1 if judged in LOWER_IS_BETTER else 1
    progress("columns", 0, 1)
    importance = column_importance(
        rows,
        column_places(encoding.preprocessor),
        lambda some: sign * _measured(data, answer(some), some)[judged],
    )
    progress("columns", 1, 1)
    counts = {name: len(data.parts[key]) for name, key in _COUNTS.items()}
    made = Assessment(
        "rows", counts, "test" if test else "held-out", **fields, importance=importance
    )
    if test:
        note_test_metrics(folder / NAME, "rows", made)
    return made


_COUNTS = {"training": "train", "held-out": "valid", "test": "test"}


def _answers(model: Any, rows: EncodedRows, device: str, *, is_class: bool) -> Floats:  # noqa: ANN401
    """Probabilities (rows, classes), or numbers (rows,) as they are learnt."""
    import torch

    from hpsearch.trainers.tabular.network.fit import outputs

    out = outputs(model, rows.codes, rows.numbers, device)
    if not is_class:
        return out[:, 0]
    return np.asarray(torch.softmax(torch.from_numpy(out), 1).numpy())
