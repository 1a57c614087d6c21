"""What a study is where its file says nothing: metric, direction, space and presets.

They are those of the built-in study of the same trainer, or of the one that the file names in
`like`. A [space] of the file's own replaces the whole space; with `like` it changes a part of it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from hpsearch.core.words import nearest
from hpsearch.errors import HpsearchError, InputError
from hpsearch.study.metric_names import more_is_better
from hpsearch.study.settings import merge_settings
from hpsearch.study.trainers import table_looker

LIKE = {
    "text-classifier": "rt-clas",
    "language-model": "imdb-lm",
    "ulmfit": "imdb-ulmfit",
    "tabular": "adult",
    "collab": "movielens",
}
"""The study that a trainer's studies are like if they do not say otherwise."""
AUTO_RANGE = {
    "type": "choice",
    "choices": ["auto", "none"],
    "default": "auto",
    "help": "predictions lie within the ratings' own range, or anywhere",
}


class UnknownStudyError(InputError):
    """No built-in study, file or function has this name."""


def builtin_folder() -> Path:
    """Where the shipped studies lie: inside the wheel, or beside the package in a checkout."""
    inside = Path(__file__).parents[1] / "builtin_studies"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "studies"


def builtin_names() -> list[str]:
    return sorted(path.parent.name for path in builtin_folder().glob("*/study.toml"))


def completed(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a study.toml with what it leaves out.

    What is of a wrong type stays: the check of the whole study says so. Raises ValueError if `like`
    names no study of this trainer, and if the direction or the kind of target cannot be found out.
    """
    given = {key: value for key, value in content.items() if key != "like"}
    trainer, data = given.get("trainer"), given.get("data")
    like = content.get("like", LIKE.get(str(trainer)))
    if like is None or not isinstance(data, dict):
        return given
    model = _like(str(like), str(trainer))
    space = _tables(given.get("space"), model["space"])
    if space is not None and ("like" in content or not given.get("space")):
        changes = space
        space = _for_own_data(str(trainer), model["space"], data)
        given["space"] = {**space, **{n: {**space.get(n, {}), **c} for n, c in changes.items()}}
    if "presets" not in given:
        given["presets"] = _presets(model.get("presets", {}), given)
    if "metric" not in given:
        aim = _aim(str(trainer), model, data)
        given = {**given, "metric": aim.metric, "direction": given.get("direction", aim.direction)}
    elif "direction" not in given and isinstance(given["metric"], str):
        given["direction"] = _direction(given["metric"])
    return given


def _like(name: str, trainer: str) -> dict[str, Any]:
    content = _builtin(name) if name in builtin_names() else {}
    if content.get("trainer") != trainer:
        same = [one for one in builtin_names() if _builtin(one)["trainer"] == trainer]
        raise ValueError(
            f"like: {name!r} is no built-in study of the trainer {trainer}{nearest(name, same)}: "
            f"{'name ' + ' or '.join(same) if same else 'leave it out'}"
        )
    return deepcopy(content)


@lru_cache
def _builtin(name: str) -> dict[str, Any]:
    return tomllib.loads((builtin_folder() / name / "study.toml").read_text("utf-8"))


def _tables(space: object, known: Mapping[str, Any]) -> dict[str, dict[str, Any]] | None:
    """The file's own [space]; None if it is not of tables."""
    if space is None:
        return {}
    if isinstance(space, dict) and all(isinstance(param, dict) for param in space.values()):
        return dict(space)
    return None


def _for_own_data(
    trainer: str, space: dict[str, Any], data: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Ratings of one's own have another range than the built-in study's."""
    if trainer != "collab" or data.get("source") is not None:
        return space
    if data.get("rating") is None:
        return {name: param for name, param in space.items() if name != "y_range"}
    return {**space, "y_range": AUTO_RANGE}


def _presets(presets: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The built-in presets: the file's own settings go before theirs, and its [space] may lack
    parameters that they change."""
    own, space = given.get("settings", {}), given.get("space")
    if not isinstance(own, dict) or not isinstance(space, dict):
        return dict(presets)
    made = {}
    for name, preset in presets.items():
        changed = {**preset, "settings": merge_settings(preset.get("settings", {}), own)}
        for part in (changed, scratch := dict(preset.get("from_scratch", {}))):
            if "space" in part:
                part["space"] = {n: p for n, p in part["space"].items() if n in space}
        made[name] = changed | ({"from_scratch": scratch} if scratch else {})
    return made


class _Aim(NamedTuple):
    metric: str
    direction: str


def _aim(trainer: str, model: Mapping[str, Any], data: dict[str, Any]) -> _Aim:
    """What is optimised, by what there is to predict."""
    if trainer == "tabular" and data.get("source") is None and _is_of_numbers(data):
        return _Aim("rmse", "minimize")
    if trainer == "collab" and data.get("source") is None and data.get("rating") is None:
        return _Aim("ndcg", "maximize")
    if trainer in ("text-classifier", "ulmfit") and data.get("labels") is not None:
        return _Aim("f1_micro", "maximize")
    return _Aim(model["metric"], model["direction"])


def _is_of_numbers(data: Mapping[str, Any]) -> bool:
    """Whether a table's target is of numbers; the table is read only if its study does not say."""
    task = data.get("task", "auto")
    if task != "auto":
        return bool(task == "regression")
    target = str(data.get("target", "target"))
    try:
        return table_looker().task_of(data) == "regression"
    except (HpsearchError, KeyError) as error:
        raise ValueError(
            f"metric: it depends on whether {target!r} is of classes or numbers, and its table "
            'cannot be read now: add metric = "accuracy" or "rmse"'
        ) from error


def _direction(metric: str) -> str:
    more = more_is_better(metric)
    if more is None:
        raise ValueError(
            f"direction: the name of {metric!r} does not tell whether more of it is better: "
            'add direction = "maximize" or "minimize"'
        )
    return "maximize" if more else "minimize"
