"""Studies: what a study.toml may say, and the one sentence it gets when it says something else."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from optuna.distributions import BaseDistribution
from pydantic import (
    AfterValidator,
    Field,
    PrivateAttr,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from hpsearch.core import own_code
from hpsearch.core.words import first_problem, nearest
from hpsearch.errors import InputError
from hpsearch.study import own
from hpsearch.study.conditions import in_order
from hpsearch.study.defaults import UnknownStudyError, builtin_folder, builtin_names, completed
from hpsearch.study.search_options import Search
from hpsearch.study.settings import (
    NAME,
    ONLY,
    PresetName,
    merge_settings,
    preset_for_device,
    pretrained_of,
    without_pretrained,
)
from hpsearch.study.space import ChoiceParam, FloatParam, IntParam, Strict, parse_param
from hpsearch.study.trainers import (
    TRAINERS,
    config_class,
    data_class,
    is_own,
    own_trainer,
    trainer_module,
)
from hpsearch.trainers.contract import Trainer


def _as_json(table: dict[str, Any]) -> dict[str, Any]:
    """The table with dates as texts: a trainer gets the values that the store keeps."""
    return dict(json.loads(json.dumps(table, default=str)))


JsonTable = Annotated[dict[str, Any], AfterValidator(_as_json)]


class Changes(Strict):
    """Settings and parts of the space that replace those of the study or of its preset."""

    settings: JsonTable = Field(default_factory=dict)
    space: dict[str, dict[str, Any]] = Field(default_factory=dict)


class Preset(Changes):
    """How much one run may cost: trials, the sizes that trials share, and narrower ranges."""

    trials: Annotated[int, Field(ge=1, le=1_000_000)]
    train: dict[str, Any] = Field(default_factory=dict)
    """What `hpsearch train` sets otherwise: settings and parameters of a final model."""
    from_scratch: Changes | None = None
    """What changes where the pretrained language model is not here and cannot be downloaded: it is
    left out, and these values make up for it. Without this table such a run fails."""


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
    from_scratch: ResolvedPreset | None = None
    """The same without its pretrained language model, where the study says how to do without."""
    is_from_scratch: bool = False

    @cached_property
    def distributions(self) -> dict[str, BaseDistribution]:
        return {name: param.distribution() for name, param in self.space.items()}

    @cached_property
    def when(self) -> dict[str, dict[str, list[Any]]]:
        """The conditions of those parameters that have some: hpsearch.study.conditions."""
        return {name: dict(param.when) for name, param in self.space.items() if param.when}

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
        return replace(self, settings=settings, language_model=place, from_scratch=None)

    @property
    def pretrained(self) -> str | None:
        """The name or place of the model from which the study's language model starts."""
        return pretrained_of(self.settings)


