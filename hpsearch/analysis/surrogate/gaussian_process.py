"""A Gaussian process as a model of the metric, which can leave each configuration out.

With few trials it predicts smooth functions better than a forest does. Both the tests of effects
and the advice use it (method.md, section 4).

Rasmussen and Williams (2006), "Gaussian Processes for Machine Learning": chapter 2.2 has the
prediction, 5.4.1 the marginal likelihood and its gradient, 5.4.2 the predictions that leave one
observation out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.special import ndtr

from hpsearch.analysis.read.axes import Floats, Ints

MOST = 500  # configurations; with more a forest alone sees whatever is of use
MAX_TO_CHOOSE = 200  # configurations of which the kernel is chosen; more take time in their cube
STEPS = 40
JITTER = 1e-6
# Log-normal priors, in units of the range and of the variance. Lengths grow with the root of the
# number of parameters (Hvarfner, Hellsten and Nardi 2024): else points of many are all far apart.
LENGTH_AT, LENGTH_SPREAD = 1.5, 1.5
LENGTH_FROM = 0.35  # where the search begins
SIGNAL_AT, SIGNAL_SPREAD = 0.0, 1.0
NOISE_AT, NOISE_SPREAD = -1.5, 1.5


@dataclass(frozen=True)
class Kernel:
    """Squared exponential: `lengths` (d,) of the axes, variances of the signal and of the noise."""

    lengths: Floats
    signal: float
    noise: float


@dataclass(frozen=True)
class Process:
    """A Gaussian process given the mean values of n configurations.

    `x` (n, d) on the sampling scale; `y` (n,) their mean values, around `centre`; `levels` (d,) the
    number of an axis' categories or 0; `inverse` (n, n) of the covariance of the values in
    the kernel's unit, and `alpha` (n,) that times the values around the centre.
    """

    kernel: Kernel
    x: Floats
    y: Floats
    levels: Ints
    centre: float
    inverse: Floats
    alpha: Floats

    @property
    def _without(self) -> Floats:
        """Leaving one out changes `alpha` by this times its column of the inverse, (n,)."""
        return np.asarray(self.alpha / np.diag(self.inverse))

    @property
    def left_out(self) -> Floats:
        """Each configuration's prediction from all others, (n,)."""
        return np.asarray(self.y - self._without)

    def covariance(self, x: Floats) -> Floats:
        """Between points (m, d) and the configurations, (m, n)."""
        return covariance_of(self.kernel, x, self.x, self.levels)

    def predict(self, covariance: Floats) -> Floats:
        """The posterior mean at points of that covariance (m, n), (m,)."""
        return np.asarray(self.centre + covariance @ self.alpha)

    def means_without(self, average: Floats, covariance: Floats) -> Floats:
        """Means (K, n) of the predictions at points of that covariance (M, n), with weights
        `average` (K, M), from all configurations but one."""
        weights = average @ covariance
        changes = (weights @ self.inverse) * self._without
        return np.asarray(self.centre + (weights @ self.alpha)[:, None] - changes)

    def covariance_of_means(self, average: Floats, x: Floats) -> Floats:
        """The posterior covariance (K, K) of means over points (M, d), weights `average` (K, M).

        In the square of the metric's unit: the kernel's unit is read off the values.
        """
        known = average @ self.covariance(x)
        prior = average @ covariance_of(self.kernel, x, x, self.levels) @ average.T
        unit = float((self.y - self.centre) @ self.alpha) / len(self.y)
        return np.asarray(unit * (prior - known @ self.inverse @ known.T))

    def partial_residuals(self) -> Floats:
        """What each configuration says of each parameter alone, (n, d).

        That is its value less the mean, over that parameter, of the prediction from all other
        configurations.
        """
        square = _squares(self.x, self.levels) / self.kernel.lengths[:, None, None] ** 2
        total, residuals = square.sum(axis=0), np.empty_like(self.x)
        for j, length in enumerate(self.kernel.lengths):
            others = self.kernel.signal * np.exp(-0.5 * np.maximum(total - square[j], 0.0))
            mean = others * _integral(self.x[:, j], length, self.levels[j])
            changes = np.einsum("ik,ki->i", mean, self.inverse) * self._without
            residuals[:, j] = self.y - self.centre - mean @ self.alpha + changes
        return residuals


