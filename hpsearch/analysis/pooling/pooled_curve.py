"""One parameter's curve in a new study, from its curves in several (method.md, section 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from hpsearch.analysis.pooling.random_effects import (
    PooledRows,
    confidence_above,
    pool_rows,
    tau_quantiles,
)
from hpsearch.analysis.read.axes import Bools, Floats, Ints

REACH = 0.02  # of the range, to either side: so far away are neighbours
SMOOTH = 21  # places from which on curves are smooth
STEPS = 60  # of bisection
UNSEEN = 4.0  # tau^2 / k times this is what k studies do not show of how far curves are shifted
FARTHEST = 0.25  # of the range: curves are shifted by no more
SHIFTS = stats.norm.ppf((np.arange(21) + 0.5) / 21)
ASIDE = 0.1  # of the range: so far away are the values that tell which side is safer
SAFER = 2.0  # times as much costs the other side

Side = Literal["below", "above"]


@dataclass(frozen=True)
class StudyCurve:
    """One study's curve at the P places that are pooled, turned so that larger is better.

    `score` (P,) with its bootstrap `copies` (B, P); `default` is a place, None where the study
    names no default among them. `worth` is the smallest difference that is worth having here.
    """

    score: Floats
    copies: Floats
    default: int | None = None
    worth: float = 0.0

    def regret(self) -> tuple[Floats, Floats]:
        """What each place costs against the study's best, with its standard error, (P,) each.

        The best was picked because it looks best. The copies pick anew, and show by how much that
        flatters.
        """
        top = self.copies.max(axis=1)
        flattery = max(float(top.mean() - self.score.max()), 0.0)
        error = (top[:, None] - self.copies).std(axis=0)
        return np.asarray(self.score.max() - flattery - self.score), np.asarray(error)

    def differences(self, left: Ints, right: Ints) -> tuple[Floats, Floats]:
        """The score at places `left` less that at `right`, with standard errors, (Q,) each."""
        copies = self.copies[:, left] - self.copies[:, right]
        return self.score[left] - self.score[right], np.asarray(copies.std(axis=0))

    def best_error(self, places: Floats) -> float:
        """The standard error of the best place, in the unit of `places` (P,).

        The copies' best places say it, unless all of them are the end of the range. So it is at
        least that of the stretch around the best which is not clearly worse than it, and at least
        that of rounding to a place.
        """
        best = int(np.argmax(self.score))
        found, error = self.differences(np.full(len(places), best), np.arange(len(places)))
        near = places[piece(found <= 1.645 * error, best)]
        spread = float(places[np.argmax(self.copies, axis=1)].std())
        step = float(np.ptp(places)) / (len(places) - 1)
        return max(spread, float(np.ptp(near)) / 6.6, step / 3.5)


@dataclass(frozen=True)
class PooledCurve:
    """`cost`: what each of P places costs in a new study. `best` is the place that costs least,
    `inside` (P,) are those that may be as good; `weights` (k,) are the studies', with sum 1.
    `safer` is the side of the best on which values cost clearly less, None where neither does."""

    cost: PooledRows
    best: int
    inside: Bools
    weights: Floats
    safer: Side | None


def pool_curves(
    curves: Sequence[StudyCurve], level: float, places: Floats | None = None
) -> PooledCurve:
    """The expected regret of every place in a new study, and the place where it is least.

    A study's regret is its best less its curve, and its best is the same for all places. So the
    place that costs least is the best one of the weighted mean of the curves.

    Args:
        curves: k of them, k >= 2, at the same P places.
        level: of the intervals.
        places: (P,), rising; None for categories, which have no sides.
    """
    weights = study_weights(curves)
    best = best_place(curves, weights)
    cost = pool_rows(*_arrays([one.regret() for one in curves]), level, weights)
    inside, safer = _may_be_best(curves, weights, best, level), None
    if places is not None:
        low, high = np.quantile(
            _best_of_more(curves, weights, places),
            [(1 - level) / 2, (1 + level) / 2],
            method="nearest",
        )
        inside[min(low, best) : max(high, best) + 1] = True
        safer = _safer_side(curves, weights, best, places, level)
    return PooledCurve(cost, best, inside, weights, safer)


def study_weights(curves: Sequence[StudyCurve]) -> Floats:
    """The weight of each study (k,), with sum 1: one over the variance of its curve and tau^2.

    It is the same for all places. Else the pooled curve would bend where the weights change.
    """
    centred = np.stack([one.score - one.score.mean() for one in curves])
    around = [one.copies - one.copies.mean(axis=1, keepdims=True) for one in curves]
    variances = np.array([float(copies.var(axis=0).mean()) for copies in around])
    variances = np.maximum(variances, 1e-12 * (float(centred.var()) or 1.0))
    weights = 1 / (variances + _curve_tau2(centred, variances))
    return np.asarray(weights / weights.sum())


def best_place(curves: Sequence[StudyCurve], weights: Floats) -> int:
    return int(np.argmax(weights @ np.stack([one.score for one in curves])))


def rules_without(curves: Sequence[StudyCurve]) -> list[int]:
    """For each study, the best place of all others."""
    found = []
    for index in range(len(curves)):
        rest = [one for other, one in enumerate(curves) if other != index]
        found.append(best_place(rest, study_weights(rest) if len(rest) > 1 else np.ones(1)))
    return found


def piece(inside: Bools, at: int) -> Ints:
    """The places of the unbroken stretch of `inside` (P,) around the place `at`."""
    outside = np.flatnonzero(~inside)
    before, after = outside[outside < at], outside[outside > at]
    first = int(before[-1]) + 1 if len(before) else 0
    last = int(after[0]) if len(after) else len(inside)
    return np.arange(first, last)


def _curve_tau2(centred: Floats, variances: Floats) -> float:
    """Paule and Mandel's equation for curves (k, P), by bisection: Q is the mean over places."""
    freedom = len(centred) - 1
    low, high = 0.0, float(((centred - centred.mean(axis=0)) ** 2).sum(axis=0).mean()) / freedom
    for _ in range(STEPS):
        middle = (low + high) / 2
        weights = 1 / (variances + middle)
        mean = weights @ centred / weights.sum()
        above = float((weights @ (centred - mean) ** 2).mean()) > freedom
        low, high = (middle, high) if above else (low, middle)
    return low


