"""What to do next: how many more trials, or which range to widen, as text to paste."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Sequence
from statistics import NormalDist

from hpsearch.analysis.effects.one_subspace import MIN_CONFIGURATIONS, SubspaceResults
from hpsearch.analysis.read.axes import Axis
from hpsearch.analysis.read.frame import Frame
from hpsearch.analysis.rules.recommendation import Recommendation
from hpsearch.analysis.rules.rules import FALSE_RATE, Rule
from hpsearch.study.own import content_of, place_of
from hpsearch.study.settings import ONLY

POWER = 0.842
"""The normal deviate of 80%."""
MOST_TIMES = 20
"""Nobody runs more than so many times the trials that there are."""
WIDEN_BY = 0.5  # of the range on the sampling scale, beyond the edge at which the best value lies


def reason(found: SubspaceResults, advised: Recommendation | None, *, trusted: bool) -> str:
    """Why there are no rules, for a person who just spent an hour on trials."""
    if advised is not None and not advised.rules_hold:
        return "What single parameters say does not hold for all of them together."
    n, quality = found.n_configurations, found.quality
    if trusted:
        return "The trials tell parameters apart, but not yet surely enough for a rule."
    if n < found.enough:
        return (
            f"{n} different configurations are too few to tell {len(found.curves)} parameters "
            "from luck; the shares are a first impression only."
        )
    return (
        f"From {n} configurations the parameters do not predict the metric better than chance "
        f"(out-of-bag R2 {quality.r2:.2f}, chance reaches {quality.null:.2f}); "
        "the shares are a first impression only."
    )


def more_trials(found: SubspaceResults, *, trusted: bool) -> int | None:
    """Estimate how many more trials are probably enough; None if the trials show too little.

    The estimate compares the effect seen so far with the variation that the effect does not
    explain.
    """
    return _for_a_rule(found) if trusted else _for_trust(found)


def _for_a_rule(found: SubspaceResults) -> int | None:
    """How many more trials the strongest main effect needs to pass the rules' test at 80% power.

    The normal deviate of its p-value grows with the root of the number of configurations, if the
    next ones are spread over the ranges.
    """
    n, normal = found.n_configurations, NormalDist()
    strongest = min(curve.p_value for curve in found.curves)
    seen = -normal.inv_cdf(min(max(strongest, 1e-9), 0.999))
    wanted = -normal.inv_cdf(FALSE_RATE / len(found.curves)) + POWER
    if seen * math.sqrt(MOST_TIMES) < wanted:
        return None
    return max(math.ceil(n * (wanted / seen) ** 2) - n, n // 2) if seen > 0 else None


def _for_trust(found: SubspaceResults) -> int | None:
    """How many more trials the forest needs to be better than its null.

    r is the correlation between prediction and value. It is the square root of the share of
    variance that is not noise. A one-sided test at 5% finds r with 80% power if there are
    3 + ((1.645 + 0.842) / atanh(r))^2 configurations (Fisher's z). In small samples r is too large,
    so its standard error is subtracted first.
    """
    n, n_axes = found.n_configurations, len(found.curves)
    seen = max(found.quality.rank_correlation, math.sqrt(max(found.quality.r2, 0.0)))
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
            axis = axes[rule.param]
            at_top = axis.to_unit([rule.value])[0] > 0.5  # its interval may begin far below
            wider = _wider(axis, at_top=at_top)
            steps += [] if wider is None else [_suggest(frame, axis, *wider)]
    return tuple(steps)


def _run(frame: Frame, more: int, *, spread: bool) -> str:
    """The command or the line of Python that runs `more` trials.

    `spread`: draw the trials from the whole space. This is for a forest that is trusted, so that
    effects are known to exist. A sampler that learns would draw most trials near the best values
    seen, and would show little more of the rest.
    """
    why = f"  # {more} more trials would probably tell"
    if frame.made_by is None:
        first = "study.sampler = optuna.samplers.RandomSampler(); " if spread else ""
        return f"{first}study.optimize(objective, n_trials={more}){why}"
    study, preset = frame.made_by
    design = " --design-share 1" if spread else ""
    sized = "" if preset == ONLY else f" --preset {preset}"
    named = _name_of_function(study, frame.study)
    return f"hpsearch run {shlex.quote(study)}{named}{sized} --trials {more}{design}{why}"


def _name_of_function(typed: str, study: str) -> str:
    """The option without which the function means another study: the one of its own name."""
    place = place_of(typed)
    if place is None or content_of(place, {})["name"] == study:
        return ""
    return f" --name {shlex.quote(study)}"


def _wider(axis: Axis, *, at_top: bool) -> tuple[float, float] | None:
    """The range and half of it again where the best value lies; None where nothing lies beyond.

    A range from 0, or one to 1, is taken to end there by the parameter's nature, like a share, and
    so is one of whole numbers from 1 on a logarithmic scale, which has no lower ones.
    """
    low, high, whole = axis.low, axis.high, axis.kind == "int"
    ends_at_one = whole and axis.log and low <= 1
    if (at_top and high == 1.0) or (not at_top and (low == 0.0 or ends_at_one)):
        return None
    if axis.log and low > 0:
        factor = (high / low) ** WIDEN_BY
        new = high * factor if at_top else low / factor
        if whole:
            new = max(round(new), 1)
    else:
        more, step = (high - low) * WIDEN_BY, axis.step
        if step is not None:  # the new end is a value that the parameter can take
            more = math.ceil(more / step - 1e-9) * step
        if not at_top and low > 0:  # nor does it change its sign
            more = min(more, low if step is None else low // step * step)
        new = high + more if at_top else low - more
    new = float(f"{new:.12g}")  # a sum of steps, such as .1 + .2, as a person writes it
    if new == (high if at_top else low):
        return None
    return (low, new) if at_top else (new, high)


def _suggest(frame: Frame, axis: Axis, low: float, high: float) -> str:
    why = "  # its best value lies at the edge of the range"
    if frame.made_by is not None:
        return f"[space.{axis.name}]  low = {_number(low)}  high = {_number(high)}{why}"
    kind = "int" if axis.kind == "int" else "float"
    plain = axis.step is None or (kind == "int" and axis.step == 1)
    how = ", log=True" if axis.log else "" if plain else f", step={_number(axis.step or 1)}"
    return (
        f"trial.suggest_{kind}({json.dumps(axis.name)}, {_number(low)}, {_number(high)}{how}){why}"
    )


def _number(value: float) -> str:
    """Whole numbers in full, others with as many digits as tell them from their neighbours."""
    return f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.6g}"
