"""What to do next: how many more trials, or which range to widen, as text to paste."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from statistics import NormalDist

from hpsearch.analysis.axes import Axis
from hpsearch.analysis.frame import Frame
from hpsearch.analysis.parts import MIN_CONFIGURATIONS, Part
from hpsearch.analysis.rules import FALSE_RATE, Rule

POWER = 0.842
"""The normal deviate of 80%."""
MOST_TIMES = 20
"""Nobody runs more than so many times the trials that there are."""
WIDEN_BY = 0.5  # of the range on the sampling scale, beyond the edge at which the best value lies


def reason(part: Part, *, trusted: bool) -> str:
    """Why there are no rules, for a person who just spent an hour on trials."""
    n, quality = part.n_configurations, part.quality
    if trusted:
        return "The trials tell parameters apart, but not yet surely enough for a rule."
    if n < part.enough:
        return (
            f"{n} different configurations are too few to tell {len(part.readings)} parameters "
            "from luck; the shares are a first impression only."
        )
    return (
        f"From {n} configurations the parameters do not predict the metric better than chance "
        f"(out-of-bag R2 {quality.r2:.2f}, chance reaches {quality.null:.2f}); "
        "the shares are a first impression only."
    )


def more_trials(part: Part, *, trusted: bool) -> int | None:
    """How many more would probably do, from the effect seen so far against what varies beside it;
    None when too little is seen to tell."""
    return _for_a_rule(part) if trusted else _for_trust(part)


def _for_a_rule(part: Part) -> int | None:
    """Until the strongest main effect passes the test of rules with 80% power.

    The normal deviate of its p-value grows with the root of the number of configurations, if the
    next ones are spread over the ranges.
    """
    n, normal = part.n_configurations, NormalDist()
    strongest = min(reading.curve.p_value for reading in part.readings)
    seen = -normal.inv_cdf(min(max(strongest, 1e-9), 0.999))
    wanted = -normal.inv_cdf(FALSE_RATE / len(part.readings)) + POWER
    if seen * math.sqrt(MOST_TIMES) < wanted:
        return None
    return max(math.ceil(n * (wanted / seen) ** 2) - n, n // 2) if seen > 0 else None


def _for_trust(part: Part) -> int | None:
    """Until the forest beats its null.

    A correlation r between prediction and value, the root of the share of variance that is no
    noise, is told from chance, one-sided at 5% and with 80% power, by
    3 + ((1.645 + 0.842) / atanh(r))^2 configurations (Fisher's z). Small samples overstate r, so
    it is shrunk by its own standard error.
    """
    n, n_axes = part.n_configurations, len(part.readings)
    seen = max(part.quality.rank_correlation, math.sqrt(max(part.quality.r2, 0.0)))
    shrunk = seen - 0.5 / math.sqrt(max(n - 3, 1))
    if shrunk <= 0.05 and n >= 10 * n_axes:
        return None
    needed = 3 + (2.487 / math.atanh(min(max(shrunk, 0.25), 0.95))) ** 2
    return max(math.ceil(needed), 5 * n_axes, 2 * MIN_CONFIGURATIONS, n + 10) - n


def next_steps(
    frame: Frame, more: int | None, rules: Sequence[Rule], *, trusted: bool
) -> tuple[str, ...]:
    """Commands, lines of Python or of a study.toml, each with what it is for behind a #."""
    steps = [] if more is None else [_run(frame, more, spread=trusted)]
    axes = {axis.name: axis for axis in frame.axes}
    for rule in rules:
        if rule.kind == "edge" and rule.unit_low is not None:
            wider = _wider(axes[rule.param], at_top=rule.unit_low > 0.5)
            steps += [] if wider is None else [_suggest(frame, axes[rule.param], *wider)]
    return tuple(steps)


def _run(frame: Frame, more: int, *, spread: bool) -> str:
    """`spread`: where what is sought is known to be there, a sampler that crowds round the best
    values seen would show little more of the rest."""
    why = f"  # {more} more trials would probably tell"
    if frame.made_by is None:
        first = "study.sampler = optuna.samplers.RandomSampler(); " if spread else ""
        return f"{first}study.optimize(objective, n_trials={more}){why}"
    study, preset = frame.made_by
    design = " --design-share 1" if spread else ""
    return f"hpsearch run {shlex.quote(study)} --preset {preset} --trials {more}{design}{why}"


def _wider(axis: Axis, *, at_top: bool) -> tuple[float, float] | None:
    """The range and half of it again where the best value lies; None where nothing lies beyond.

    A range from 0, or one to 1, is taken to end there by the parameter's nature, like a share.
    """
    low, high = axis.low, axis.high
    if (at_top and high == 1.0) or (not at_top and low == 0.0):
        return None
    if axis.log and low > 0:
        more = (high / low) ** WIDEN_BY
        return (low, high * more) if at_top else (low / more, high)
    more = (high - low) * WIDEN_BY
    if axis.kind == "int":
        more = max(round(more), 1)
    return (low, high + more) if at_top else (max(low - more, 0.0) if low > 0 else low - more, high)


def _suggest(frame: Frame, axis: Axis, low: float, high: float) -> str:
    why = "  # its best value lies at the edge of the range"
    if frame.made_by is not None:
        return f"[space.{axis.name}]  low = {_number(low)}  high = {_number(high)}{why}"
    kind, log = ("int" if axis.kind == "int" else "float"), ", log=True" if axis.log else ""
    return f'trial.suggest_{kind}("{axis.name}", {_number(low)}, {_number(high)}{log}){why}'


def _number(value: float) -> str:
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.3g}"
