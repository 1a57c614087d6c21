"""Pooling against a published meta-analysis; contributions add up."""

from __future__ import annotations

import numpy as np
import pytest

from hpsearch.analysis import explain, pool
from hpsearch.analysis.pooling import random_effects
from hpsearch.errors import InputError

# Colditz et al. 1994: vaccinated with and without tuberculosis, controls with and without.
BCG = np.array(
    [
        (4, 119, 11, 128), (6, 300, 29, 274), (3, 228, 11, 209), (62, 13536, 248, 12619),
        (33, 5036, 47, 5761), (180, 1361, 372, 1079), (8, 2537, 10, 619), (505, 87886, 499, 87892),
        (29, 7470, 45, 7232), (17, 1699, 65, 1600), (186, 50448, 141, 27197), (5, 2493, 3, 2338),
        (27, 16886, 29, 17825),
    ],
    float,
)  # fmt: skip


def test_random_effects_equal_the_published_bcg_analysis():
    """DerSimonian-Laird as printed by metafor: -0.7141, se 0.1787, tau2 0.3088, I2 92.1%."""
    a, b, c, d = BCG.T
    log_ratio = np.log(a / (a + b)) - np.log(c / (c + d))
    errors = np.sqrt(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d))
    pooled = random_effects(log_ratio, errors, level=0.95)
    assert pooled.mean == pytest.approx(-0.7141, abs=5e-4)
    assert pooled.standard_error == pytest.approx(0.1787, abs=5e-4)
    assert pooled.tau**2 == pytest.approx(0.3088, abs=5e-4)
    assert pooled.i2 == pytest.approx(0.9212, abs=5e-4)


def test_studies_with_one_optimum_pool_to_it(studies):
    found = [
        explain(studies.uniform(lambda p: -4 * (p[:, 0] - 0.4) ** 2, 60, 2, noise=0.3, seed=seed))
        for seed in range(3)
    ]
    (pooled,) = [p for p in pool(found) if p.param == "x0"]
    assert pooled.low <= 0.4 <= pooled.high
    assert pooled.new_low < pooled.low < pooled.high < pooled.new_high
    for regret in pooled.regrets:
        assert 0 <= regret.loss < 0.1  # of a curve that spans 1.4
    with pytest.raises(InputError, match="two or more studies"):
        pool(found[:1])


def test_contributions_add_up_to_the_prediction(studies):
    study = studies.uniform(lambda p: p[:, 0] + 2 * p[:, 1], 60, 3, noise=0.1)
    explanation = explain(study)
    split = explanation.contributions(7)
    total = split.mean + sum(amount for _, amount in split.parts) + split.rest
    assert total == pytest.approx(split.prediction)
    assert split.prediction == pytest.approx(split.value, abs=0.5)
    main = {params[0]: amount for params, amount in split.parts if len(params) == 1}
    x1 = study.trials[7].params["x1"]
    assert np.sign(main["x1"]) == np.sign(x1 - 0.5)
    with pytest.raises(InputError, match="no finished trial 99"):
        explanation.contributions(99)
