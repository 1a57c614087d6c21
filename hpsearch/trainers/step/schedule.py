"""The one-cycle schedule (Smith 2018, arXiv 1803.09820) with fastai 2's shape and defaults."""

from __future__ import annotations

import math
from dataclasses import dataclass


def cosine(start: float, end: float, share: float) -> float:
    """Half a cosine wave from `start` (share 0) to `end` (share 1)."""
    return start + (1 + math.cos(math.pi * (1 - share))) * (end - start) / 2


def parse_moms(text: str) -> tuple[float, float]:
    """'0.8/0.7' -> (0.8, 0.7): the momentum at the ends of the cycle and at its middle."""
    parts = text.split("/")
    try:
        high, low = map(float, parts)
    except ValueError:
        raise ValueError(f"momenta are written high/low, such as 0.8/0.7, not {text!r}") from None
    if not 0 <= low <= high < 1:
        raise ValueError(f"momenta are high/low with 0 <= low <= high < 1, not {text!r}")
    return high, low


@dataclass(frozen=True)
class OneCycle:
    """Rates rise from lr/25 to lr over the first `pct_start` of the steps, then fall to lr/1e5.

    The momentum (Adam's beta1) goes the other way: `moms[0]` -> `moms[1]` -> `moms[0]`.
    """

    steps: int
    pct_start: float = 0.25
    moms: tuple[float, float] = (0.95, 0.85)
    div: float = 25.0
    div_final: float = 1e5

    @staticmethod
    def flat(moms: str) -> OneCycle:
        """A cycle whose step 0 has the whole rate and the momentum of a cycle's ends."""
        high, _ = parse_moms(moms)
        return OneCycle(2, 0.0, (high, high))

    def at(self, step: int) -> tuple[float, float]:
        """(share of the highest rate, momentum) for step 0, 1, ..., steps - 1."""
        position = step / self.steps
        high, low = self.moms
        if position < self.pct_start:
            share = position / self.pct_start
            return cosine(1 / self.div, 1.0, share), cosine(high, low, share)
        share = (position - self.pct_start) / (1 - self.pct_start) if self.pct_start < 1 else 1.0
        return cosine(1.0, 1 / self.div_final, share), cosine(low, high, share)

    def highest(self, steps: range) -> float:
        """The highest share of the highest rate that any of `steps` has."""
        return max(self.at(step)[0] for step in steps)
