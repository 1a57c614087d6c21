"""Where trials fail: the probability along each parameter (method.md, section 2)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hpsearch.analysis.effects.grids import Grid, build_grid, marginal_at
from hpsearch.analysis.effects.partial_residuals import Marginal
from hpsearch.analysis.effects.smooth import BANDWIDTHS
from hpsearch.analysis.estimates import Failures
from hpsearch.analysis.read.axes import Bools, Floats, Ints
from hpsearch.analysis.read.frame import FAILED, Frame
from hpsearch.analysis.surrogate.anova import decompose
from hpsearch.analysis.surrogate.forest import Forest, Settings, build_table, grow

MIN_FAILURES = 4
MOST_TRIALS = 2000  # tell a chance to within .02; bandwidths are chosen in time of their square
PRIOR = 0.5  # trials' worth of the study's failure rate, in the rate at one value


def read_failures(frame: Frame, stream: np.random.SeedSequence) -> Failures:
    """The failure rate, and along each parameter among the trials that have it.

    A parameter has no curve where all of these trials fail, or fewer than MIN_FAILURES.
    """
    failed = frame.state == FAILED
    curves: dict[str, Floats] = {}
    active = ~np.isnan(frame.unit)
    for rows, child in zip(
        np.unique(active.T, axis=0), stream.spawn(active.shape[1]), strict=False
    ):
        n_failed = int(failed[rows].sum())
        if not MIN_FAILURES <= n_failed < rows.sum():
            continue
        reported = np.flatnonzero((active == rows[:, None]).all(axis=0))
        everywhere = np.flatnonzero(active[rows].all(axis=0))
        curves |= _curves(frame, rows, everywhere, set(reported.tolist()), child)
    ordered = {axis.name: curves[axis.name] for axis in frame.axes if axis.name in curves}
    return Failures(float(failed.mean()), int(failed.sum()), ordered)


class ChanceToFail:
    """The chance that a run fails, as the trials that have the same parameters show it.

    By a forest where enough of them fail. It is grown when it is first asked, and only then.
    """

    def __init__(self, frame: Frame, stream: np.random.SeedSequence) -> None:
        self.frame, self.stream = frame, stream
        self.forests: dict[bytes, Forest] = {}

    def at(self, units: Floats) -> Floats:
        """At each of `units` (m, d), NaN where a parameter is inactive: (m,)."""
        failed, found = self.frame.state == FAILED, np.empty(len(units))
        kinds, which = np.unique(~np.isnan(units), axis=0, return_inverse=True)
        for kind, active in enumerate(kinds):
            at = which.ravel() == kind
            rows = np.flatnonzero(~np.isnan(self.frame.unit[:, active]).any(axis=1))
            if MIN_FAILURES <= failed[rows].sum() < len(rows):
                forest = self._forest(active, rows)
                found[at] = forest.predict(units[at][:, active].astype(np.float32))
            else:
                found[at] = failed[rows].mean() if len(rows) else failed.mean()
        return np.clip(found, 0.0, 1.0)

    def _forest(self, active: Bools, rows: Ints) -> Forest:
        """That of the trials `rows` (m,) which have the parameters `active` (d,)."""
        frame, kind = self.frame, active.tobytes()
        if kind not in self.forests:
            axes = [axis for axis, has in zip(frame.axes, active, strict=True) if has]
            values = (frame.state[rows] == FAILED).astype(np.float64)
            table = build_table(axes, frame.unit[rows][:, active], values, frame.group[rows])
            self.forests[kind] = grow(table, Settings(leaf=5), np.random.default_rng(self.stream))
        return self.forests[kind]


def finishing(
    frame: Frame,
    column: int,
    grid: Grid,
    region: tuple[float, float],
    n_copies: int,
    stream: np.random.SeedSequence,
) -> tuple[Floats, Floats]:
    """The chance to finish at the points of a grid, (P,), and copies of it (B, P).

    Among the trials that have the parameter of the column. A mean with Gaussian weights, of the
    bandwidth that predicts left-out trials best; of levels their own means. The copies resample
    trials. Where none fails, or all do, they would all agree: so each holds PRIOR trials more, that
    fail at the rate of all. In the `region` to avoid, from one of its ends to that of the range,
    the chance rises nowhere.
    """
    some = np.flatnonzero(~np.isnan(frame.unit[:, column]))
    some = some[np.linspace(0, len(some) - 1, min(len(some), MOST_TRIALS)).astype(int)]
    x, done = frame.unit[some, column], (frame.state[some] != FAILED).astype(np.float64)
    rng, rate = np.random.default_rng(stream), float(done.mean())
    kernel = _levels(grid, x) if grid.levels else _smoothed(grid.points, x, done, rate)
    counts = rng.multinomial(len(x), np.full(len(x), 1 / len(x)), n_copies).astype(np.float64)
    counts = np.vstack([np.ones(len(x)), counts])
    more = np.append(rate, rng.random(n_copies) < rate)[:, None]
    finished = counts @ (kernel * done[:, None])
    chance = np.asarray((finished + PRIOR * more) / (counts @ kernel + PRIOR), np.float64)
    if not grid.axis.is_categorical:
        low, high = region
        inside = np.flatnonzero((grid.points >= low) & (grid.points <= high))
        inside = inside if high >= x.max() else inside[::-1]
        chance[:, inside] = np.minimum.accumulate(chance[:, inside], axis=1)
    return chance[0], chance[1:]


def weighed(
    marginal: Marginal, sign: float, default: int, finish: tuple[Floats, Floats], safe: Bools
) -> Marginal:
    """The curve of what a run is worth, if one that fails is worth what the default's are.

    That is the gain over the default times the chance to finish, of the curve and of each copy. A
    default that is better than half of the range is no loss: then the median point stands for it.
    `sign` is 1 where larger is better, else -1; `default` is a point of the grid. `finish`: the
    chance to finish (P,) and its copies (B, P), as many as the curve has. Beyond the points that
    are `safe` (P,) few trials finish, and a curve is carried on no farther than it spans there.
    """
    mean, copies_of = finish
    in_order = np.argsort(sign * marginal.mean, kind="stable")
    below = in_order[: (len(in_order) + 1) // 2]
    against = default if default in below else int(below[-1])
    base = marginal.mean[against]

    among = marginal.mean[safe] if safe.any() else marginal.mean
    span = float(np.ptp(among))

    def gains_of(curves: Floats) -> Floats:
        within = np.where(safe, curves, np.clip(curves, among.min() - span, among.max() + span))
        return np.asarray(within - within[..., [against]], np.float64)

    def of(copies: Floats) -> Floats:
        return np.asarray(base + gains_of(copies) * copies_of, np.float64)

    covariance = marginal.covariance
    if covariance is not None:
        errors = gains_of(marginal.mean) * (copies_of - copies_of.mean(axis=0))
        between = covariance - covariance[against] - covariance[:, [against]]
        between = (between + covariance[against, against]) * np.outer(mean, mean)
        covariance = np.asarray(between + errors.T @ errors / len(errors), np.float64)
    return replace(
        marginal,
        mean=np.asarray(base + gains_of(marginal.mean) * mean, np.float64),
        copies=of(marginal.copies),
        wide_copies=of(marginal.wide_copies),
        covariance=covariance,
    )


def _levels(grid: Grid, x: Floats) -> Floats:
    """Which level (P,) each position (n,) is, as weights (n, P)."""
    nearest = np.argmin(np.abs(x[:, None] - grid.points), axis=1)
    return np.asarray(np.eye(len(grid.points))[nearest], np.float64)


def _smoothed(points: Floats, x: Floats, done: Floats, rate: float) -> Floats:
    """Gaussian weights (n, P) of positions (n,) at points (P,)."""
    apart, losses = x[:, None] - x, []
    for bandwidth in BANDWIDTHS:
        kernel = np.exp(-0.5 * (apart / bandwidth) ** 2)
        np.fill_diagonal(kernel, 0.0)
        chance = (done @ kernel + PRIOR * rate) / (kernel.sum(axis=0) + PRIOR)
        losses.append(-np.mean(np.log(np.where(done > 0, chance, 1 - chance))))
    bandwidth = BANDWIDTHS[int(np.argmin(losses))]
    return np.asarray(np.exp(-0.5 * ((x[:, None] - points) / bandwidth) ** 2))


def _curves(
    frame: Frame, rows: Bools, columns: Ints, reported: set[int], stream: np.random.SeedSequence
) -> dict[str, Floats]:
    """P(failure) along the `reported` ones of `columns`, which all trials of `rows` have."""
    axes, unit = [frame.axes[c] for c in columns], frame.unit[rows][:, columns]
    failed = (frame.state[rows] == FAILED).astype(np.float64)
    table = build_table(axes, unit, failed, frame.group[rows])
    forest = grow(table, Settings(leaf=5), np.random.default_rng(stream))
    anova = decompose(forest, pairs=False, n_points_log2=0)
    found = {}
    for place, (axis, column) in enumerate(zip(axes, columns, strict=True)):
        if int(column) in reported:
            points = build_grid(axis, unit[:, place]).points
            found[axis.name] = np.clip(marginal_at(forest, anova, place, points), 0.0, 1.0)
    return found
