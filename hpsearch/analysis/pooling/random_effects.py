"""Estimates of one number from several studies that may truly differ (method.md, section 6).

The spread between studies, tau, is hardly known from a few of them. So the intervals here stand on
its whole confidence distribution, not on one estimate: Q(tau^2), the weighted sum of squares around
the mean, follows chi^2 with k - 1 degrees of freedom at the true tau^2 (Viechtbauer 2007), and each
quantile of chi^2 gives one tau^2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from hpsearch.analysis.read.axes import Floats

N_QUANTILES = 41  # of the confidence distribution of tau^2
# Estimates that agree better than their errors allow say that the errors are too large. So tau^2
# goes below 0, until the smallest error is half of what was said. With 0 in its place the intervals
# of 2 and 3 studies that do not differ cover 98% instead of 90%.
BELOW_ZERO = 0.75
SMALLEST = 1e-12  # an error in units of the largest estimate: a table has none
SMALL = 1e-6  # an error in units of the largest error
NEWTON_STEPS, STEPS = 16, 40  # of Newton and of bisection
TINY = np.finfo(float).tiny


@dataclass(frozen=True)
class Pooled:
    """A random-effects summary on the scale of its inputs.

    `mean` with its interval `low` to `high`; `tau`, the standard deviation between studies, with
    its interval; `i2` in [0, 1], the share of the estimates' variance that is between studies;
    `new_low` to `new_high`, the prediction interval of one more study.
    """

    mean: float
    low: float
    high: float
    tau: float
    tau_low: float
    tau_high: float
    i2: float
    new_low: float
    new_high: float


@dataclass(frozen=True)
class PooledRows:
    """The same for P numbers of the same k studies, each array (P,)."""

    mean: Floats
    low: Floats
    high: Floats
    new_low: Floats
    new_high: Floats


def random_effects(estimates: Floats, errors: Floats, level: float = 0.9) -> Pooled:
    """Pool estimates of one number from several studies that may truly differ.

    tau is that of Paule and Mandel, with the Q-profile interval. The interval of the mean and that
    of a new study are quantiles of normal distributions, averaged over the confidence distribution
    of tau. With equal errors and a tau far above them, the first is that of Student's t.

    Source: Paule and Mandel (1982); Viechtbauer (2007), section 3.5; Iyer, Wang and Mathew (2004);
    Nagashima, Noma and Furukawa (2019); I2 of Higgins and Thompson (2002).

    Args:
        estimates: (k,), k >= 2.
        errors: (k,), their standard errors.
        level: of all intervals.

    Returns:
        The mean, the spread between studies, and what to expect of one more study.

    Example:
        Two studies that agree are pooled with equal weights, and nothing lies between them:

        >>> pooled = random_effects(np.array([1.0, 1.2]), np.array([0.2, 0.2]))
        >>> round(pooled.mean, 3), pooled.tau, pooled.tau_high > 1
        (1.1, 0.0, True)
    """
    variances = _variances(estimates, errors)
    tau2 = paule_mandel(estimates, variances)
    tails = stats.chi2.ppf([(1 + level) / 2, (1 - level) / 2], len(estimates) - 1)
    tau_low, tau_high = np.sqrt(np.maximum(_solve(estimates[None], variances[None], tails)[0], 0))
    weights = 1 / (variances + tau2)
    rows = pool_rows(estimates[None], errors[None], level)
    mean = float(np.average(estimates, weights=weights))
    return Pooled(
        mean=mean,
        low=float(rows.low[0]),
        high=float(rows.high[0]),
        tau=float(np.sqrt(tau2)),
        tau_low=float(tau_low),
        tau_high=float(tau_high),
        i2=tau2 / (tau2 + _typical(variances)),
        new_low=float(rows.new_low[0]),
        new_high=float(rows.new_high[0]),
    )


def pool_rows(
    estimates: Floats, errors: Floats, level: float, weights: Floats | None = None
) -> PooledRows:
    """Pool P numbers of the same studies: estimates and errors are (P, k).

    `weights` (k,) are those of the studies, the same for all numbers; None: those that each tau of
    the confidence distribution gives, number by number.
    """
    mean, error, tau2 = _given_tau(estimates, errors, weights)
    new = np.hypot(error, np.sqrt(np.maximum(tau2, 0)))
    low, high = (1 - level) / 2, (1 + level) / 2
    return PooledRows(
        mean=mean.mean(axis=1),
        low=_quantile(mean, error, low),
        high=_quantile(mean, error, high),
        new_low=_quantile(mean, new, low),
        new_high=_quantile(mean, new, high),
    )


def confidence_above(estimates: Floats, errors: Floats, weights: Floats | None = None) -> Floats:
    """The confidence (P,) that the mean is above 0; the arguments are those of `pool_rows`."""
    mean, error, _ = _given_tau(estimates, errors, weights)
    return np.asarray(special.ndtr(mean / error).mean(axis=1))


def tau_quantiles(estimates: Floats, errors: Floats) -> Floats:
    """N_QUANTILES even quantiles of the confidence distribution of tau, not below 0.

    Example:
        The median of two estimates whose errors are small: Q is the median of chi^2, 0.455.

        >>> tau = tau_quantiles(np.array([0.0, 1.0]), np.full(2, 1e-3))
        >>> round(float(tau[N_QUANTILES // 2] ** 2 * 0.455), 3)
        0.5
    """
    tau2 = _given_tau(estimates[None], errors[None], None)[2][0]
    return np.asarray(np.sqrt(np.maximum(tau2, 0.0)))


def _given_tau(
    estimates: Floats, errors: Floats, weights: Floats | None
) -> tuple[Floats, Floats, Floats]:
    """The mean, its standard error, and tau^2, (P, N) each, at N quantiles of tau^2."""
    variances = _variances(estimates, errors)
    quantiles = (np.arange(N_QUANTILES) + 0.5) / N_QUANTILES
    tau2 = _solve(estimates, variances, stats.chi2.ppf(quantiles, estimates.shape[1] - 1))
    each = variances[:, None, :] + tau2[..., None]  # (P, N, k)
    share = 1 / each if weights is None else np.broadcast_to(weights, each.shape)
    share = share / share.sum(axis=-1, keepdims=True)
    mean = np.sum(share * estimates[:, None, :], axis=-1)
    return mean, np.sqrt(np.sum(share**2 * each, axis=-1)), tau2


def paule_mandel(estimates: Floats, variances: Floats, design: Floats | None = None) -> float:
    """The tau^2 at which the weighted sum of squares is its degrees of freedom, at least 0.

    `design` (k, p) holds the moderators of a meta-regression, with its column of ones.
    """
    freedom = len(estimates) - (1 if design is None else design.shape[1])
    found = _solve(estimates[None], variances[None], np.array([float(freedom)]), design)
    return max(float(found[0, 0]), 0.0)


def _variances(estimates: Floats, errors: Floats) -> Floats:
    """Squared errors; an error of 0 becomes one that weights can be computed with."""
    scale = float(np.abs(estimates).max()) or 1.0
    least = max(SMALLEST * scale, SMALL * float(errors.max()))
    return np.asarray(np.maximum(errors, least) ** 2)


def _typical(variances: Floats) -> float:
    """The typical sampling variance of Higgins and Thompson (2002), equation 9."""
    weights = 1 / variances
    return float((len(weights) - 1) * weights.sum() / (weights.sum() ** 2 - np.sum(weights**2)))


def _solve(
    estimates: Floats, variances: Floats, targets: Floats, design: Floats | None = None
) -> Floats:
    """The tau^2 (P, N) at which Q of estimates (P, k) equals each target (N,).

    Newton's steps on 1 / Q, which is concave in tau^2 (with equal errors: a line), so that from
    below they never go too far. Where Q starts below a target, the smallest tau^2 is the answer.
    """
    least = -BELOW_ZERO * variances.min(axis=1, keepdims=True)
    tau2 = np.repeat(least, len(targets), axis=1)
    for _ in range(NEWTON_STEPS):
        q, slope = _q(estimates, variances, tau2, design)
        tau2 = np.maximum(tau2 + q * (q / targets - 1) / np.maximum(slope, TINY), least)
    return np.asarray(tau2)


def _q(
    estimates: Floats, variances: Floats, tau2: Floats, design: Floats | None
) -> tuple[Floats, Floats]:
    """The weighted sum of squares around the weighted mean, or around the regression, (P, N), and
    how fast it falls as tau^2 grows."""
    weights = 1 / (variances[:, None, :] + tau2[..., None])
    if design is None:
        mean = (weights @ estimates[..., None])[..., 0] / weights.sum(axis=-1)
        rest = estimates[:, None, :] - mean[..., None]
    else:
        gram = np.einsum("ka,pnk,kb->pnab", design, weights, design)
        moment = np.einsum("ka,pnk,pk->pna", design, weights, estimates)
        slopes = np.linalg.solve(gram, moment[..., None])[..., 0]
        rest = estimates[:, None, :] - slopes @ design.T
    squares = weights * rest**2
    return squares.sum(axis=-1), np.sum(weights * squares, axis=-1)


def _quantile(mean: Floats, error: Floats, p: float) -> Floats:
    """The p-quantile (P,) of equal shares of normal distributions (P, N), by bisection."""
    low, high = (mean - 9 * error).min(axis=1), (mean + 9 * error).max(axis=1)
    for _ in range(STEPS):
        middle = (low + high) / 2
        below = special.ndtr((middle[:, None] - mean) / error).mean(axis=1) < p
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray((low + high) / 2)
