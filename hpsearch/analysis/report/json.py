"""The explanation as JSON, `"schema": "hpsearch.explain/1"`.

explain-1.schema.json, beside this file, is its JSON Schema: every key with its unit and meaning.
Numbers have six digits; those that are not finite are null.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from hpsearch.analysis.effects.grids import Surface, build_grid
from hpsearch.analysis.report.front import front_data
from hpsearch.analysis.report.shared import column_of, to_json_types
from hpsearch.analysis.results import Results
from hpsearch.analysis.views.ice import spread
from hpsearch.core.words import assignments

SCHEMA = "hpsearch.explain/1"
DIGITS = 6
MAX_SIDE = 26  # points of a surface along one axis


def to_dict(explanation: Results) -> dict[str, Any]:
    """Plain lists, dictionaries, numbers, strings and None."""
    e = explanation
    more = {
        "good_region": _good_region(e),
        "second_opinions": [asdict(opinion) for opinion in e.second_opinions],
        "effects": [{**asdict(effect), "ice": _ice(e, effect.param)} for effect in e.effects],
        "surfaces": [_surface(surface) for surface in e.surfaces],
    }
    several = {
        "front": None if e.front is None else to_json_types(front_data(e.front), DIGITS),
        "objectives": [to_dict(other) for other in e.others],
    }
    return {**facts(e), **to_json_types(more, DIGITS), **several}


def facts(explanation: Results) -> dict[str, Any]:
    """What costs nothing to say: all of the document but effects and second opinions."""
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
        "next_steps": e.next_steps,
        "quality": asdict(e.quality),
        "noise": asdict(e.noise),
        "worth": e.worth,
        "best": {
            "trial": e.best_trial,
            "value": e.best_value,
            "params": e.best_params,
            "line": assignments(e.best_params),
        },
        "importances": [asdict(importance) for importance in e.importances],
        "remainder": e.remainder,
        "rules": [{**asdict(rule), "statement": rule.statement} for rule in e.rules],
        "recommendation": _recommendation(e),
        "tunability": None if e.tunability is None else asdict(e.tunability),
        "failures": _failures(e),
        "notes": e.notes,
        "versions": e.versions,
    }
    plain: dict[str, Any] = to_json_types(document, DIGITS)
    return plain


def render_json(explanation: Results) -> str:
    return json.dumps(to_dict(explanation), indent=1, ensure_ascii=False, allow_nan=False)


@lru_cache(maxsize=1)
def json_schema() -> dict[str, Any]:
    """The JSON Schema that `to_dict`'s documents follow."""
    schema: dict[str, Any] = json.loads(
        Path(__file__).with_name("explain-1.schema.json").read_text(encoding="utf-8")
    )
    return schema


def _recommendation(e: Results) -> dict[str, Any] | None:
    if e.recommendation is None:
        return None
    advised = e.recommendation
    return {**asdict(advised), "line": advised.line, "statement": advised.statement}


def _failures(e: Results) -> dict[str, Any]:
    frame = e.frame
    curves = []
    for param, rate in e.failures.curves.items():
        column = column_of(e, param)
        values = build_grid(frame.axes[column], frame.unit[:, column]).values()
        curves.append({"param": param, "values": values, "rate": rate})
    return {"rate": e.failures.rate, "n_failed": e.failures.n_failed, "curves": curves}


def _good_region(e: Results) -> dict[str, Any]:
    found = e.good_region()
    shares = [{"params": params, "share": share} for params, share in found.shares.items()]
    return {"quantile": found.quantile, "limit": found.limit, "importances": shares}


def _ice(e: Results, param: str) -> dict[str, Any]:
    found = e.ice(param)
    return {"trials": found.trials, "values": found.values, "curves": found.curves}


def _surface(surface: Surface) -> dict[str, Any]:
    """At most MAX_SIDE points along each axis."""
    right, up = spread(len(surface.x), MAX_SIDE), spread(len(surface.y), MAX_SIDE)
    return {
        "params": surface.params,
        "x": [surface.x[i] for i in right],
        "y": [surface.y[i] for i in up],
        "z": surface.z[np.ix_(up, right)],
    }
