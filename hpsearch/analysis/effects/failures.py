"""Where trials fail: the probability along each parameter (method.md, section 2)."""

from __future__ import annotations

import numpy as np

from hpsearch.analysis.effects.grids import build_grid, marginal_at
from hpsearch.analysis.estimates import Failures
from hpsearch.analysis.read.axes import Bools, Floats, Ints
from hpsearch.analysis.read.frame import FAILED, Frame
from hpsearch.analysis.surrogate.anova import decompose
from hpsearch.analysis.surrogate.forest import Settings, build_table, grow

MIN_FAILURES = 4


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


def chance_to_fail(frame: Frame, unit: Floats, stream: np.random.SeedSequence) -> float:
    """The chance that a run at `unit` (d,), NaN where inactive, fails.

    From the trials that have the same parameters, by a forest where enough of them fail.
    """
    failed, active = frame.state == FAILED, ~np.isnan(unit)
    rows = (~np.isnan(frame.unit[:, active])).all(axis=1)
    n_failed = int(failed[rows].sum())
    if not MIN_FAILURES <= n_failed < rows.sum():
        return float(failed[rows].mean()) if rows.any() else float(failed.mean())
    axes = [axis for axis, has in zip(frame.axes, active, strict=True) if has]
    values = failed[rows].astype(np.float64)
    table = build_table(axes, frame.unit[rows][:, active], values, frame.group[rows])
    forest = grow(table, Settings(leaf=5), np.random.default_rng(stream))
    return float(np.clip(forest.predict(unit[None, active].astype(np.float32))[0], 0.0, 1.0))


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
