"""Variances of functions drawn from a process, beside closed forms."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from hpsearch.analysis.gaussian_process import (
    DRAWN_AT,
    Kernel,
    _Posterior,
    condition,
    drawn_kernels,
    fit_process,
)
from hpsearch.analysis.surrogate.process_anova import drawn_anova

GAUSS = np.polynomial.legendre.leggauss(8)
LINE = ((GAUSS[0] + 1) / 2, GAUSS[1] / 2)
NONE = np.zeros(4, np.int64)


def test_a_line_and_a_product_have_their_variances():
    """Those of 3 x0 and of 8 (x1 - 1/2)(x2 - 1/2) are 9/12 and 64/144."""
    x = np.random.default_rng(0).random((150, 4))
    y = 3 * x[:, 0] + 8 * (x[:, 1] - 0.5) * (x[:, 2] - 0.5)
    process = fit_process(x, y, np.ones(150), NONE)
    found = drawn_anova(process, [LINE] * 4, np.random.default_rng(1))
    assert found.main.mean(axis=1) == pytest.approx([9 / 12, 0, 0, 0], abs=1e-3)
    assert found.pair[1, 2] == pytest.approx(np.full(found.total.shape, 64 / 144), abs=2e-3)
    assert found.total.mean() == pytest.approx(9 / 12 + 64 / 144, abs=2e-3)
    assert found.pair[0].max() < 1e-3


def test_a_category_and_a_number_together():
    """A slope of +2 with one category and -2 with the other is all interaction: 4/12."""
    rng = np.random.default_rng(2)
    x = np.column_stack([rng.random(80), (rng.integers(0, 2, 80) + 0.5) / 2])
    y = np.where(x[:, 1] < 0.5, 2.0, -2.0) * (x[:, 0] - 0.5)
    process = fit_process(x, y, np.ones(80), np.array([0, 2]))
    nodes = [LINE, (np.array([0.25, 0.75]), np.array([0.5, 0.5]))]
    found = drawn_anova(process, nodes, np.random.default_rng(1))
    assert found.pair[0, 1].mean() == pytest.approx(4 / 12, rel=0.02)
    assert found.main.mean(axis=1) == pytest.approx([0, 0], abs=0.005)


def test_what_was_not_tried_is_not_known():
    """Trials in the lowest tenth of x0 tell its slope there, and nothing of the rest of it."""
    rng = np.random.default_rng(3)
    x = rng.random((60, 2))
    y = np.sin(7 * x[:, 0]) + x[:, 1]
    shares = {}
    for name, width in (("everywhere", 1.0), ("in a tenth", 0.1)):
        near = x * [width, 1]
        process = fit_process(near, np.sin(7 * near[:, 0]) + x[:, 1], np.ones(60), NONE[:2])
        found = drawn_anova(process, [LINE] * 2, np.random.default_rng(1))
        shares[name] = np.ptp(np.quantile(found.main[0] / found.total, [0.05, 0.95]))
    assert y.std() > 0
    assert shares["everywhere"] < 0.05
    assert shares["in a tenth"] > 0.3


def test_draws_are_as_uncertain_as_the_process():
    """Of one axis the variance of a function is that of its line through the nodes: the mean over
    draws is the variance of the posterior mean plus the mean posterior variance around its mean."""
    rng = np.random.default_rng(4)
    x = rng.random((12, 1))
    y = x[:, 0] + 0.3 * rng.normal(size=12)
    process = condition(Kernel(np.array([0.3]), 1.0, 0.3), x, y, np.ones(12), NONE[:1])
    places, weight = LINE
    mean = process.predict(process.covariance(places[:, None]))
    covariance = process.covariance_of_means(np.eye(8), places[:, None])
    around = np.eye(8) - weight
    expected = weight @ (mean - weight @ mean) ** 2
    expected += weight @ np.diag(around @ covariance @ around.T)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "hpsearch.analysis.surrogate.process_anova.drawn_kernels",
            lambda process, count, rng: [process.kernel] * 40,
        )
        found = drawn_anova(process, [LINE], np.random.default_rng(5))
    error = found.main[0].std() / np.sqrt(found.main.shape[1])
    assert found.main[0].mean() == pytest.approx(expected, abs=4 * error)


def test_kernels_are_drawn_as_the_density_has_them():
    """Beside the mean and the spread of the length by integration over a grid."""
    rng = np.random.default_rng(6)
    x = rng.random((12, 1))
    y = np.sin(6 * x[:, 0]) + 0.5 * rng.normal(size=12)
    process = fit_process(x, y, np.ones(12), NONE[:1])
    drawn = drawn_kernels(process, 1500, np.random.default_rng(7))
    lengths = np.log([one.lengths[0] for one in drawn])

    posterior = _Posterior(x, (y - process.centre) / y.std(), np.ones(12), NONE[:1], DRAWN_AT)
    axes = [
        at + np.linspace(-3, 3, 20) * s
        for at, s in zip(posterior.at, posterior.spread, strict=True)
    ]
    density = [[posterior.log_density(np.array([length, *rest]))
                for rest in product(*axes[1:])] for length in axes[0]]  # fmt: skip
    weight = np.exp(np.array(density) - np.max(density)).sum(axis=1)
    weight /= weight.sum()
    mean = weight @ axes[0]
    spread = np.sqrt(weight @ (axes[0] - mean) ** 2)
    assert lengths.mean() == pytest.approx(mean, abs=0.25 * spread)
    assert lengths.std() == pytest.approx(spread, rel=0.2)


def test_more_trials_leave_less_room_for_the_kernel():
    rng = np.random.default_rng(6)
    spreads = []
    for n in (15, 150):
        x = rng.random((n, 2))
        y = np.sin(6 * x[:, 0]) + 0.2 * rng.normal(size=n)
        process = fit_process(x, y, np.ones(n), NONE[:2])
        drawn = drawn_kernels(process, 100, np.random.default_rng(7))
        spreads.append(np.log([one.lengths[0] for one in drawn]).std())
    assert spreads[1] < 0.75 * spreads[0]
    chosen = np.log(process.kernel.lengths[0])  # of 150
    assert np.mean(np.log([one.lengths[0] for one in drawn])) == pytest.approx(chosen, abs=0.3)
