"""The metrics against scikit-learn's."""

import numpy as np
import pytest
from sklearn import metrics as peer
from sklearn.utils.class_weight import compute_class_weight

from hpsearch.trainers.shared.metrics import balanced_weights, errors, scores


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


def test_balanced_weights_are_those_of_scikit_learn():
    truth = np.repeat([0, 1, 3], [90, 8, 2])
    expected = compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=truth)
    assert balanced_weights(truth, 4)[[0, 1, 3]] == pytest.approx(expected)
