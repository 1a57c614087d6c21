"""Which rows are trained on, which are held out, and which the language model reads."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hpsearch.errors import InputError
from hpsearch.trainers.text.config import ClassifierConfig, LanguageModelTrialConfig

Rows = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def classifier_rows(labels: Rows, is_test: Flags, config: ClassifierConfig) -> dict[str, Rows]:
    """Divide the rows into the parts train, valid, read and test; the trial's seed changes nothing.

    Held-out rows (valid) are drawn from the labelled rows that are not test rows: at most a fifth,
    with each class in its share. With `hold_out` "test" they are the first test rows, and no others
    are held out. The language model reads (read) the classifier's training texts, then others, but
    no held-out and no test texts.

    Args:
        labels: The class of each row (rows,), -1 where there is none.

    Returns:
        The row numbers of each part.

    Raises:
        InputError: There are too few labelled texts, or fewer than two classes.
    """
    rng = np.random.default_rng(0)
    labelled = rng.permutation(np.flatnonzero(~is_test & (labels >= 0)))
    if len(labelled) < 5:
        raise InputError(
            f"There are only {len(labelled)} labelled training texts; at least 5 are needed."
        )
    if len(np.unique(labels[labelled])) < 2:
        raise InputError("All training texts have the same label; a classifier needs two.")
    labelled = _interleave_classes(labels, labelled)
    test = np.zeros(0, dtype=np.int64)
    if config.hold_out == "test" and (is_test & (labels >= 0)).any():
        test = rng.permutation(np.flatnonzero(is_test & (labels >= 0)))
        test = _interleave_classes(labels, test)
        valid, rest = test[: config.valid_reviews], labelled
    else:
        n_valid = min(config.valid_reviews, len(labelled) // 5)
        valid, rest = labelled[:n_valid], labelled[n_valid:]
    train = rest[: config.train_reviews or None]
    if len(np.unique(labels[train])) < len(np.unique(labels[labelled])):
        raise InputError(
            f"{len(train)} training texts do not hold every class; raise train_reviews."
        )
    others = np.setdiff1d(np.flatnonzero(~is_test), np.concatenate([train, valid]))
    read = np.concatenate([train, rng.permutation(others)])
    return {
        "train": train,
        "valid": valid,
        "test": test,
        "read": read[: config.language_model.n_reviews or None],
    }


def language_model_rows(is_test: Flags, config: LanguageModelTrialConfig) -> dict[str, Rows]:
    """Divide the rows that are not test rows into the parts valid and read.

    At most a tenth of them is held out (valid), labelled or not.

    Raises:
        InputError: There are fewer than two rows.
    """
    rows = np.random.default_rng(0).permutation(np.flatnonzero(~is_test))
    if len(rows) < 2:
        raise InputError(f"There are only {len(rows)} texts to train on; at least 2 are needed.")
    n_valid = max(1, min(config.valid_reviews, len(rows) // 10))
    return {"valid": rows[:n_valid], "read": rows[n_valid:][: config.n_reviews or None]}


def _interleave_classes(labels: Rows, rows: Rows) -> Rows:
    """The rows in an order whose every beginning holds each class in about its overall share."""
    position = np.empty(len(rows))
    for label in np.unique(labels[rows]):
        of_label = np.flatnonzero(labels[rows] == label)
        position[of_label] = (np.arange(len(of_label)) + 0.5) / len(of_label)
    return rows[np.argsort(position, kind="stable")]
