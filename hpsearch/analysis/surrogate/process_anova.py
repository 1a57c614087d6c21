"""Functional ANOVA of a Gaussian process, as uncertain as the process is (method.md, section 3).

A draw from the posterior is a draw from the prior plus what the observations change of it
(Matheron's rule; Wilson et al. 2020, "Efficiently sampling functions from Gaussian process
posteriors", equation 11). The prior is a sum of waves (Rahimi and Recht 2007, "Random features for
large-scale kernel machines"). Waves and the squared exponential kernel are products of functions of
one parameter each, so the mean over all parameters but one or two is a product of means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpsearch.analysis.gaussian_process import (
    Process,
    along,
    condition,
    drawn_kernels,
    level_of,
)
from hpsearch.analysis.read.axes import Floats
from hpsearch.analysis.surrogate.anova import sobol_points

N_KERNELS = 8  # drawn, as the lengths are not known either
N_EACH = 25  # functions for each of them
N_WAVES = 128
N_POINTS = 512  # that the variance of a function is computed from
MOST_PAIRS = 60  # that are drawn; of weaker ones what the mean function says

Nodes = Sequence[tuple[Floats, Floats]]
"""For each axis positions (Q,) on the sampling scale, and weights (Q,) that add up to 1."""


@dataclass(frozen=True)
class DrawnAnova:
    """Variances of B functions from the posterior, in the metric's unit squared.

    `main` (d, B), `pair` (d, d, B) symmetric with a zero diagonal, `total` (B,) at least their sum.
    """

    main: Floats
    pair: Floats
    total: Floats


@dataclass(frozen=True)
class _Sum:
    """S functions, each the real part of a sum of T products of functions of one axis each.

    `factors[j]` (T, Q_j) at the nodes of axis j, `means[j]` (T,) over it, `coefficients` (S, T).
    """

    coefficients: NDArray[Any]
    factors: Sequence[NDArray[Any]]
    means: Sequence[NDArray[Any]]

    def over_the_rest(self, axes: Sequence[int]) -> Floats:
        """Means over all axes but `axes`, at each combination of their nodes: (S, Q)."""
        others = [mean for j, mean in enumerate(self.means) if j not in axes]
        terms = np.prod(others, axis=0) if others else np.ones(self.coefficients.shape[1])
        terms = np.reshape(terms, (-1, 1))
        for j in axes:
            terms = (terms[:, :, None] * self.factors[j][:, None, :]).reshape(len(terms), -1)
        return np.asarray((self.coefficients @ terms).real)


def drawn_anova(process: Process, nodes: Nodes, rng: np.random.Generator) -> DrawnAnova:
    """The variances of N_KERNELS x N_EACH functions drawn from the posterior."""
    points = sobol_points(len(nodes))[:N_POINTS].astype(np.float64)
    strongest, pair = _strongest_pairs(process, nodes)
    found = []
    for kernel in drawn_kernels(process, N_KERNELS, rng):
        one = condition(kernel, process.x, process.y, process.weight, process.levels)
        found.append(_draw(one, nodes, strongest, points, rng))
    main = np.concatenate([mains for mains, _, _ in found], axis=1)
    pairs = np.repeat(pair[:, :, None], main.shape[1], axis=2)
    drawn = np.concatenate([some for _, some, _ in found], axis=1)
    for (i, j), variances in zip(strongest, drawn, strict=True):
        pairs[i, j] = pairs[j, i] = variances
    total = np.concatenate([totals for _, _, totals in found])
    return DrawnAnova(main, pairs, np.maximum(total, main.sum(axis=0) + pairs.sum(axis=(0, 1)) / 2))


def _strongest_pairs(process: Process, nodes: Nodes) -> tuple[list[tuple[int, int]], Floats]:
    """The pairs that are drawn, and the variances (d, d) of all pairs in the mean function."""
    mean = _kernel_sum(process, nodes, process.alpha[None])
    parts, variance = _main_parts([mean], nodes), np.zeros((len(nodes), len(nodes)))
    every = list(combinations(range(len(nodes)), 2))
    for i, j in every:
        variance[i, j] = variance[j, i] = _pair_variance([mean], nodes, parts, i, j)[0]
    return sorted(every, key=lambda pair: -variance[pair])[:MOST_PAIRS], variance


def _draw(
    process: Process,
    nodes: Nodes,
    pairs: Sequence[tuple[int, int]],
    points: Floats,
    rng: np.random.Generator,
) -> tuple[Floats, Floats, Floats]:
    """Variances of N_EACH functions: mains (d, S), the `pairs` (K, S) and totals (S,)."""
    kernel, n = process.kernel, len(process.y)
    waves = [
        rng.standard_normal((N_WAVES, max(int(levels), 1))) / (length * (2**0.5 if levels else 1))
        for length, levels in zip(kernel.lengths, process.levels, strict=True)
    ]
    sizes = rng.standard_normal((2, N_EACH, N_WAVES))
    sizes *= np.sqrt(kernel.signal * process.unit / N_WAVES)
    prior = sizes[0] - 1j * sizes[1]
    noise = np.sqrt(kernel.noise * process.unit / process.weight) * rng.standard_normal((N_EACH, n))
    at_trials = (prior @ _wave(process, waves, process.x)).real
    change = (process.y - process.centre - at_trials - noise) @ process.inverse
    factors = [np.exp(1j * _phase(process, waves, j, at)) for j, (at, _) in enumerate(nodes)]
    sums = [_sum(prior, factors, nodes), _kernel_sum(process, nodes, change)]
    values = (prior @ _wave(process, waves, points)).real
    values += change @ process.covariance(points).T
    parts = _main_parts(sums, nodes)
    mains = [part**2 @ weight for part, (_, weight) in zip(parts[1:], nodes, strict=True)]
    found = [_pair_variance(sums, nodes, parts, i, j) for i, j in pairs]
    return np.array(mains), np.reshape(found, (len(pairs), N_EACH)), values.var(axis=1)


def _main_parts(sums: Sequence[_Sum], nodes: Nodes) -> list[Floats]:
    """The mean (S, 1) of each function, then its main effects (S, Q_j) around it."""
    mean = np.add.reduce([one.over_the_rest(()) for one in sums])
    along_axes = range(len(nodes))
    return [
        mean,
        *(np.add.reduce([s.over_the_rest((j,)) for s in sums]) - mean for j in along_axes),
    ]


def _pair_variance(
    sums: Sequence[_Sum], nodes: Nodes, parts: Sequence[Floats], i: int, j: int
) -> Floats:
    """The variance (S,) of what two axes do together beyond their main effects."""
    (_, left), (_, right) = nodes[i], nodes[j]
    surface = np.add.reduce([one.over_the_rest((i, j)) for one in sums])
    surface = surface.reshape(-1, len(left), len(right)) - parts[0][:, :, None]
    surface -= parts[1 + i][:, :, None] + parts[1 + j][:, None, :]
    return np.asarray(np.einsum("spq,p,q->s", surface**2, left, right))


def _sum(coefficients: NDArray[Any], factors: Sequence[NDArray[Any]], nodes: Nodes) -> _Sum:
    means = [one @ weight for one, (_, weight) in zip(factors, nodes, strict=True)]
    return _Sum(coefficients, factors, means)


def _kernel_sum(process: Process, nodes: Nodes, coefficients: Floats) -> _Sum:
    """What `coefficients` (S, n) of the kernel around each configuration make."""
    factors = [along(process, j, at) for j, (at, _) in enumerate(nodes)]
    return _sum(process.kernel.signal * coefficients, factors, nodes)


def _wave(process: Process, waves: Sequence[Floats], x: Floats) -> NDArray[np.complex128]:
    """All waves (W, m) at points (m, d)."""
    return np.asarray(np.exp(1j * sum(_phase(process, waves, j, at) for j, at in enumerate(x.T))))


def _phase(process: Process, waves: Sequence[Floats], j: int, at: Floats) -> Floats:
    """What axis j adds to the phase of all waves at positions (m,), (W, m); a category has its
    own."""
    levels = int(process.levels[j])
    return waves[j][:, level_of(at, levels)] if levels else waves[j] * at
