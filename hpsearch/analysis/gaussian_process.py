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
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.special import ndtr

from hpsearch.store.trials.columns import Floats, Ints

MOST = 500  # configurations; with more a forest alone sees whatever is of use
MAX_TO_CHOOSE = 200  # configurations of which the kernel is chosen; more take time in their cube
STEPS = 40
JITTER = 1e-6
# Log-normal priors, in units of the range and of the variance. Lengths grow with the root of the
# number of parameters (Hvarfner, Hellsten and Nardi 2024): else points of many are all far apart.
LENGTH_AT, LENGTH_SPREAD = 1.5, 1.5
DRAWN_AT = 1.0  # of the lengths of kernels that are drawn: less sure that a parameter does nothing
LENGTHS_FROM = (0.15, 0.35)  # where the search begins: there may be a mode with and one without x
FEW = 100  # configurations from which is computed how little the kernel is known
STEP = 0.1  # of logarithms, for differences of the gradient
SWEEPS = 2  # before the first kernel is drawn
NARROWEST = 1e-3  # slice of a logarithm that is looked into
REACH = 6.0  # standard deviations of the prior, within which kernels are drawn
SIGNAL_AT, SIGNAL_SPREAD = 0.0, 1.0
NOISE_AT, NOISE_SPREAD = -1.5, 1.5
FARTHEST = 30.0  # standard deviations of the prior: beyond, a covariance may be no number
IMPOSSIBLE = 1e9


@dataclass(frozen=True)
class Kernel:
    """Squared exponential: `lengths` (d,) of the axes, variances of the signal and of the noise."""

    lengths: Floats
    signal: float
    noise: float


@dataclass(frozen=True)
class Process:
    """A Gaussian process given the mean values of n configurations.

    `x` (n, d) on the sampling scale; `y` (n,) their mean values of `weight` (n,) trials each,
    around `centre`; `levels` (d,) the number of an axis' categories or 0; `inverse` (n, n) of the
    covariance of the values in the kernel's unit, and `alpha` (n,) that times the values around
    the centre.
    """

    kernel: Kernel
    x: Floats
    y: Floats
    weight: Floats
    levels: Ints
    centre: float
    inverse: Floats
    alpha: Floats

    @property
    def unit(self) -> float:
        """The kernel's unit in the square of the metric's, as the values show it."""
        return float((self.y - self.centre) @ self.alpha) / len(self.y)

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
        return np.asarray(self.unit * (prior - known @ self.inverse @ known.T))

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
    return Process(kernel, x, y, weight, levels, centre, inverse, inverse @ (y - centre))


def covariance_of(kernel: Kernel, left: Floats, right: Floats, levels: Ints) -> Floats:
    """Between points (m, d) and (n, d), (m, n); two different categories are 1 apart."""
    a, b = _placed(kernel, left, levels), _placed(kernel, right, levels)
    square = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None, :] - 2 * a @ b.T
    return np.asarray(kernel.signal * np.exp(-0.5 * np.maximum(square, 0.0)))


def along(process: Process, j: int, at: Floats) -> Floats:
    """The factor of axis j in the kernel between the configurations and positions (m,), (n, m)."""
    square = _squares_along(process.x[:, j], at, int(process.levels[j]))
    return np.asarray(np.exp(-0.5 * square / process.kernel.lengths[j] ** 2))


