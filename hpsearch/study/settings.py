"""Settings of a study: merged from several places, and read off a command line."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from hpsearch.core import environment
from hpsearch.errors import InputError

ONLY = "only"
"""What the preset of a study without presets is called in the store."""

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
"""What studies and presets may be called."""


def _not_reserved(name: str) -> str:
    if name in ("auto", ONLY):
        raise ValueError(f"a preset cannot be called {name}")
    return name


PresetName = Annotated[str, Field(pattern=NAME, max_length=40), AfterValidator(_not_reserved)]


def merge_settings(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over` put in, tables merged key by key."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge_settings(merged[key], value) if both else value
    return merged


def pretrained_of(settings: Mapping[str, Any]) -> str | None:
    """What the language model of these settings starts from: a name, a place, or nothing."""
    found = settings.get("language_model", settings).get("pretrained")
    return None if found is None else str(found)


def without_pretrained(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings whose language model starts from nothing, in its table or on the top level."""
    kept = {key: value for key, value in settings.items() if key != "pretrained"}
    if isinstance(model := kept.get("language_model"), Mapping):
        kept["language_model"] = {k: v for k, v in model.items() if k != "pretrained"}
    return kept


def parse_set(text: str, option: str = "--set") -> dict[str, Any]:
    """'language_model.epochs=2' -> {"language_model": {"epochs": 2}}; what is no TOML value is a
    string. Raises InputError if it is not key=value."""
    key, sign, value = text.partition("=")
    names = key.strip().split(".")
    if not sign or not all(names):
        raise InputError(f"{option} {text!r} is not key=value, such as epochs=2.")
    try:
        parsed = tomllib.loads(f"value = {value.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    for name in reversed(names):
        parsed = {name: parsed}
    return dict(parsed)


def preset_for_device(have: tuple[str, ...]) -> str:
    """The one of the presets `have` that "auto" stands for on this machine."""
    has_gpu = environment.default_device().startswith("cuda")
    wanted = ("full", "cpu", "quick") if has_gpu else ("cpu", "quick", "full")
    return next((preset for preset in (*wanted, *have) if preset in have), wanted[0])
