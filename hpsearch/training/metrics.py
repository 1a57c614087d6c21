"""What predictions are judged by."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def scores(probabilities: Floats, truth: npt.NDArray[np.int64]) -> dict[str, float]:
    """Of class probabilities (rows, classes): accuracy, and the mean over the classes of F1 (with
    rare classes the more telling one).

    A class that is neither predicted nor there does not count.
    """
    predicted = probabilities.argmax(1)
    n = probabilities.shape[1]
    hits = np.bincount(truth[predicted == truth], minlength=n)
    either = np.bincount(predicted, minlength=n) + np.bincount(truth, minlength=n)
    f1 = 2 * hits[either > 0] / either[either > 0]
    return {"accuracy": float((predicted == truth).mean()), "f1": float(f1.mean())}


def errors(predicted: Floats, truth: Floats) -> dict[str, float]:
    """Of predicted numbers (rows,): mean squared error, its root, mean absolute error, and the
    share of the variance that is explained (0 where there is none to explain)."""
    difference = predicted.astype(np.float64) - truth
    mse = float(np.mean(difference**2))
    variance = float(np.var(truth, dtype=np.float64))
    return {
        "mse": mse,
        "rmse": mse**0.5,
        "mae": float(np.abs(difference).mean()),
        "r2": 1 - mse / variance if variance else 0.0,
    }
