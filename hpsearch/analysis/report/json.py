"""The explanation as JSON, `"schema": "hpsearch.explain/1"`.

Top level: schema, study, metric, direction, level, surrogate, seed, trials (counts), trusted,
reason, more_trials, quality {r2, rank_correlation, null}, noise {value, source}, best {value,
params}, importances [{params, share, low, high, active, within}], remainder, effects [{param, log,
categorical, values, unit, mean, low, high, best, best_low, best_high, region, active}], rules
[{param, kind, value, low, high, ..., statement}], failures {rate, n_failed, curves}, notes,
versions. Numbers that are not finite are null.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

import numpy as np

from hpsearch.analysis.explanation import Explanation

SCHEMA = "hpsearch.explain/1"


def to_dict(explanation: Explanation) -> dict[str, Any]:
    """Plain lists, dictionaries, numbers, strings and None."""
    e = explanation
    document = {
        "schema": SCHEMA,
        "study": e.study,
        "metric": e.metric,
        "direction": "maximize" if e.maximize else "minimize",
        "level": e.level,
        "surrogate": e.surrogate,
        "seed": e.seed,
        "trials": {
            "all": e.n_trials,
            "complete": e.n_complete,
            "pruned": e.n_pruned,
            "failed": e.n_failed,
            "configurations": e.n_configurations,
            "cohorts": e.cohorts,
        },
        "trusted": e.trusted,
        "reason": e.reason,
        "more_trials": e.more_trials,
        "quality": asdict(e.quality),
        "noise": asdict(e.noise),
        "best": {"value": e.best_value, "params": e.best_params},
        "importances": [asdict(importance) for importance in e.importances],
        "remainder": e.remainder,
        "effects": [asdict(effect) for effect in e.effects],
        "rules": [{**asdict(rule), "statement": rule.statement} for rule in e.rules],
        "failures": asdict(e.failures),
        "notes": e.notes,
        "versions": e.versions,
    }
    plain: dict[str, Any] = _plain(document)
    return plain


def render_json(explanation: Explanation) -> str:
    return json.dumps(to_dict(explanation), indent=1, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:  # noqa: ANN401 - walks any of JSON's types
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
