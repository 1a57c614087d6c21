"""The metrics against scikit-learn's."""

import numpy as np
import pytest
from sklearn import metrics as peer

from hpsearch.trainers.shared.metrics import errors, scores


def test_accuracy_and_f1():
    rng = np.random.default_rng(0)
    probabilities, truth = rng.random((200, 5)).astype(np.float32), rng.integers(0, 4, 200)
    probabilities[:, 4] = 0  # a class that is neither predicted nor there
    found, predicted = scores(probabilities, truth), probabilities.argmax(1)
    assert found["accuracy"] == peer.accuracy_score(truth, predicted)
    assert found["f1"] == pytest.approx(peer.f1_score(truth, predicted, average="macro"))


def test_errors_of_numbers():
    rng = np.random.default_rng(0)
    truth = rng.normal(5, 2, 100).astype(np.float32)
    predicted = truth + rng.normal(0, 1, 100).astype(np.float32)
    found = errors(predicted, truth)
    assert found["mse"] == pytest.approx(peer.mean_squared_error(truth, predicted), rel=1e-5)
    assert found["rmse"] == pytest.approx(found["mse"] ** 0.5)
    assert found["mae"] == pytest.approx(peer.mean_absolute_error(truth, predicted), rel=1e-5)
    assert found["r2"] == pytest.approx(peer.r2_score(truth, predicted), rel=1e-5)
    assert errors(np.ones(3, np.float32), np.ones(3, np.float32))["r2"] == 0