class _Posterior:
    """Of a kernel's logarithms (d + 2,), given values (n,) of mean 0 and variance 1 at (n, d)."""

    def __init__(
        self, x: Floats, z: Floats, weight: Floats, levels: Ints, length: float | None = None
    ) -> None:
        n, d = x.shape
        self.z, self.weight = z, weight
        self.square = _squares(x, levels).reshape(d, n * n)
        at = math.log(length) if length else math.log(LENGTH_AT) + 0.5 * math.log(d)
        self.at = np.append(np.full(d, at), [SIGNAL_AT, NOISE_AT])
        self.spread = np.append(np.full(d, LENGTH_SPREAD), [SIGNAL_SPREAD, NOISE_SPREAD])

    def loss(self, log: Floats) -> tuple[float, Floats]:
        """Minus the logarithm of the density, and its gradient."""
        d, z = len(self.square), self.z
        off = (log - self.at) / self.spread
        covariance, factor = self._covariance(log)
        if factor is None:
            return IMPOSSIBLE + 0.5 * float(off @ off), off / self.spread  # leads back
        inverse = cho_solve(factor, np.eye(len(z)))
        alpha = inverse @ z
        value = 0.5 * z @ alpha + np.log(np.diag(factor[0])).sum() + 0.5 * off @ off
        slope = np.outer(alpha, alpha) - inverse
        weighted = (slope * covariance).ravel()
        ends = [weighted.sum(), np.diag(slope) @ (np.exp(log[d + 1]) / self.weight)]
        narrow = np.exp(-2 * log[:d])
        gradient = -0.5 * np.append((self.square @ weighted) * narrow, ends)
        return float(value), gradient + off / self.spread

    def log_density(self, log: Floats) -> float:
        """The logarithm of the density, but for a constant."""
        off = (log - self.at) / self.spread
        _, factor = self._covariance(log)
        if factor is None:
            return -math.inf
        misfit = 0.5 * self.z @ cho_solve(factor, self.z) + np.log(np.diag(factor[0])).sum()
        return float(-misfit - 0.5 * off @ off)

    def _covariance(self, log: Floats) -> tuple[Floats, tuple[Floats, bool] | None]:
        """That of the signal, (n, n), and Cholesky's factor of it with the noise or None."""
        d, n = len(self.square), len(self.z)
        if np.abs((log - self.at) / self.spread).max() > FARTHEST:  # a step may go to e^700
            return np.zeros((n, n)), None
        covariance = np.exp(log[d] - 0.5 * (np.exp(-2 * log[:d]) @ self.square)).reshape(n, n)
        noise = np.exp(log[d + 1]) / self.weight + JITTER
        try:
            return covariance, cho_factor(covariance + np.diag(noise), lower=True)
        except LinAlgError:
            return covariance, None


def choose_kernel(x: Floats, z: Floats, weight: Floats, levels: Ints) -> Kernel:
    """The kernel with the largest marginal likelihood times its prior."""
    posterior, d = _Posterior(x, z, weight, levels), x.shape[1]
    found = []
    for length in LENGTHS_FROM:
        start = posterior.at.copy()
        start[:d] += math.log(length / LENGTH_AT)
        steps = {"maxiter": STEPS}
        found.append(minimize(posterior.loss, start, jac=True, method="L-BFGS-B", options=steps))
    return _kernel_of(min(found, key=lambda one: one.fun).x)


def drawn_kernels(process: Process, count: int, rng: np.random.Generator) -> list[Kernel]:
    """So many kernels as the values allow beside the one that was chosen.

    With few configurations their density has several modes: in one a parameter does something, in
    another it does nothing. With more, there is one mode that is left.
    """
    some = np.linspace(0, len(process.y) - 1, min(len(process.y), FEW)).astype(int)
    z = (process.y - process.centre) / (float(process.y.std()) or 1.0)
    values = process.x[some], z[some], process.weight[some], process.levels
    kernel = process.kernel
    log = np.log(np.append(kernel.lengths, [kernel.signal, kernel.noise]))
    if len(process.y) <= FEW:
        drawn = _by_slices(_Posterior(*values, DRAWN_AT), log, count, rng)
    else:
        drawn = _by_curvature(_Posterior(*values), log, len(process.y), count, rng)
    return [_kernel_of(one) for one in drawn]


