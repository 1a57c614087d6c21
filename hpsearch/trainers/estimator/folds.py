"""A table in the folds of a cross-validation: what each trial of an estimator learns from.

The folds are the same in all trials of a study, so that trials differ by their parameters alone. Of
each fold the encoding is learnt from the other folds' rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from hpsearch.data.cells import plainly
from hpsearch.data.tables import TableDataset, load_table
from hpsearch.errors import InputError
from hpsearch.trainers.contract import PrepareSetup
from hpsearch.trainers.estimator.config import EstimatorData
from hpsearch.trainers.shared.config_fields import parse_config
from hpsearch.trainers.tabular.table.encoded_rows import EncodedRows
from hpsearch.trainers.tabular.table.prepare import Encoding, find_columns
from hpsearch.trainers.tabular.table.preprocess import Preprocessor, Target

if TYPE_CHECKING:
    import pandas as pd

SPLIT_SEED = 0
ARRAY = npt.NDArray[Any]
METRICS = {
    "classification": ("accuracy", "f1", "log_loss"),
    "regression": ("mse", "rmse", "mae", "r2"),
}


@dataclass(frozen=True)
class Fold:
    """The rows to learn from and those held out; the categories are codes from 0 on, 0 for one that
    is missing or unknown, of which a column has `levels`."""

    train: EncodedRows
    valid: EncodedRows
    levels: tuple[int, ...]


@dataclass(frozen=True)
class PreparedFolds:
    """What all trials of an estimator share."""

    folds: tuple[Fold, ...]
    classes: tuple[str, ...]
    source: str
    summary: str
    fingerprint: str
    metrics: tuple[str, ...]
    precision: str = "float64"
    stages: tuple[str, ...] = ()

    @property
    def facts(self) -> dict[str, float]:
        return {"training_rows": len(self.folds[0].train)}

    def check(self, settings: Mapping[str, Any]) -> None:
        """What the estimator does not take it says itself."""


def prepare_folds(
    data: Mapping[str, Any], task: Literal["classification", "regression"], setup: PrepareSetup
) -> PreparedFolds:
    """Read the table, part it and encode each fold.

    Raises:
        InputError: The table cannot be used as the study says.
    """
    given = replace(parse_config(EstimatorData, data), task=task)
    dataset = load_table(data, path=setup.data_path, progress=setup.progress, say=setup.say)
    columns = find_columns(dataset.table, given, dataset.source)
    table = plainly(dataset.table, columns.forms)
    target = Target.fit(table, columns)
    codes = target.encode(table[target.name])
    folds = []
    for k, (train, valid) in enumerate(_parts(codes, given.folds, task, dataset)):
        setup.progress("encoding folds", k, given.folds)
        rows = table.iloc[train]
        encoding = Encoding(Preprocessor.fit(rows, columns, compress_tails=False), target)
        folds.append(_fold(encoding, rows, table.iloc[valid]))
    setup.progress("encoding folds", given.folds, given.folds)
    # As the estimator gets them: a date is several.
    n_codes, n_numbers = len(folds[0].levels), folds[0].train.numbers.shape[1]
    kinds = f"{n_codes} categorical and {n_numbers} continuous"
    summary = (
        f"{len(table):,} rows in {given.folds} folds, {kinds} columns, predicting {target.name}"
    )
    return PreparedFolds(
        tuple(folds), target.classes, dataset.source, summary,
        f"{dataset.fingerprint}-{given.folds}", METRICS[task],
    )  # fmt: skip


def _fold(encoding: Encoding, train: pd.DataFrame, valid: pd.DataFrame) -> Fold:
    levels = tuple(int(one) for one in encoding.preprocessor.n_categories)
    return Fold(encoding.rows(train, scaled=False), encoding.rows(valid, scaled=False), levels)


def _parts(
    targets: ARRAY, folds: int, task: str, dataset: TableDataset
) -> list[tuple[ARRAY, ARRAY]]:
    """(the rows to learn from, the rows held out) of each fold; classes are spread evenly."""
    from sklearn.model_selection import KFold, StratifiedKFold

    if task == "regression":
        if len(targets) < 2 * folds:
            raise InputError(
                f"{dataset.source} has {len(targets)} rows for {folds} folds: give more rows, or "
                "fewer folds in [data]."
            )
        parter = KFold(folds, shuffle=True, random_state=SPLIT_SEED)
        return list(parter.split(targets))
    if (rarest := int(np.bincount(targets).min())) < folds:
        raise InputError(
            f"A class of {dataset.source} has {rarest} rows for {folds} folds: give more rows of "
            "it, or fewer folds in [data]."
        )
    parter = StratifiedKFold(folds, shuffle=True, random_state=SPLIT_SEED)
    return list(parter.split(targets, targets))
