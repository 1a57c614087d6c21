"""Which study a verification is of: by its declaration, by its name in the store, or itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from hpsearch.errors import InputError
from hpsearch.library import FILE, VERIFIES
from hpsearch.sources import open_source
from hpsearch.store import StudySummary
from hpsearch.store.url import full_url
from hpsearch.studies import StudySpec, builtin_names, load_spec


@dataclass(frozen=True)
class Which:
    """The declaration that can be run again, its preset, and the store with its trials."""

    spec: StudySpec
    preset: str
    storage: str | None


def which(study: optuna.Study | str | Path, *, storage: str | None, preset: str) -> Which:
    """What `study` stands for: a study.toml or a built-in name, whose preset is that of its only
    study in the store; a study's own name there; or an Optuna study that hpsearch made.

    Raises InputError where it was not made here, or there are several to choose from.
    """
    if isinstance(study, optuna.Study):
        backend: Any = getattr(study._storage, "_backend", study._storage)
        _check_ours(study.study_name, study.user_attrs)
        storage, study = full_url(backend.engine.url), study.study_name
    declared = str(study) in builtin_names() or Path(study).exists()
    with open_source(storage) as source:  # which writes nothing where it is not ours
        if not declared:
            found = source.find_one(str(study))
            _check_ours(found.name, found.attrs)
            return Which(_spec_of(found), found.attrs["hps_preset"], storage)
        spec = load_spec(study)
        having = [s for s in source.summaries if s.attrs.get("hps_study") == spec.name]
    presets = [one.attrs["hps_preset"] for one in having]
    if preset == "auto" and len(presets) > 1:
        raise InputError(
            f"Study {spec.name} has trials of several presets: give --preset "
            f"{' or --preset '.join(presets)}."
        )
    return Which(spec, presets[0] if preset == "auto" and presets else preset, storage)


def _check_ours(name: str, attrs: dict[str, Any]) -> None:
    if VERIFIES in attrs:
        raise InputError(
            f"Study '{name}' holds the pairs of a verification: verify {attrs[VERIFIES]} itself."
        )
    if "hps_study" not in attrs:
        raise InputError(
            f"Study '{name}' was not made by hpsearch, so hpsearch cannot run it: train its model "
            "in pairs yourself, or make a study.toml of it."
        )


def _spec_of(found: StudySummary) -> StudySpec:
    declared, file = found.attrs["hps_study"], found.attrs.get(FILE)
    if file is not None and Path(file).is_file():
        return load_spec(file)
    if declared not in builtin_names():
        raise InputError(
            f"Study '{found.name}' was made from a study.toml of your own: give the path of that "
            "file instead of the name."
        )
    return load_spec(declared)
