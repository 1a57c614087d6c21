"""Studies: what a study.toml may say, and the one sentence it gets when it says something else."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from optuna.distributions import BaseDistribution
from pydantic import Field, PrivateAttr, TypeAdapter, ValidationError, model_validator

from hpsearch.errors import InputError
from hpsearch.params import ChoiceParam, FloatParam, IntParam, Strict, parse_param
from hpsearch.search_options import Search
from hpsearch.trainers import TRAINERS, config_class, data_class, trainer_module
from hpsearch.training.contract import Trainer
from hpsearch.wording import first_problem, nearest


class Preset(Strict):
    """How much one run may cost: trials, the sizes that trials share, and narrower ranges."""

    trials: Annotated[int, Field(ge=1, le=1_000_000)]
    settings: dict[str, Any] = Field(default_factory=dict)
    space: dict[str, dict[str, Any]] = Field(default_factory=dict)
    train: dict[str, Any] = Field(default_factory=dict)
    """What `hpsearch train` sets otherwise: settings and parameters of a final model."""


@dataclass(frozen=True)
class ResolvedPreset:
    """A study at one size: everything a run needs to know."""

    name: str
    trials: int
    settings: dict[str, Any]
    space: dict[str, FloatParam | IntParam | ChoiceParam]
    train: dict[str, Any] = field(default_factory=dict)
    language_model: str | None = None
    """The finished language model that took the place of what the study's settings say."""

    @cached_property
    def distributions(self) -> dict[str, BaseDistribution]:
        return {name: param.distribution() for name, param in self.space.items()}

    @cached_property
    def defaults(self) -> dict[str, Any]:
        return {name: param.default for name, param in self.space.items()}

    def with_language_model(self, place: str) -> ResolvedPreset:
        """The same with the language model at `place` (a name or a folder), taken as it is."""
        kept = {
            key: value
            for key, value in self.settings.get("language_model", {}).items()
            if key in ("n_reviews", "seq_len", "bs", "backward")
        }
        model = {**kept, "pretrained": place, "epochs": 0}
        settings = {**self.settings, "language_model": model}
        return replace(self, settings=settings, language_model=place)


class StudySpec(Strict):
    """A study.toml: data, trainer, metric, search space with defaults, and presets."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]
    title: str = ""
    trainer: str
    metric: str
    direction: Literal["maximize", "minimize"]
    data: dict[str, Any]
    settings: dict[str, Any] = Field(default_factory=dict)
    space: Annotated[dict[str, dict[str, Any]], Field(min_length=1)]
    presets: dict[Literal["quick", "cpu", "full"], Preset] = Field(default_factory=dict)
    search: Search = Field(default_factory=Search)
    _file: Path | None = PrivateAttr(None)

    @property
    def file(self) -> Path | None:
        """The user's own file that says all this; None for a built-in study."""
        return self._file

    @model_validator(mode="after")
    def _check(self) -> StudySpec:
        if self.trainer not in TRAINERS:
            raise ValueError(
                f"trainer: {self.trainer!r} is none of {', '.join(TRAINERS)}"
                f"{nearest(self.trainer, TRAINERS)}"
            )
        _check_data(self.trainer, self.data)
        for preset in (None, *self.presets):
            _check_config(self.trainer, self._merge(preset))
        return self

    def resolve(self, preset: str) -> ResolvedPreset:
        """The study at the size of `preset`: one of its presets, or auto.

        Raises InputError if the study has no such preset.
        """
        if not self.presets:
            raise InputError(
                f"Study {self.name} has no preset to run: "
                "give it one, such as [presets.quick] with trials = 20."
            )
        if preset == "auto":
            preset = _preset_for_device(tuple(self.presets))
        if preset not in self.presets:
            raise InputError(
                f"Study {self.name} has no preset {preset!r}; "
                f"choose --preset auto or one of its own: {', '.join(self.presets)}."
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
                f"{nearest(unknown[0], self.space)}"
            )
        space = {
            name: parse_param(
                f"{where}.{name}", {"type": "float", **param, **given.space.get(name, {})}
            )
            for name, param in self.space.items()
        }
        settings = merge_settings(self.settings, given.settings)
        return ResolvedPreset(preset or "none", given.trials, settings, space, given.train)

    def trainer_module(self) -> Trainer:
        """The trainer's module (this is where torch is imported)."""
        return trainer_module(self.trainer)


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


