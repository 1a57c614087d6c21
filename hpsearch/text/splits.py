"""Which rows are trained on, which are held out, and which the language model reads."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hpsearch.errors import InputError
from hpsearch.text.config import ClassifierConfig, LanguageModelTrialConfig

Rows = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def classifier_rows(labels: Rows, is_test: Flags, config: ClassifierConfig) -> dict[str, Rows]:
    """Row numbers by part, for `labels` (rows,), -1 where there is none: train, valid, read, test.

    Held-out rows (valid) are drawn from the labelled ones that are no test rows, each class in its
    share, at most a fifth of them; with `hold_out` "test" they are the first of the test rows and
    nothing else is held out. The language model reads the classifier's training texts first, then
    others, never a held-out or test text. The same rows whatever the trial's seed.
    Raises InputError if there are too few labelled texts, or no class to tell from another.
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
    """Row numbers by part, valid and read: at most a tenth of the rows that are no test rows are
    held out, labelled or not. Raises InputError if there are fewer than two."""
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
