"""Intervals of a model's metrics, and its confusion, against closed forms and scikit-learn."""

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.metrics import confusion_matrix as sklearns

from hpsearch.trainers.shared.assessment import (
    LEVEL,
    assess_classes,
    class_intervals,
    confusion_matrix,
    error_intervals,
)
from hpsearch.trainers.shared.metrics import errors

RNG = np.random.default_rng(0)


def test_the_interval_of_an_accuracy_is_that_of_a_binomial():
    confusion = np.array([[60, 10], [5, 25]])
    low, high = class_intervals(confusion)["accuracy"]
    expected = binom.ppf([(1 - LEVEL) / 2, (1 + LEVEL) / 2], 100, 0.85) / 100
    assert (low, high) == pytest.approx(expected, abs=0.011)  # one row more or less


def test_the_interval_of_a_mean_error_is_as_wide_as_its_standard_error_says():
    truth = RNG.normal(size=4000).astype(np.float32)
    predicted = truth + RNG.normal(size=4000).astype(np.float32)
    low, high = error_intervals(predicted, truth)["mae"]
    deviation = np.abs(predicted - truth).std() / 4000**0.5
    assert (high - low) == pytest.approx(2 * 1.645 * deviation, rel=0.1)
    assert low < errors(predicted, truth)["mae"] < high


def test_classes_and_the_worst_rows_are_those_of_scikit_learn():
    truth = RNG.integers(3, size=200)
    probabilities = RNG.dirichlet(np.ones(3), 200).astype(np.float32)
    best = probabilities.argmax(1)
    assert confusion_matrix(best, truth, 3).tolist() == sklearns(truth, best).tolist()
    found = assess_classes(probabilities, truth, "abc", lambda row: (str(row), ""))
    shown = [int(one.place) for one in found["wrong"]]
    assert (best[shown] != truth[shown]).all()
    of_truth = probabilities[np.arange(200), truth]
    assert of_truth[shown].max() <= np.sort(of_truth[best != truth])[len(shown) - 1]