def _find(study: str | Path) -> Path:
    """The file that `study` means. Raises InputError if there is none."""
    path, names = Path(study), builtin_names()
    if str(study) in names:
        return builtin_folder() / str(study) / "study.toml"
    with suppress(OSError):  # a name too long for a file
        if path.is_file():
            return path
        if (path / "study.toml").is_file():
            return path / "study.toml"
    raise InputError(
        f"There is no study {str(study)!r}{nearest(str(study), names)}: give one of "
        f"{', '.join(names)} or a path to a study.toml."
    )


def load_spec(study: str | Path) -> StudySpec:
    """The study called `study`: a built-in name, or a path to a study.toml or to its folder.

    Raises InputError in one sentence that names the file, the key and the reason.
    """
    path = _find(study)
    try:
        text = path.read_text(encoding="utf-8-sig")  # Windows editors put a mark in front
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError(f"{path} cannot be read: {reason}.") from error
    try:
        content = tomllib.loads(text)
    except RecursionError as error:
        raise InputError(f"{path} is not a study: its values are nested too deeply.") from error
    except ValueError as error:  # TOMLDecodeError, or what int() says to 5,000 digits
        raise InputError(f"{path} is not valid TOML: {error}.") from error
    data = content.get("data")
    for key in ("path", "test", "users", "items"):
        if isinstance(data, dict) and isinstance(data.get(key), str):
            # Relative to the file that says it, wherever the command is typed.
            with suppress(RuntimeError):  # ~nobody: left as it is, and not found later
                data[key] = _plain(path.parent.absolute() / Path(data[key]).expanduser())
    try:
        spec = StudySpec.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: {first_problem(error)}.") from error
    if not path.absolute().is_relative_to(builtin_folder()):
        spec._file = Path(_plain(path.absolute()))
    return spec


def _plain(path: Path) -> str:
    """The path without `folder/..`, unless the folder is a link and its parent is elsewhere."""
    plain = os.path.normpath(path)
    return plain if os.path.realpath(plain) == os.path.realpath(path) else str(path)


def _check_data(trainer: str, data: Mapping[str, Any]) -> None:
    """That the trainer knows every key of [data]."""
    declared = data_class(trainer)
    try:
        TypeAdapter(declared).validate_python(dict(data))
    except ValidationError as error:
        raise ValueError(first_problem(error, "data") + _hint(error, declared)) from error


def _check_config(trainer: str, resolved: ResolvedPreset) -> None:
    """That the trainer knows every setting and parameter, and takes all values of the space."""
    config = config_class(trainer)
    base = resolved.name == "none"
    space = "space" if base else f"presets.{resolved.name}.space"
    shared = [name for name in resolved.space if name in getattr(config, "SHARED", ())]
    if shared:
        raise ValueError(
            f"space.{shared[0]}: all trials share what this makes; give it in settings instead"
        )
    check = TypeAdapter(config).validate_python
    content = {**resolved.settings, **resolved.defaults}
    try:
        check(content)
    except ValidationError as error:
        key = str(error.errors()[0]["loc"][0]) if error.errors()[0]["loc"] else ""
        settings = "settings" if base else f"presets.{resolved.name}.settings"
        problem = first_problem(error, "space" if key in resolved.space else settings)
        raise ValueError(problem + _hint(error, config)) from error
    try:
        check(merge_settings(content, resolved.train))
    except ValidationError as error:
        where = f"presets.{resolved.name}.train"
        raise ValueError(first_problem(error, where) + _hint(error, config)) from error
    for name, value in _extremes(resolved):
        try:
            check({**content, name: value})
        except ValidationError as error:
            raise ValueError(f"{first_problem(error, space)} (it may become {value!r})") from error


def _extremes(resolved: ResolvedPreset) -> Iterator[tuple[str, Any]]:
    for name, param in resolved.space.items():
        for value in param.extremes():
            yield name, value


def _hint(error: ValidationError, declared: Any) -> str:  # noqa: ANN401
    """The nearest key that there is, for one that is not."""
    first = error.errors()[0]
    if not first["type"].startswith("unexpected") or len(first["loc"]) != 1:
        return ""
    return nearest(str(first["loc"][0]), declared.__dataclass_fields__)


def _preset_for_device(have: tuple[str, ...]) -> str:
    import torch

    wanted = ("full", "cpu", "quick") if torch.cuda.is_available() else ("cpu", "quick", "full")
    return next((preset for preset in wanted if preset in have), wanted[0])