class StudySpec(Strict):
    """A study.toml: data, trainer, metric, search space with defaults, and presets."""

    name: Annotated[str, Field(pattern=NAME, max_length=100)]
    title: str = ""
    trainer: str
    metric: str
    direction: Literal["maximize", "minimize"]
    data: JsonTable
    settings: JsonTable = Field(default_factory=dict)
    space: dict[str, dict[str, Any]]
    trials: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """How many trials a run has, in a study without presets."""
    presets: dict[PresetName, Preset] = Field(default_factory=dict)
    """By name: quick, cpu and full, of which "auto" chooses, and any others."""
    search: Search = Field(default_factory=Search)
    _file: Path | None = PrivateAttr(None)
    _given: dict[str, Any] | None = PrivateAttr(None)

    @property
    def file(self) -> Path | None:
        """The user's own file that says all this; None for a built-in study. A function alone has
        the folder of its module, and "module:function" as the name in it."""
        return self._file

    @property
    def given(self) -> dict[str, Any] | None:
        """What was given with a function alone; None for the study of a file."""
        return self._given

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, content: Any) -> Any:  # noqa: ANN401
        if own.is_own_content(content):
            return own.fill_in(content)
        trainer = content.get("trainer") if isinstance(content, dict) else None
        if isinstance(trainer, str) and trainer not in TRAINERS:
            raise ValueError(
                f"trainer: {trainer!r} is none of {', '.join(TRAINERS)}, nor a function of "
                "your own, module:function, nor an estimator, sklearn:package.Class"
                f"{nearest(trainer, TRAINERS)}"
            )
        return content

    @model_validator(mode="after")
    def _check(self) -> StudySpec:
        if not self.space and not is_own(self.trainer):
            raise ValueError("space: there is nothing to search; declare a parameter")
        if self.trials is not None and (self.presets or not is_own(self.trainer)):
            raise ValueError("trials: say it in each of the presets")
        _check_data(self.trainer, self.data)
        _check_config(self.trainer, self.base(), "")
        for preset in self.presets:
            resolved = self._merge(preset)
            _check_config(self.trainer, resolved, f"presets.{preset}.")
            if resolved.from_scratch is not None:
                where = f"presets.{preset}.from_scratch."
                _check_config(self.trainer, resolved.from_scratch, where)
        return self

    def resolve(self, preset: str) -> ResolvedPreset:
        """The study at the size of `preset`: one of its presets, or auto. That of one's own code
        imports the code.

        Raises InputError if the study has no such preset, or its code cannot be used.
        """
        if is_own(self.trainer):
            if not self.presets and preset in ("auto", ONLY):
                return self._with_code(replace(self.base(), trials=self.trials or own.TRIALS))
            return self._with_code(self._chosen(preset))
        return self._chosen(preset)

    def _with_code(self, resolved: ResolvedPreset) -> ResolvedPreset:
        """What the study's own code says of its space where the study does not."""
        trainer = own_trainer(self.trainer)
        changes = self.presets[cast(Any, resolved.name)].space if self.presets else {}
        declared = {name: {**one, **changes.get(name, {})} for name, one in self.space.items()}
        space = resolved.space
        if not declared:
            declared = own.declared_space(*trainer.find_space(resolved.settings, self.data))
            space = ordered(own.with_defaults(declared))
        trainer.check(resolved.settings, [*space])
        space = own.with_functions_defaults(space, declared, trainer.defaults())
        return replace(resolved, space=space)

    def _chosen(self, preset: str) -> ResolvedPreset:
        if not self.presets and is_own(self.trainer):
            raise InputError(f"Study {self.name} has no presets: leave out --preset {preset}.")
        if not self.presets:
            raise InputError(
                f"Study {self.name} has no preset to run: "
                "give it one, such as [presets.quick] with trials = 20."
            )
        if preset == "auto":
            preset = preset_for_device(tuple(self.presets))
        if preset not in self.presets:
            raise InputError(
                f"Study {self.name} has no preset {preset!r}; "
                f"choose --preset auto or one of its own: {', '.join(self.presets)}."
            )
        return self._merge(preset)

    def without_bad_rows(self) -> StudySpec:
        """The same study, whose own data lacks the rows that cannot be used.

        Raises InputError if it is not on data that may have such rows.
        """
        if is_own(self.trainer):
            raise InputError(f"--skip-bad-rows: {self.trainer} reads its data itself.")
        return self.model_copy(update={"data": {**self.data, "on_error": "skip"}})

    def base(self) -> ResolvedPreset:
        """The study's whole space and its settings, without any preset's changes."""
        return ResolvedPreset(ONLY, 1, self.settings, self._space("", {}))

    def _merge(self, preset: str) -> ResolvedPreset:
        given, where = self.presets[cast(Any, preset)], f"presets.{preset}."
        settings = merge_settings(self.settings, given.settings)
        space = self._space(where, given.space)
        merged = ResolvedPreset(preset, given.trials, settings, space, given.train)
        if given.from_scratch is None:
            return merged
        if merged.pretrained is None:
            raise ValueError(f"{where}from_scratch: the settings name no pretrained model")
        where += "from_scratch."
        space = self._space(where, given.space, given.from_scratch.space)
        settings = merge_settings(without_pretrained(settings), given.from_scratch.settings)
        scratch = replace(merged, settings=settings, space=space, is_from_scratch=True)
        if scratch.pretrained is not None:
            raise ValueError(f"{where}settings: from scratch means without pretrained")
        return replace(merged, from_scratch=scratch)

    def _space(
        self, where: str, *changes: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, FloatParam | IntParam | ChoiceParam]:
        """The study's space with the `changes` put in one after the other."""
        for unknown in sorted({name for one in changes for name in one} - set(self.space)):
            raise ValueError(
                f"{where}space.{unknown}: the study's space has no such parameter"
                f"{nearest(unknown, self.space)}"
            )
        space = {}
        for name, param in self.space.items():
            content = {"type": "float", **param}
            for one in changes:
                content |= one.get(name, {})
            parse = own.with_default if is_own(self.trainer) else parse_param
            space[name] = parse(f"{where}space.{name}", content)
        return ordered(space)

    def trainer_module(self) -> Trainer:
        """The trainer's module (this is where torch is imported)."""
        return trainer_module(self.trainer)

    @property
    def code(self) -> str | None:
        """A digest of one's own code that trains; None for the trainers of hpsearch."""
        return own_trainer(self.trainer).code if is_own(self.trainer) else None