def fit_process(x: Floats, y: Floats, weight: Floats, levels: Ints) -> Process:
    """The process of configurations (n, d) with mean values (n,) of `weight` (n,) trials each."""
    centre, scale = float(np.average(y, weights=weight)), float(y.std()) or 1.0
    z = (y - centre) / scale
    some = np.linspace(0, len(y) - 1, min(len(y), MAX_TO_CHOOSE)).astype(int)
    kernel = choose_kernel(x[some], z[some], weight[some], levels)
    return condition(kernel, x, y, weight, levels)


def condition(kernel: Kernel, x: Floats, y: Floats, weight: Floats, levels: Ints) -> Process:
    """The process of a given kernel, whose variances may be in any unit."""
    centre = float(np.average(y, weights=weight))
    noisy = covariance_of(kernel, x, x, levels) + np.diag(kernel.noise / weight + JITTER)
    inverse = np.asarray(np.linalg.inv(noisy), np.float64)
    return Process(kernel, x, y, levels, centre, inverse, inverse @ (y - centre))


def covariance_of(kernel: Kernel, left: Floats, right: Floats, levels: Ints) -> Floats:
    """Between points (m, d) and (n, d), (m, n); two different categories are 1 apart."""
    a, b = _placed(kernel, left, levels), _placed(kernel, right, levels)
    square = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None, :] - 2 * a @ b.T
    return np.asarray(kernel.signal * np.exp(-0.5 * np.maximum(square, 0.0)))


def choose_kernel(x: Floats, z: Floats, weight: Floats, levels: Ints) -> Kernel:
    """The kernel with the largest marginal likelihood times its prior."""
    n, d = x.shape
    square = _squares(x, levels).reshape(d, n * n)
    at = np.append(np.full(d, math.log(LENGTH_AT) + 0.5 * math.log(d)), [SIGNAL_AT, NOISE_AT])
    spread = np.append(np.full(d, LENGTH_SPREAD), [SIGNAL_SPREAD, NOISE_SPREAD])

    def loss(log: Floats) -> tuple[float, Floats]:
        narrow = np.exp(-2 * log[:d])
        covariance = np.exp(log[d] - 0.5 * (narrow @ square)).reshape(n, n)
        diagonal = np.exp(log[d + 1]) / weight
        try:
            factor = cho_factor(covariance + np.diag(diagonal + JITTER), lower=True)
        except LinAlgError:
            return math.inf, np.zeros(d + 2)
        inverse = cho_solve(factor, np.eye(n))
        alpha = inverse @ z
        off = (log - at) / spread
        value = 0.5 * z @ alpha + np.log(np.diag(factor[0])).sum() + 0.5 * off @ off
        slope = np.outer(alpha, alpha) - inverse
        weighted = (slope * covariance).ravel()
        ends = [weighted.sum(), np.diag(slope) @ diagonal]
        gradient = -0.5 * np.append((square @ weighted) * narrow, ends)
        return float(value), gradient + off / spread

    start = at + np.append(np.full(d, math.log(LENGTH_FROM / LENGTH_AT)), [0.0, 0.0])
    found = np.exp(minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS}).x)
    return Kernel(found[:d], float(found[d]), float(found[d + 1]))


def _placed(kernel: Kernel, x: Floats, levels: Ints) -> Floats:
    """Points (m, d) where their plain distance is that of the kernel, in units of its lengths."""
    columns = []
    for j, (length, n_levels) in enumerate(zip(kernel.lengths, levels, strict=True)):
        if n_levels > 0:
            level = np.clip((x[:, j] * n_levels).astype(np.int64), 0, n_levels - 1)
            columns.append(np.eye(n_levels)[level] / (np.sqrt(2.0) * length))
        else:
            columns.append(x[:, [j]] / length)
    return np.hstack(columns)


def _squares(x: Floats, levels: Ints) -> Floats:
    """Squared distances along each axis, (d, n, n); two different categories are 1 apart."""
    distance = x.T[:, :, None] - x.T[:, None, :]
    apart: NDArray[np.bool_] = np.abs(distance) > JITTER
    return np.where(levels[:, None, None] > 0, apart, distance**2)


def _integral(x: Floats, length: float, n_levels: int) -> Floats:
    """The mean of the kernel of one axis over that axis, at each position (n,)."""
    if n_levels > 0:
        other = math.exp(-0.5 / length**2)
        return np.full(len(x), (1 + (n_levels - 1) * other) / n_levels)
    inside = ndtr((1 - x) / length) - ndtr(-x / length)
    return np.asarray(math.sqrt(2 * math.pi) * length * inside)
