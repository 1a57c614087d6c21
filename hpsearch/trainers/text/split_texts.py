"""Which rows are trained on, which are held out, and which the language model reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hpsearch.errors import InputError
from hpsearch.trainers.text.config import ClassifierConfig, LanguageModelTrialConfig

Rows = npt.NDArray[np.int64]
Labels = npt.NDArray[Any]
Flags = npt.NDArray[np.bool_]


def classifier_rows(labels: Labels, is_test: Flags, config: ClassifierConfig) -> dict[str, Rows]:
    """Divide the rows into the parts train, valid, read and test; the trial's seed changes nothing.

    Held-out rows (valid) are drawn from the labelled rows that are not test rows: at most a fifth,
    with each class in its share. With `hold_out` "test" they are the first test rows, and no others
    are held out. The language model reads (read) the classifier's training texts, then others, but
    no held-out and no test texts.

    Where a row may have several labels, it is divided by the rarest of them (Sechidis et al. 2011
    begin with it, too), and every label stays among the training texts.

    Args:
        labels: The class of each row (rows,), -1 where there is none; or its labels (rows, labels)
            as 0 and 1.

    Returns:
        The row numbers of each part.

    Raises:
        InputError: There are too few labelled texts, or fewer than two classes.
    """
    rng = np.random.default_rng(0)
    sets = None if labels.ndim == 1 else labels
    labels = labels if sets is None else _rarest(sets)
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
        if sets is not None:
            valid, rest = _keep_every_label(sets, valid, rest)
    if sets is not None:
        rest = _every_label_first(sets, rest, config.train_reviews)
    train = rest[: config.train_reviews or None]
    if _count_labels(sets, labels, train) < _count_labels(sets, labels, labelled):
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


def _rarest(sets: Labels) -> Rows:
    """(rows,): the rarest label of each row, one number more where it has none, -1 where nobody has
    labelled it."""
    counts = (sets > 0).sum(0)
    order = np.argsort(counts, kind="stable")
    has = sets[:, order] > 0
    rarest = np.where(has.any(1), order[has.argmax(1)], sets.shape[1])
    return np.where(sets[:, 0] < 0, -1, rarest).astype(np.int64)


def _keep_every_label(sets: Labels, valid: Rows, rest: Rows) -> tuple[Rows, Rows]:
    """Held-out and other rows; those held-out ones change sides that have a label which no other
    row has, the first for each label."""
    lacking = np.flatnonzero((sets[valid] > 0).any(0) & ~(sets[rest] > 0).any(0))
    back = np.unique((sets[valid][:, lacking] > 0).argmax(0))
    if len(back) == len(valid) > 0:
        raise InputError(
            f"{len(valid) + len(rest)} labelled texts are too few to hold some out and learn every "
            "label from the others: give more."
        )
    return np.delete(valid, back), np.concatenate([valid[back], rest])


def _every_label_first(sets: Labels, rows: Rows, n: int) -> Rows:
    """The rows in an order whose first `n` (0: all) have every label, where so many can."""
    has = sets[rows] > 0
    if has[: n or None].any(0).sum() == has.any(0).sum():
        return rows
    first = np.unique(has.argmax(0)[has.any(0)])
    return np.concatenate([rows[first], np.delete(rows, first)])


def _count_labels(sets: Labels | None, labels: Rows, rows: Rows) -> int:
    return len(np.unique(labels[rows])) if sets is None else int((sets[rows] > 0).any(0).sum())


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
