"""Numbers that an explanation states, each with how sure it is."""

from __future__ import annotations

from dataclasses import dataclass, field

from hpsearch.analysis.read.axes import Floats

NOT_KNOWN = 0.8  # a share whose interval is wider than this is not known


@dataclass(frozen=True)
class Estimate:
    """A number with its interval."""

    value: float
    low: float
    high: float

    def within(self, least: float, most: float) -> Estimate:
        """The same with nothing below `least` or above `most`.

        Example:
            >>> Estimate(0.175, -6.2, 0.26).within(-0.7, 0.2)
            Estimate(value=0.175, low=-0.7, high=0.2)
        """
        return Estimate(*(min(max(one, least), most) for one in (self.value, self.low, self.high)))


@dataclass(frozen=True)
class Quality:
    """How well the forest predicts configurations it has not seen.

    `r2` and `rank_correlation` are out of bag; `null` is the 95th percentile of R2 when the
    values' distances from their mean have random signs.
    """

    r2: float
    rank_correlation: float
    null: float


@dataclass(frozen=True)
class Importance:
    """The share of variance of one parameter, or of the interaction of two, with its interval.

    `within` says, for parameters that only some trials used, inside which trials the share holds;
    `active` is the share of those trials.
    """

    params: tuple[str, ...]
    share: float
    low: float
    high: float
    active: float = 1.0
    within: str | None = None


@dataclass(frozen=True)
class Noise:
    """Standard deviation of repeating one configuration, and where it was learned from.

    `at_best` is that among the better trials, from how far they lie from what is predicted of them.
    """

    value: float
    source: str
    at_best: float


@dataclass(frozen=True)
class Failures:
    """Failed trials: their share of all, and P(failure) along each parameter."""

    rate: float
    n_failed: int
    curves: dict[str, Floats] = field(default_factory=dict)
