"""What predictions are judged by."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def scores(probabilities: Floats, truth: npt.NDArray[np.int64]) -> dict[str, float]:
    """Accuracy, and the mean over the classes of F1, which says more where classes are rare.

    A class that is neither predicted nor there does not count.

    Args:
        probabilities: Of the classes (rows, classes).
        truth: The numbers of the true classes (rows,).
    """
    predicted = probabilities.argmax(1)
    n = probabilities.shape[1]
    hits = np.bincount(truth[predicted == truth], minlength=n)
    either = np.bincount(predicted, minlength=n) + np.bincount(truth, minlength=n)
    f1 = 2 * hits[either > 0] / either[either > 0]
    return {"accuracy": float((predicted == truth).mean()), "f1": float(f1.mean())}


def errors(predicted: Floats, truth: Floats) -> dict[str, float]:
    """Mean squared error, its root, mean absolute error, and r2 of predicted numbers (rows,).

    r2 is the share of the variance that is explained, and 0 where there is no variance.
    """
    difference = predicted.astype(np.float64) - truth
    mse = float(np.mean(difference**2))
    variance = float(np.var(truth, dtype=np.float64))
    return {
        "mse": mse,
        "rmse": mse**0.5,
        "mae": float(np.abs(difference).mean()),
        "r2": 1 - mse / variance if variance else 0.0,
    }


def balanced_weights(truth: npt.NDArray[np.int64], n: int) -> Floats:
    """The weight of a row of each class (classes,), so that all classes count the same in sum:
    rows / (classes * rows of the class), as scikit-learn has it. Their mean over the rows is 1."""
    counts = np.bincount(truth, minlength=n)
    present = int((counts > 0).sum())
    return (len(truth) / (present * np.maximum(counts, 1))).astype(np.float32)
