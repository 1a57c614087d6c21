"""What `explain` says of one study, as a line of JSON: nothing in it depends on the truth.

So lines stay good when a measure changes; `score` compares them with the truth. Positions are on
the sampling scale.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import optuna

from hpsearch.analysis import explain
from hpsearch.errors import InputError


def said(study: optuna.Study, seed: int) -> dict[str, Any]:
    """Rules, shares and recommended values of a study, and the seconds that explaining took."""
    started = time.process_time()
    try:
        found = explain(study, seed=seed)
    except InputError as error:
        return {"refused": str(error), "trusted": False, "rules": [], "main": {}, "pairs": {}}
    seconds = time.process_time() - started
    axes = {axis.name: axis for axis in found.frame.axes}

    def unit(name: str, value: Any) -> float:
        return float(axes[name].to_unit([value])[0])

    shares = {i.params: [float(v) for v in (i.share, i.low, i.high)] for i in found.importances}
    sign = 1 if found.maximize else -1
    advised = found.recommendation
    return {
        "trusted": found.trusted,
        "seconds": seconds,
        "r2": float(found.quality.r2),
        "noise": float(found.noise.value),
        "more": found.more_trials,
        "best": {
            name: unit(name, value) for name, value in found.best_params.items() if name in axes
        },
        "curves": {e.param: float(e.unit[np.argmax(sign * e.mean)]) for e in found.effects},
        "rules": [_rule(rule, unit) for rule in found.rules],
        "advised": None
        if advised is None
        else {
            "at": {
                name: unit(name, value) for name, value in advised.params.items() if name in axes
            },
            "predicted": _estimate(advised.predicted),
            "failures": float(advised.failures),
            "rules_hold": advised.rules_hold,
        },
        "main": {key[0]: share for key, share in shares.items() if len(key) == 1},
        "pairs": {",".join(key): share for key, share in shares.items() if len(key) == 2},
    }


def _rule(rule: Any, unit: Any) -> dict[str, Any]:
    at = unit(rule.param, rule.value)
    pieces = rule.unit_pieces
    if not pieces:  # a category, with those that are not clearly worse
        pieces = [[one, one] for one in (at, *(unit(rule.param, v) for v in rule.alternatives))]
    return {
        "param": rule.param,
        "kind": rule.kind,
        "at": at,
        "pieces": [[float(v) for v in piece] for piece in pieces],
        "epsilon": rule.worth,
        "gain": _estimate(rule.gain),
        "gain_worst": _estimate(rule.gain_worst),
        "flags": list(rule.flags),
        "partner": rule.partner,
    }


def _estimate(one: Any) -> list[float] | None:
    return None if one is None else [float(v) for v in (one.value, one.low, one.high)]
