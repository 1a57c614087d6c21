"""Studies of one's own code: what they need not say, and how a function alone becomes a study."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from hpsearch.errors import InputError
from hpsearch.study.given_space import space_content
from hpsearch.study.metric_names import more_is_better
from hpsearch.study.space import ChoiceParam, FloatParam, IntParam, from_unit, parse_param
from hpsearch.study.trainers import is_own, own_trainer

Param = FloatParam | IntParam | ChoiceParam

TRIALS = 50
"""How many trials a run of a study without presets has where neither it nor the run says."""
PLACE = re.compile(r"(?:(?P<folder>.*)/)?(?P<module>[^/:]+?)(?:\.py)?:(?P<function>[^/:]+)")


@dataclass(frozen=True)
class Place:
    """A function as a person names it: "module:function", and the folder of the module; None for
    a function that this process alone has. Both together, folder/module:function, stand for a study
    file: `load_spec` takes that, too."""

    name: str
    folder: Path | None


def place_of(text: str) -> Place | None:
    """The function that is meant by shop:objective, shop.py:objective or folder/shop:objective;
    None if it is none of them. A folder counts from the current one."""
    found = PLACE.fullmatch(text)
    if found is None or "://" in text:
        return None
    folder = Path(found["folder"] or ("/" if text.startswith("/") else ".")).expanduser()
    return Place(f"{found['module']}:{found['function']}", folder.absolute())


def no_module(path: Path) -> Path:
    """The path of a study file. Raises InputError for a Python file without one of its functions.

    Example:
        >>> no_module(Path("study.toml")).name
        'study.toml'
    """
    if path.suffix == ".py":
        raise InputError(f"Which function of {path} is it? Write {path}:FUNCTION.")
    return path


def content_of(place: Place, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a study.toml of a function alone would say, with what was `given` beside it."""
    name = place.name.removeprefix("__main__:").replace(":", ".")
    return {"name": name, "trainer": place.name, **given}


def fill_in(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a study of one's own code, with the metric and the direction that it leaves
    out: `profit` is to rise. Where neither the metric's name nor the function's says a direction,
    lower is better."""
    metric = content.get("metric") or own_trainer(content["trainer"]).metric
    names = (str(metric), str(content["trainer"]).rpartition(":")[2])
    said = [found for found in map(more_is_better, names) if found is not None]
    direction = "maximize" if said[:1] == [True] else "minimize"
    return {"data": {}, "space": {}, "direction": direction, **content, "metric": metric}


def is_own_content(content: object) -> bool:
    """Whether the content of a study file names one's own code as its trainer."""
    if not isinstance(content, Mapping):
        return False
    trainer = content.get("trainer")
    return isinstance(trainer, str) and is_own(trainer)


def with_default(where: str, content: Mapping[str, Any]) -> Param:
    """A parameter that may leave out its default: the middle of its range then."""
    if "default" in content:
        return parse_param(where, dict(content))
    stand_in = content.get("low")
    if content.get("type") == "choice" and isinstance(content.get("choices"), list):
        stand_in = next(iter(content["choices"]), None)
    parsed = parse_param(where, {**content, "default": stand_in})
    return parsed.model_copy(update={"default": _middle(parsed)})


def declared_space(
    space: Mapping[str, Any], when: Mapping[str, Mapping[str, Sequence[Any]]]
) -> dict[str, dict[str, Any]]:
    """What one's own code declares, as the [space] of a study.toml has it."""
    content = space_content(space)
    return {
        name: {**one, "when": dict(when[name])} if name in when else one
        for name, one in content.items()
    }


def with_defaults(space: Mapping[str, Mapping[str, Any]]) -> dict[str, Param]:
    """The parameters that one's own code declares. Raises InputError for what is no range."""
    try:
        return {name: with_default(f"space.{name}", one) for name, one in space.items()}
    except ValueError as error:
        raise InputError(f"What the code declares cannot be searched: {error}.") from error


def _middle(param: Param) -> Any:  # noqa: ANN401
    if isinstance(param, ChoiceParam):
        return param.choices[0]
    found = from_unit(param.distribution(), 0.5)
    if isinstance(param, IntParam):
        return found
    return float(f"{found:.3g}") if _holds(param.distribution(), float(f"{found:.3g}")) else found


def with_functions_defaults(
    space: Mapping[str, Param], declared: Mapping[str, Mapping[str, Any]], own: Mapping[str, Any]
) -> dict[str, Param]:
    """The space with the function's `own` defaults where the study declares none."""
    found = {}
    for name, param in space.items():
        found[name] = param
        if name in own and "default" not in declared.get(name, {}):
            distribution = param.distribution()
            if _holds(distribution, own[name]):
                kept = distribution.to_external_repr(distribution.to_internal_repr(own[name]))
                found[name] = param.model_copy(update={"default": kept})
    return found


def _holds(distribution: BaseDistribution, value: Any) -> bool:  # noqa: ANN401
    """Whether it may take the value, for which a truth value is no number."""
    if isinstance(value, bool) and not isinstance(distribution, CategoricalDistribution):
        return False
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except (ValueError, TypeError):
        return False
