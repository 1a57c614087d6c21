"""Studies: what a study.toml may say, and the one sentence it gets when it says something else."""

from __future__ import annotations

import difflib
import importlib
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from hpsearch.errors import InputError
from hpsearch.training.contract import Trainer

TRAINERS = {
    "text-classifier": ("hpsearch.text.config:ClassifierConfig", "hpsearch.text.train_classifier"),
}
"""Trainer name -> (its config dataclass, which imports no torch; its module)."""

PRESETS = ("quick", "cpu", "full")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class FloatParam(_Strict):
    """A number, drawn uniformly between low and high, or uniformly in its logarithm."""

    type: Literal["float"] = "float"
    low: float
    high: float
    log: bool = False
    default: float
    help: str = ""

    @model_validator(mode="after")
    def _check(self) -> FloatParam:
        _check_range(self.low, self.high, self.default, log=self.log)
        return self

    def distribution(self) -> BaseDistribution:
        return FloatDistribution(self.low, self.high, log=self.log)


class IntParam(_Strict):
    """A whole number from low to high, both included."""

    type: Literal["int"]
    low: int
    high: int
    log: bool = False
    step: Annotated[int, Field(ge=1)] = 1
    default: int
    help: str = ""

    @model_validator(mode="after")
    def _check(self) -> IntParam:
        _check_range(self.low, self.high, self.default, log=self.log)
        if self.log and self.step != 1:
            raise ValueError("log and step cannot go together; drop one")
        if (self.default - self.low) % self.step:
            raise ValueError(f"the default {self.default} is not a multiple of the step from low")
        return self

    def distribution(self) -> BaseDistribution:
        return IntDistribution(self.low, self.high, log=self.log, step=self.step)


class ChoiceParam(_Strict):
    """One of a few values without an order."""

    type: Literal["choice"]
    choices: Annotated[list[bool | int | float | str], Field(min_length=1)]
    default: bool | int | float | str
    help: str = ""

    @model_validator(mode="after")
    def _check(self) -> ChoiceParam:
        if len({(type(choice), choice) for choice in self.choices}) < len(self.choices):
            raise ValueError("a choice stands twice; keep one of each")
        if self.default not in self.choices:
            raise ValueError(f"the default {self.default!r} is not among the choices")
        return self

    def distribution(self) -> BaseDistribution:
        return CategoricalDistribution(self.choices)


Param = Annotated[FloatParam | IntParam | ChoiceParam, Field(discriminator="type")]


class Preset(_Strict):
    """How much one run may cost: trials, the sizes that trials share, and narrower ranges."""

    trials: Annotated[int, Field(ge=1)]
    settings: dict[str, Any] = {}
    space: dict[str, dict[str, Any]] = {}


@dataclass(frozen=True)
class ResolvedPreset:
    """A study at one size: everything a run needs to know."""

    name: str
    trials: int
    settings: dict[str, Any]
    space: dict[str, FloatParam | IntParam | ChoiceParam]

    @cached_property
    def distributions(self) -> dict[str, BaseDistribution]:
        return {name: param.distribution() for name, param in self.space.items()}

    @cached_property
    def defaults(self) -> dict[str, Any]:
        return {name: param.default for name, param in self.space.items()}


class StudySpec(_Strict):
    """A study.toml: data, trainer, metric, search space with defaults, and presets."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]
    title: str = ""
    trainer: str
    metric: str
    direction: Literal["maximize", "minimize"]
    data: dict[str, Any]
    settings: dict[str, Any] = {}
    space: Annotated[dict[str, dict[str, Any]], Field(min_length=1)]
    presets: dict[Literal["quick", "cpu", "full"], Preset] = {}

    @model_validator(mode="after")
    def _check(self) -> StudySpec:
        if self.trainer not in TRAINERS:
            raise ValueError(
                f"trainer: {self.trainer!r} is none of {', '.join(TRAINERS)}"
                f"{_nearest(self.trainer, TRAINERS)}"
            )
        for preset in (None, *self.presets):
            resolved = self._merge(preset)
            _check_config(self.trainer, resolved)
        return self

    def resolve(self, preset: str) -> ResolvedPreset:
        """The study at the size of `preset`: one of its presets, or auto.

        Raises InputError if the study has no such preset.
        """
        if preset == "auto":
            preset = _preset_for_device(tuple(self.presets))
        if preset not in self.presets:
            have = ", ".join(self.presets) or "none"
            raise InputError(
                f"Study {self.name} has no preset {preset!r}; "
                f"choose --preset auto or one of its own: {have}."
            )
        return self._merge(preset)

    def base(self) -> ResolvedPreset:
        """The study's whole space and its settings, without any preset's changes."""
        return self._merge(None)

    def _merge(self, preset: str | None) -> ResolvedPreset:
        given = self.presets[cast(Any, preset)] if preset else Preset(trials=1)
        where = f"presets.{preset}.space" if preset else "space"
        unknown = sorted(set(given.space) - set(self.space))
        if unknown:
            raise ValueError(
                f"{where}.{unknown[0]}: the study's space has no such parameter"
                f"{_nearest(unknown[0], self.space)}"
            )
        space = {
            name: _parse_param(
                f"{where}.{name}", {"type": "float", **param, **given.space.get(name, {})}
            )
            for name, param in self.space.items()
        }
        return ResolvedPreset(
            preset or "none", given.trials, merge_settings(self.settings, given.settings), space
        )

    def trainer_module(self) -> Trainer:
        """The trainer's module (this is where torch is imported)."""
        return cast(Trainer, importlib.import_module(TRAINERS[self.trainer][1]))


