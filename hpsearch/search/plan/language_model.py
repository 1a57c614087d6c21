"""Whether a study's language model starts from a pretrained one that may not be at hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from hpsearch.core.console import say, shown_progress
from hpsearch.core.home import (
    TRIAL_MODELS,
    is_inside,
    is_plain,
    note_named,
    was_named,
)
from hpsearch.errors import InputError
from hpsearch.search import kept_models
from hpsearch.store import Store, StudySummary
from hpsearch.store.tables import attributes
from hpsearch.study.spec import ResolvedPreset, StudySpec


def choose_start(
    spec: StudySpec,
    preset: ResolvedPreset,
    attrs: Mapping[str, Any] | None,
    console: Console,
    settings: Mapping[str, Any] | None = None,
) -> ResolvedPreset:
    """The preset, or its variant without a pretrained model where that model cannot be had.

    A study that is in a store (`attrs`) goes on as it began, on whatever machine. For a new study
    this looks for the pretrained model that the `settings` (default: the preset's) name, and
    downloads it. If the download fails this says so, and the model is trained from scratch. Raises
    InputError for a model that does not exist.
    """
    if preset.from_scratch is None:
        return preset
    if attrs is not None and attributes.STUDY in attrs:
        return preset.from_scratch if attrs.get(attributes.FROM_SCRATCH) else preset
    reason = _missing(spec, settings or preset.settings, console)
    if reason is None:
        return preset
    say(console, f"{reason}: the language model is trained from scratch.")
    return preset.from_scratch


def _missing(spec: StudySpec, settings: Mapping[str, Any], console: Console) -> str | None:
    """Why a pretrained model that the settings name could not be got; None if all are here."""
    missing_pretrained = spec.trainer_module().missing_pretrained
    if missing_pretrained is None:
        return None
    with shown_progress(console) as progress:
        return missing_pretrained(
            settings, progress=progress, say=lambda sentence: say(console, sentence)
        )


def choose_language_model(
    store: Store,
    spec: StudySpec,
    preset: ResolvedPreset,
    study: StudySummary | None,
    asked: str | None,
    console: Console,
) -> ResolvedPreset:
    """Put a language model into the settings of the preset.

    This takes the model that was `asked` for, else the model that the `study` in the store was made
    with. If there is neither, `choose_start` decides. Raises InputError if the model cannot be
    used, or if only the store says where it lies.
    """
    attrs = None if study is None else study.attrs
    known = (attrs or {}).get(attributes.LANGUAGE_MODEL)
    wanted = asked or (None if known is None else str(known))
    if wanted is None:
        return choose_start(spec, preset, attrs, console)
    if "language_model" not in preset.settings:
        raise InputError(
            f"--language-model does not go with study {spec.name}: its trainer takes none."
        )
    chosen = kept_models.find_language_model(store, wanted, spec.data, preset.name)
    if asked is None:
        check_language_model(chosen.place, f"the store {store.shown_url}")
    else:
        note_named(Path(chosen.place))
    return preset.with_language_model(chosen.place)


def check_language_model(place: str, who: str) -> None:
    """Raise InputError for the folder of a language model that only `who` names.

    Allowed are names, folders that trials wrote, and folders that the user gave to --language-model
    before.
    """
    if not (is_plain(place) or is_inside(Path(place), TRIAL_MODELS) or was_named(Path(place))):
        raise InputError(
            f"The language model {place} is named by {who} only: say --language-model {place} if "
            "that is where it lies."
        )
