"""Parts of a conditional search space in which the same parameters are active."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpsearch.analysis.read.axes import Axis, Bools, Ints
from hpsearch.analysis.read.frame import Frame

MIN_ROWS = 10  # a branch with fewer trials says nothing


@dataclass(frozen=True, eq=False)
class Subspace:
    """Trials (`rows`, (n,) mask) and the axes active in all of them (`columns`).

    `reported` are the columns this subspace reports: those not reported by a larger one. `active`
    is the share of usable trials; `within` names the condition, None for the whole study.
    """

    rows: Bools
    columns: Ints
    reported: Ints
    active: float
    within: str | None

    def is_inside(self, other: Subspace) -> bool:
        """Whether all trials of this one, and more, are the other's."""
        return bool((self.rows <= other.rows).all() and (self.rows < other.rows).any())


def subspaces(frame: Frame) -> tuple[list[Subspace], list[str]]:
    """The whole study with its unconditional parameters, then one per set of conditional ones.

    Inside a branch everything is computed from the branch's trials alone, so a parameter's share
    there is what it would be had the branch been a study of its own. Also returns notes on
    parameters that too few trials used.
    """
    usable = frame.usable
    active = ~np.isnan(frame.unit)
    always = np.flatnonzero(active[usable].all(axis=0))
    found, notes = [], []
    if len(always):
        found.append(Subspace(usable, always, always, 1.0, None))
    patterns: dict[bytes, list[int]] = {}
    for column in np.flatnonzero(~active[usable].all(axis=0)):
        patterns.setdefault((active[:, column] & usable).tobytes(), []).append(int(column))
    for columns in patterns.values():
        rows = active[:, columns[0]] & usable
        names = ", ".join(f"'{frame.axes[c].name}'" for c in columns)
        if rows.sum() < MIN_ROWS:
            notes.append(f"Too few trials used {names} ({int(rows.sum())}) to say anything of it.")
            continue
        everywhere = np.flatnonzero(active[rows].all(axis=0))
        spread = [c for c in everywhere if np.ptp(frame.unit[rows, c]) > 0]
        reported = np.array([c for c in columns if c in spread], np.int64)
        if len(reported):
            share = float(rows.sum() / usable.sum())
            within = _condition(frame.axes, frame, rows) or f"trials that use {names}"
            found.append(Subspace(rows, np.array(spread), reported, share, within))
    return found, notes


def _condition(axes: tuple[Axis, ...], frame: Frame, rows: Bools) -> str | None:
    """ "optimizer = sgd", where one category picks exactly these rows."""
    for column, axis in enumerate(axes):
        values = frame.unit[:, column]
        chosen = np.unique(values[rows])
        if not axis.is_categorical or np.isnan(chosen).any():
            continue
        if np.array_equal(np.isin(values, chosen) & frame.usable, rows) and len(chosen) < len(
            axis.choices
        ):
            names = [str(axis.from_unit(value)) for value in chosen]
            return f"{axis.name} = {' or '.join(names)}"
    return None