def ordered(
    space: Mapping[str, FloatParam | IntParam | ChoiceParam],
) -> dict[str, FloatParam | IntParam | ChoiceParam]:
    """The space with each parameter behind those that it depends on; ValueError if none is."""
    when = {name: param.when for name, param in space.items() if param.when}
    names = in_order({name: param.values() for name, param in space.items()}, when)
    return {name: space[name] for name in names}


def _find(study: str | Path) -> Path:
    """The file that `study` means. Raises InputError if there is none."""
    path, names = Path(study), builtin_names()
    if str(study) in names:
        return builtin_folder() / str(study) / "study.toml"
    with suppress(OSError):  # a name too long for a file
        if path.is_file():
            return own.no_module(path)
        if (path / "study.toml").is_file():
            return path / "study.toml"
    raise UnknownStudyError(
        f"There is no study {str(study)!r}{nearest(str(study), names)}: give one of "
        f"{', '.join(names)}, a path to a study.toml, or a function as module:function."
    )


def load_spec(study: str | Path) -> StudySpec:
    """The study called `study`: a built-in name, or a path to a study.toml or to its folder.

    Raises InputError in one sentence that names the file, the key and the reason.
    """
    if (place := own.place_of(str(study))) is not None and not is_there(study):
        return spec_of_function(place)
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
        spec = StudySpec.model_validate(completed(content))
    except ValidationError as error:
        raise InputError(f"{path}: {first_problem(error)}.") from error
    except ValueError as error:
        raise InputError(f"{path}: {error}.") from error
    if not path.absolute().is_relative_to(builtin_folder()):
        spec._file = Path(_plain(path.absolute()))
        own_code.allow(str(spec.data.get("tokenizer", "")), spec._file.parent)
        own_code.allow(spec.trainer, spec._file.parent)
    return spec


def spec_of_function(place: own.Place, given: Mapping[str, Any] | None = None) -> StudySpec:
    """The study that a function alone is, which the user's command or Python code names.

    Args:
        given: What a study.toml would say beside the trainer: name, metric, direction, space ...

    Raises:
        InputError: What was given cannot be used.
    """
    try:
        spec = StudySpec.model_validate(own.content_of(place, given or {}))
    except ValidationError as error:
        raise InputError(f"{place.name}: {first_problem(error)}.") from error
    spec._given = dict(given or {})
    spec._file = Path(place.name)
    if place.folder is not None:
        spec._file = Path(_plain(place.folder / place.name))
        own_code.allow(place.name, place.folder)
    return spec


def spec_of_object(function: Callable[..., Any], given: Mapping[str, Any]) -> StudySpec:
    """The study that a function is which Python code hands over: see `spec_of_function`.

    Raises:
        InputError: The function has no name, or what was given cannot be used.
    """
    name = given.get("name") or getattr(function, "__name__", "")
    if not re.fullmatch(NAME, str(name)):
        raise InputError("The function has no name that a study could have: say name='my-study'.")
    place = own_code.hand_over(function, str(name), "objective")
    return spec_of_function(own.Place(place, own_code.folder_of(place)), given)


def is_there(study: str | Path) -> bool:
    with suppress(OSError):
        return Path(study).exists()
    return False


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


def _check_config(trainer: str, resolved: ResolvedPreset, where: str) -> None:
    """That the trainer knows every setting and parameter, and takes all values of the space;
    `where` is what stands before the keys in the file. What one's own code takes is not known
    before it is imported."""
    if is_own(trainer):
        return
    config = config_class(trainer)
    space = f"{where}space"
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
        problem = first_problem(error, "space" if key in resolved.space else f"{where}settings")
        raise ValueError(problem + _hint(error, config)) from error
    try:
        check(merge_settings(content, resolved.train))
    except ValidationError as error:
        raise ValueError(first_problem(error, f"{where}train") + _hint(error, config)) from error
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


def study_name(spec: StudySpec, preset: ResolvedPreset) -> str:
    return spec.name if preset.name == ONLY else f"{spec.name}-{preset.name}"
