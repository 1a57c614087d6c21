"""A metric's bounds are read off its name, unless values contradict it."""

from __future__ import annotations

import math

import pytest

from hpsearch.study.metric_names import UNBOUNDED, bounds_of

ABOVE_0 = (0.0, math.inf)


@pytest.mark.parametrize(
    ("names", "seen", "bounds"),
    [
        ("accuracy val_acc top5Accuracy f1_macro roc_auc_score recall@10", (0.2, 0.9), (0, 1)),
        ("error_rate mean_test_precision iou_mean ndcg@10 accuracy_valid", (0.0, 1.0), (0, 1)),
        ("accuracy eval/f1", (12.0, 93.5), (0, 100)),
        ("accuracy f1", (-0.1, 0.9), UNBOUNDED),
        ("accuracy f1", (12.0, 140.0), UNBOUNDED),
        ("valid_loss rmse mean_squared_error log_loss cross_entropy wer", (0.3, 7.0), ABOVE_0),
        ("perplexity lm_ppl", (20.0, 900.0), (1, math.inf)),
        ("perplexity loss rmse", (-0.1, 3.0), UNBOUNDED),
        ("neg_mean_squared_error neg_log_loss", (-7.0, -0.1), (-math.inf, 0)),
        ("matthews_corrcoef spearman kappa", (-0.2, 0.7), (-1, 1)),
        ("r2 test_r2_score explained_variance", (-8.0, 0.7), (-math.inf, 1)),
        ("reward log_likelihood nll elbo value score q return", (0.1, 0.9), UNBOUNDED),
        ("log_accuracy delta_f1 accuracy_per_second accuracy_of_it", (0.1, 0.9), UNBOUNDED),
    ],
)
def test_a_name_and_the_values_seen_tell_the_bounds(names, seen, bounds):
    assert {name: bounds_of(name, *seen) for name in names.split()} == dict.fromkeys(
        names.split(), bounds
    )
