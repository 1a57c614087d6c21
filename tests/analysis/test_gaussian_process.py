"""What a Gaussian process says without one configuration is what it says had it not seen it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from hpsearch.analysis.gaussian_process import (
    JITTER,
    Kernel,
    _Posterior,
    choose_kernel,
    condition,
    covariance_of,
    fit_process,
)

WITHOUT = 7


def covariance(kernel, levels, left, right):
    """Of points (m, d) and (n, d)."""
    apart = left[:, None] - right[None]
    apart = np.where(levels > 0, np.abs(apart) > 1e-6, apart)
    return kernel.signal * np.exp(-0.5 * np.sum((apart / kernel.lengths) ** 2, axis=2))


@pytest.mark.parametrize("length", [0.3, 0.01])  # so short that points do not see each other
def test_residuals_are_those_of_refits_without_the_configuration(length):
    rng = np.random.default_rng(0)
    levels = np.array([0, 3])
    x = np.column_stack([rng.random(12), (rng.integers(0, 3, 12) + 0.5) / 3])
    z, weight = rng.normal(size=12), rng.integers(1, 4, 12).astype(float)
    kernel = Kernel(np.array([length, 0.8]), 1.3, 0.2)
    process = condition(kernel, x, z, weight, levels)
    found, z = process.partial_residuals(), z - process.centre
    places = [(np.arange(2000) + 0.5) / 2000, (np.arange(3) + 0.5) / 3]
    for row in range(12):
        rest = np.arange(12) != row
        own = covariance(kernel, levels, x[rest], x[rest])
        alpha = np.linalg.solve(own + np.diag(kernel.noise / weight[rest] + JITTER), z[rest])
        for j in range(2):
            points = np.repeat(x[row][None], len(places[j]), axis=0)
            points[:, j] = places[j]
            mean = (covariance(kernel, levels, points, x[rest]) @ alpha).mean()
            assert found[row, j] == pytest.approx(z[row] - mean, abs=1e-5)


def test_means_are_as_uncertain_as_a_peer_says():
    rng = np.random.default_rng(3)
    x, points = rng.random((20, 2)), rng.random((6, 2))
    y = rng.normal(size=20)
    process = condition(Kernel(np.array([0.4, 0.7]), 1.3, 0.2), x, y, np.ones(20), np.zeros(2))
    peer = GaussianProcessRegressor(
        ConstantKernel(1.3) * RBF([0.4, 0.7]), alpha=0.2 + JITTER, optimizer=None
    ).fit(x, y)
    average = np.repeat(np.eye(2), 3, axis=1) / 3
    _, covariance = peer.predict(points, return_cov=True)
    unit = (y - y.mean()) @ np.linalg.inv(peer.kernel_(x) + (0.2 + JITTER) * np.eye(20))
    unit = unit @ (y - y.mean()) / 20  # the kernel's variance in that of the values
    found = process.covariance_of_means(average, points)
    assert found == pytest.approx(unit * average @ covariance @ average.T)


def test_the_kernel_knows_which_parameter_matters_and_how_noisy_values_are():
    rng = np.random.default_rng(1)
    x = rng.random((80, 3))
    y = np.sin(6 * x[:, 0]) + 0.2 * rng.normal(size=80)
    kernel = choose_kernel(x, (y - y.mean()) / y.std(), np.ones(80), np.zeros(3, np.int64))
    assert kernel.lengths[0] < 0.5 * kernel.lengths[1:].min()
    assert kernel.noise * y.var() == pytest.approx(0.04, rel=0.5)


@pytest.mark.parametrize("n", [60, 260])
def test_what_other_parameters_do_is_taken_out(n):
    rng = np.random.default_rng(2)
    x = rng.random((n, 6))
    alone = -4 * (x[:, 0] - 0.4) ** 2 + 0.1 * rng.normal(size=n)
    y = alone + np.sin(4 * x[:, 1]) + x[:, 2] * x[:, 3]
    found = fit_process(x, y, np.ones(n), np.zeros(6, np.int64)).partial_residuals()
    assert np.corrcoef(found[:, 0], alone)[0, 1] > 0.9 > np.corrcoef(y, alone)[0, 1] + 0.2


@pytest.fixture(scope="module")
def given():
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.random(25), (rng.integers(0, 3, 25) + 0.5) / 3])
    y = 5 + np.sin(4 * x[:, 0]) + x[:, 1] + 0.1 * rng.normal(size=25)
    return x, y, rng.integers(1, 4, 25).astype(float), np.array([0, 3])


@pytest.fixture(scope="module")
def refitted(given):
    """Predictions at points (m, d) by the textbook's formula, without configuration WITHOUT."""
    x, y, weight, levels = given
    process = fit_process(x, y, weight, levels)
    kernel, kept = process.kernel, np.arange(25) != WITHOUT
    noise = np.diag(kernel.noise / weight[kept] + JITTER)
    covariance = covariance_of(kernel, x[kept], x[kept], levels) + noise
    solved = np.linalg.solve(covariance, y[kept] - process.centre)
    return process, lambda at: process.centre + covariance_of(kernel, at, x[kept], levels) @ solved


def test_a_left_out_prediction_is_that_of_the_others(given, refitted):
    process, predict = refitted
    assert process.left_out[WITHOUT] == pytest.approx(predict(given[0][[WITHOUT]])[0], abs=1e-8)
    assert process.left_out[WITHOUT] != pytest.approx(
        process.predict(process.covariance(given[0]))[WITHOUT], abs=1e-4
    )


def test_means_without_a_configuration_are_those_of_the_others(refitted):
    process, predict = refitted
    rng = np.random.default_rng(1)
    at = np.column_stack([rng.random(40), np.full(40, 0.5)])
    average = rng.dirichlet(np.ones(40), 3)
    found = process.means_without(average, process.covariance(at))
    assert found.shape == (3, 25)
    assert found[:, WITHOUT] == pytest.approx(average @ predict(at), abs=1e-8)


def test_a_wild_step_of_the_search_leads_back():
    """L-BFGS once tried lengths of e^700, where the covariance is not a number."""
    rng = np.random.default_rng(0)
    posterior = _Posterior(rng.random((20, 3)), rng.normal(size=20), np.ones(20), np.zeros(3, int))
    near, _ = posterior.loss(posterior.at)
    for sign in (-1, 1):
        far, slope = posterior.loss(posterior.at + sign * 700)
        assert near < far < np.inf
        assert (slope * sign > 0).all()