def _best_of_more(curves: Sequence[StudyCurve], weights: Floats, places: Floats) -> Ints:
    """The best place if more studies were seen, at each quantile of tau, (N,).

    Beyond a cliff curves fall far. Where its place differs, the best of many studies lies where one
    in a few has fallen, and k studies seldom show one that has: they all rise there. So their mean
    is shifted to either side, by what so few do not show of the spread of their best places.
    """
    at = np.array([places[np.argmax(one.score)] for one in curves])
    tau = tau_quantiles(at, np.array([one.best_error(places) for one in curves]))
    apart = np.minimum(np.sqrt(UNSEEN / len(curves)) * tau, FARTHEST * np.ptp(places))
    mean = weights @ np.stack([one.score for one in curves])
    shifted = np.interp(places - apart[:, None, None] * SHIFTS[:, None], places, mean)
    return np.asarray(np.argmax(shifted.mean(axis=1), axis=1))


def _safer_side(
    curves: Sequence[StudyCurve], weights: Floats, best: int, places: Floats, level: float
) -> Side | None:
    """On which side of the best a value costs clearly less than one as far on the other side."""
    sides = aside(places, best)
    if sides is None:
        return None
    found = []
    for side, other in (sides, sides[::-1]):
        near, far = np.array([side]), np.array([other])
        gains, errors = _arrays([one.differences(near, far) for one in curves])
        found.append(float(confidence_above(gains, errors, weights)[0]))
    below, above = (weights @ [one.score[best] - one.score[at] for one in curves] for at in sides)
    worth = float(weights @ [one.worth for one in curves])
    if found[0] > level and above > SAFER * max(below, worth):
        return "below"
    return "above" if found[1] > level and below > SAFER * max(above, worth) else None


def aside(places: Floats, best: int) -> tuple[int, int] | None:
    """The places a tenth of the range below and above the best; None where the range ends."""
    reach = ASIDE * float(np.ptp(places))
    if not places[0] + reach <= places[best] <= places[-1] - reach:
        return None
    low, high = (int(np.argmin(np.abs(places - places[best] - s * reach))) for s in (-1, 1))
    return (low, high) if low < best < high else None


def _arrays(found: Sequence[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    """Estimates and errors, (P, k) each, of the studies' (P,)."""
    estimates, errors = (np.stack(arrays, axis=1) for arrays in zip(*found, strict=True))
    return estimates, errors


def _may_be_best(curves: Sequence[StudyCurve], weights: Floats, best: int, level: float) -> Bools:
    """The places (P,) that may be as good as the best, but for what is not worth having.

    They are not clearly worse than the best by more than that. Where curves are smooth they are not
    clearly worse than the places a little to their left and right either, or seem as good: the best
    that is seen was picked, so most of what is wrong is not clearly worse than it, but rises or
    falls.
    """
    worth = float(weights @ np.array([one.worth for one in curves]))

    def clearly_above(left: Ints, right: Ints, worth: float) -> Bools:
        gains, errors = _arrays([one.differences(left, right) for one in curves])
        return np.asarray(confidence_above(gains - worth, errors, weights) > (1 + level) / 2)

    n = len(curves[0].score)
    here, top = np.arange(n), np.full(n, best)
    inside = ~clearly_above(top, here, worth)
    if n >= SMOOTH:
        reach = max(1, round(REACH * n))
        around = np.minimum(here + reach, n - 1), np.maximum(here - reach, 0)
        slopes = np.any([clearly_above(other, here, 0.0) for other in around], axis=0)
        mean = weights @ np.stack([one.score for one in curves])
        inside &= ~slopes | (mean[best] - mean <= worth)
    inside[best] = True
    return np.asarray(inside)
