"""Several labels a text are judged by what scikit-learn computes, and thresholds are the best."""

import warnings

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, log_loss
from sklearn.utils.class_weight import compute_class_weight

from hpsearch.trainers.text.classifier.label_metrics import (
    average_precisions,
    best_threshold,
    choose,
    label_intervals,
    label_loss,
    label_scores,
    label_weights,
)


@pytest.fixture(params=[0, 1, 2])
def found(request):
    """Probabilities, of which many are equal, and what is true of them."""
    rng = np.random.default_rng(request.param)
    truth = (rng.random((90, 5)) < [0.5, 0.3, 0.1, 0.05, 0.9]).astype(np.int8)
    truth[0] = 1
    noise = rng.normal(size=truth.shape)
    return np.round(1 / (1 + np.exp(noise - 2 * truth + 1)), 1).astype(np.float32), truth


def test_scores_are_those_of_scikit_learn(found):
    probabilities, truth = found
    chosen = choose(probabilities, truth, 0.5)
    scores = label_scores(probabilities, truth, chosen)
    assert scores["f1_micro"] == pytest.approx(f1_score(truth, chosen, average="micro"))
    assert scores["f1_macro"] == pytest.approx(f1_score(truth, chosen, average="macro"))
    assert scores["subset_accuracy"] == pytest.approx(accuracy_score(truth, chosen))
    expected = average_precision_score(truth, probabilities, average=None)
    assert average_precisions(probabilities, truth) == pytest.approx(expected)
    assert scores["average_precision"] == pytest.approx(expected.mean())
    inside = np.clip(probabilities, 0.05, 0.95)
    losses = [log_loss(truth[:, k], inside[:, k], labels=[0, 1]) for k in range(5)]
    assert label_loss(inside, truth) == pytest.approx(np.mean(losses))


def test_a_label_that_is_nowhere_does_not_count(found):
    probabilities, truth = found
    truth = np.where(np.arange(5) == 2, 0, truth)
    chosen = choose(np.where(np.arange(5) == 2, 0, probabilities), truth, 0.5)
    scores = label_scores(probabilities, truth, chosen)
    left = [0, 1, 3, 4]
    assert scores["f1_macro"] == pytest.approx(
        f1_score(truth, chosen, average="macro", zero_division=np.nan)
    )
    assert scores["average_precision"] == pytest.approx(
        average_precision_score(truth[:, left], probabilities[:, left])
    )
    assert np.isnan(average_precisions(probabilities, truth)[2])


def test_texts_without_any_label_are_right_if_they_are_given_none():
    none = np.zeros((3, 2), np.int8)
    low, high = np.full((3, 2), 0.1, np.float32), np.full((3, 2), 0.9, np.float32)
    assert label_scores(low, none, choose(low, none, 0.5)) == {
        "f1_micro": 0.0, "f1_macro": 0.0, "average_precision": 0.0, "subset_accuracy": 1.0
    }  # fmt: skip
    assert label_scores(high, none, choose(high, none, 0.5))["subset_accuracy"] == 0.0
    assert best_threshold(low, none) == 0.5


def test_no_threshold_is_better_than_the_best(found):
    probabilities, truth = found
    best = best_threshold(probabilities, truth)

    def f1(threshold):
        return f1_score(truth, probabilities >= threshold, average="micro")

    assert f1(best) == max(f1(one) for one in np.unique(probabilities))


def test_each_half_is_judged_by_the_threshold_of_the_other(found):
    probabilities, truth = found
    chosen = choose(probabilities, truth, "auto")
    for half, other in ((0, 1), (1, 0)):
        best = best_threshold(probabilities[other::2], truth[other::2])
        assert (chosen[half::2] == (probabilities[half::2] >= best)).all()
    other = np.where((np.arange(90) % 2 == 0)[:, None], 1 - truth, truth)
    assert (choose(probabilities, other, "auto")[::2] == chosen[::2]).all()


def test_weights_are_the_balanced_ones_of_each_label(found):
    _, truth = found
    for k, column in enumerate(truth.T):
        expected = compute_class_weight("balanced", classes=np.array([0, 1]), y=column)
        assert label_weights(truth)[:, k] == pytest.approx(expected)


def test_intervals_hold_the_scores_of_the_sample(found):
    probabilities, truth = found
    chosen = choose(probabilities, truth, 0.5)
    scores = label_scores(probabilities, truth, chosen)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, (low, high) in label_intervals(probabilities, truth, chosen).items():
            assert low < scores[name] < high