def merge_settings(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over` put in, tables merged key by key."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge_settings(merged[key], value) if both else value
    return merged


def builtin_folder() -> Path:
    """Where the shipped studies lie: inside the wheel, or beside the package in a checkout."""
    inside = Path(__file__).parent / "builtin_studies"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "studies"


def builtin_names() -> list[str]:
    return sorted(path.parent.name for path in builtin_folder().glob("*/study.toml"))


def load_spec(study: str | Path) -> StudySpec:
    """The study called `study`: a built-in name, or a path to a study.toml or to its folder.

    Raises InputError in one sentence that names the file, the key and the reason.
    """
    path = Path(study)
    if str(study) in builtin_names():
        path = builtin_folder() / str(study) / "study.toml"
    elif path.is_dir() and (path / "study.toml").is_file():
        path = path / "study.toml"
    elif not path.is_file():
        names = builtin_names()
        raise InputError(
            f"There is no study {str(study)!r}{_nearest(str(study), names)}: give one of "
            f"{', '.join(names)} or a path to a study.toml."
        )
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError(f"{path} cannot be read: {reason}.") from error
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not valid TOML: {error}.") from error
    data = content.get("data")
    if isinstance(data, dict) and isinstance(data.get("path"), str):
        # Relative to the file that says it, wherever the command is typed.
        data["path"] = str(path.parent.absolute() / Path(data["path"]).expanduser())
    try:
        return StudySpec.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: {_first_problem(error)}.") from error


def _parse_param(where: str, content: dict[str, Any]) -> FloatParam | IntParam | ChoiceParam:
    try:
        return _PARAM.validate_python(content)
    except ValidationError as error:
        raise ValueError(_first_problem(error, where)) from error


_PARAM: TypeAdapter[FloatParam | IntParam | ChoiceParam] = TypeAdapter(Param)


def _check_range(low: float, high: float, default: float, *, log: bool) -> None:
    if not all(map(math.isfinite, (low, high, default))):
        raise ValueError("low, high and default must be finite numbers")
    if low > high:
        raise ValueError(f"low {low} is above high {high}; swap them")
    if log and low <= 0:
        raise ValueError(f"a log scale needs low > 0, not {low}; raise low or drop log")
    if not low <= default <= high:
        raise ValueError(f"the default {default} lies outside {low} to {high}")


def _check_config(trainer: str, resolved: ResolvedPreset) -> None:
    """That the trainer knows every setting and parameter, and takes the parameters' defaults."""
    module, name = TRAINERS[trainer][0].split(":")
    config = getattr(importlib.import_module(module), name)
    where = "settings" if resolved.name == "none" else f"presets.{resolved.name}.settings"
    try:
        TypeAdapter(config).validate_python({**resolved.settings, **resolved.defaults})
    except ValidationError as error:
        key = str(error.errors()[0]["loc"][0]) if error.errors()[0]["loc"] else ""
        known = list(getattr(config, "__dataclass_fields__", {}))
        hint = _nearest(key, known) if error.errors()[0]["type"].startswith("unexpected") else ""
        problem = _first_problem(error, "space" if key in resolved.space else where)
        raise ValueError(problem + hint) from error


def _first_problem(error: ValidationError, where: str = "") -> str:
    """'key: reason' of the first thing that pydantic found, and how many more there are."""
    # A key nobody knows is often the reason why another is missing.
    problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    first = problems[0]
    tags = {"float", "int", "choice"}
    path = [str(part) for part in first["loc"] if not (where and str(part) in tags)]
    key = ".".join(([where] if where else []) + path)
    reason = first["msg"].removeprefix("Value error, ")
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        reason = "there is no such key"
    elif first["type"] == "missing":
        reason = "this key is required"
    else:
        reason = reason[0].lower() + reason[1:] if reason[:1].isupper() else reason
        if first["type"].endswith(("_type", "_parsing")) and "input" in first:
            reason += f", not {first['input']!r}"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return (f"{key}: {reason}" if key else reason) + more


def _nearest(name: str, names: Mapping[str, Any] | list[str]) -> str:
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""


def _preset_for_device(have: tuple[str, ...]) -> str:
    import torch

    wanted = ("full", "cpu", "quick") if torch.cuda.is_available() else ("cpu", "quick", "full")
    return next((preset for preset in wanted if preset in have), wanted[0])