def _by_curvature(
    posterior: _Posterior, log: Floats, n: int, count: int, rng: np.random.Generator
) -> list[Floats]:
    """Laplace's approximation (Rasmussen and Williams 2006, chapter 3.4): normal logarithms with
    the curvature at the mode `log`, each at most as uncertain as a priori."""
    steps = STEP * np.eye(len(log))
    rows = [posterior.loss(log + step)[1] - posterior.loss(log - step)[1] for step in steps]
    curvature = np.array(rows) / (2 * STEP)
    prior = np.diag(1 / posterior.spread**2)
    curvature = (curvature + curvature.T) / 2 - prior
    curvature = curvature * n / len(posterior.z) + prior  # all trials say more than some
    values, vectors = np.linalg.eigh(curvature)
    spread = 1 / np.sqrt(np.maximum(values, 1 / posterior.spread.max() ** 2))
    return [log + vectors @ (rng.standard_normal(len(log)) * spread) for _ in range(count)]


def _by_slices(
    posterior: _Posterior, log: Floats, count: int, rng: np.random.Generator
) -> list[Floats]:
    """Slice sampling, one logarithm after the other (Neal 2003, "Slice sampling", Annals of
    Statistics 31, figure 5). The slice is looked for in all that the prior allows, so that a draw
    can step from one mode to another."""
    reach = REACH * posterior.spread
    low, high = posterior.at - reach, posterior.at + reach
    log = log.clip(low, high)
    height, drawn = posterior.log_density(log), []
    for _ in range(SWEEPS + count):
        for j in range(len(log)):
            log, height = _slice(posterior, log, height, j, (low[j], high[j]), rng)
        drawn.append(log)
    return drawn[SWEEPS:]


def _slice(
    posterior: _Posterior,
    log: Floats,
    height: float,
    j: int,
    ends: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[Floats, float]:
    """The next point, with one coordinate drawn anew between the ends, and its log density."""
    least, (low, high) = height - rng.exponential(), ends
    while high - low > NARROWEST:
        tried = log.copy()
        tried[j] = rng.uniform(low, high)
        there = posterior.log_density(tried)
        if there >= least:
            return tried, there
        low, high = (tried[j], high) if tried[j] < log[j] else (low, tried[j])
    return log, height


def _kernel_of(log: Floats) -> Kernel:
    found = np.exp(log)
    return Kernel(found[:-2], float(found[-2]), float(found[-1]))


def _placed(kernel: Kernel, x: Floats, levels: Ints) -> Floats:
    """Points (m, d) where their plain distance is that of the kernel, in units of its lengths."""
    columns = []
    for j, (length, n_levels) in enumerate(zip(kernel.lengths, levels, strict=True)):
        if n_levels > 0:
            one_hot = np.eye(n_levels)[level_of(x[:, j], int(n_levels))]
            columns.append(one_hot / (np.sqrt(2.0) * length))
        else:
            columns.append(x[:, [j]] / length)
    return np.hstack(columns)


def level_of(x: Floats, n_levels: int) -> Ints:
    """The number of the category at each position."""
    return np.clip((x * n_levels).astype(np.int64), 0, n_levels - 1)


def _squares(x: Floats, levels: Ints) -> Floats:
    """Squared distances along each axis, (d, n, n)."""
    pairs = zip(x.T, levels, strict=True)
    return np.stack([_squares_along(column, column, int(n_levels)) for column, n_levels in pairs])


def _squares_along(left: Floats, right: Floats, n_levels: int) -> Floats:
    """Squared distances of positions (m,) and (n,), (m, n); two categories are 1 apart."""
    distance = left[:, None] - right[None, :]
    return np.where(n_levels > 0, np.abs(distance) > JITTER, distance**2)


def _integral(x: Floats, length: float, n_levels: int) -> Floats:
    """The mean of the kernel of one axis over that axis, at each position (n,)."""
    if n_levels > 0:
        other = math.exp(-0.5 / length**2)
        return np.full(len(x), (1 + (n_levels - 1) * other) / n_levels)
    inside = ndtr((1 - x) / length) - ndtr(-x / length)
    return np.asarray(math.sqrt(2 * math.pi) * length * inside)
