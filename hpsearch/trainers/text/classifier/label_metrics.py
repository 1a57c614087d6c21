"""What several labels a text are judged by: thresholds and sets in the place of one class.

Everywhere `probabilities` are (rows, labels), and `truth` says 0 or 1 in the same shape.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hpsearch.trainers.shared.assessment import DRAWN, RESAMPLES, percentiles
from hpsearch.trainers.shared.metrics import Floats, balanced_weights
from hpsearch.trainers.text.language_model.prepared_texts import SEVERAL

Sets = npt.NDArray[Any]
"""Whole numbers or booleans (rows, labels): whether a row has a label."""
HALF = 0.5
AUTO = "auto"


def best_threshold(probabilities: Floats, truth: Sets) -> float:
    """The one threshold for all labels with the highest micro F1, halfway to the next probability.

    0.5 where no row has a label.

    Example:
        >>> found = np.array([[0.9, 0.2], [0.4, 0.1]], np.float32)
        >>> round(best_threshold(found, np.array([[1, 0], [1, 0]])), 3)
        0.3
    """
    flat = probabilities.ravel()
    order = np.argsort(-flat, kind="stable")
    flat, hits = flat[order], np.cumsum(truth.ravel()[order] > 0)
    if not len(hits) or not hits[-1]:
        return HALF
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + hits[-1])
    f1[:-1][flat[:-1] == flat[1:]] = -1.0  # no threshold parts equal probabilities
    best = int(f1.argmax())
    below = float(flat[best + 1]) if best + 1 < len(flat) else 0.0
    return (float(flat[best]) + below) / 2


def choose(probabilities: Floats, truth: Sets, threshold: float | str) -> Sets:
    """The labels that the rows are given, as booleans (rows, labels).

    With the threshold "auto" each half of the rows has the best threshold of the other half, so
    that none is judged by what was chosen on it.
    """
    if not isinstance(threshold, str):
        return probabilities >= threshold
    chosen = np.zeros(probabilities.shape, dtype=bool)
    for first in (0, 1):
        half, other = slice(first, None, 2), slice(1 - first, None, 2)
        chosen[half] = probabilities[half] >= best_threshold(probabilities[other], truth[other])
    return chosen


def label_scores(probabilities: Floats, truth: Sets, chosen: Sets) -> dict[str, float]:
    """F1 of all decisions together (micro) and its mean over the labels (macro), the mean over the
    labels of the average precision, and the share of rows with exactly the true set.

    As in scikit-learn, where a label that no row has, nor is given, does not count for the macro
    mean, and one that no row has does not count for the average precision.
    """
    truth = truth > 0
    hits = (chosen & truth).sum(0)
    either = chosen.sum(0) + truth.sum(0)
    f1 = 2 * hits[either > 0] / either[either > 0]
    precisions = average_precisions(probabilities, truth)
    known = precisions[~np.isnan(precisions)]
    return {
        "f1_micro": float(2 * hits.sum() / max(1, either.sum())),
        "f1_macro": float(f1.mean()) if len(f1) else 0.0,
        "average_precision": float(known.mean()) if len(known) else 0.0,
        "subset_accuracy": float((chosen == truth).all(1).mean()) if len(truth) else 0.0,
    }


def average_precisions(probabilities: Floats, truth: Sets) -> npt.NDArray[np.float64]:
    """Of each label (labels,): the mean, over the rows that have it, of the share of such rows
    among those with at least their probability. NaN where no row has the label."""
    found = np.full(probabilities.shape[1], np.nan)
    for k in range(len(found)):
        order = np.argsort(-probabilities[:, k], kind="stable")
        values, has = probabilities[order, k], truth[order, k] > 0
        if not has.any():
            continue
        precision = np.cumsum(has) / np.arange(1, len(has) + 1)
        # Rows of equal probability stand in one place: that of the last of them.
        last = np.flatnonzero(np.append(values[1:] != values[:-1], True))
        place = last[np.searchsorted(last, np.flatnonzero(has))]
        found[k] = precision[place].mean()
    return found


def label_loss(probabilities: Floats, truth: Sets) -> float:
    """The mean over rows and labels of the binary cross-entropy in nats."""
    of_truth = np.where(truth > 0, probabilities, 1 - probabilities)
    return float(-np.log(np.maximum(of_truth, 1e-30)).mean())


def label_weights(truth: Sets) -> Floats:
    """(2, labels): how much a row without the label (0) and with it (1) counts for the label, so
    that both count the same in sum: `balanced_weights` of each label."""
    columns = [balanced_weights((column > 0).astype(np.int64), 2) for column in truth.T]
    return np.stack(columns, axis=1)


def label_intervals(
    probabilities: Floats, truth: Sets, chosen: Sets
) -> dict[str, tuple[float, float]]:
    """The intervals of `label_scores` by the percentile bootstrap over the rows."""
    rng, n = np.random.default_rng(0), len(truth)
    samples = []
    for _ in range(min(RESAMPLES, max(100, DRAWN // (10 * max(1, truth.size))))):
        rows = rng.integers(n, size=n)
        samples.append(label_scores(probabilities[rows], truth[rows], chosen[rows]))
    return percentiles({name: [one[name] for one in samples] for name in SEVERAL})
