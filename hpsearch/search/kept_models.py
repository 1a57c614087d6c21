"""Models that trials leave behind: the best trial's is kept, and a later study may build on it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from hpsearch.core.home import TRIAL_MODELS, is_inside, remove
from hpsearch.errors import InputError
from hpsearch.store import Store, StudySummary
from hpsearch.store.queue.fence import StudyRef
from hpsearch.store.tables import attributes
from hpsearch.store.tables.damage import readable

MODEL = "model"
"""The kind of artifact that a trial's model is."""
BEST = "best"


def keep_if_best(
    store: Store, ref: StudyRef, study: optuna.Study, trial: optuna.Trial, folder: Path
) -> None:
    """Note the finished trial's model in the store if the trial is the best so far, else delete it.

    Models of trials that were the best once stay: another study may be using them.
    """
    weights = folder / "model.safetensors"
    if not weights.is_file():
        return
    best = store.retry(getattr, study, "best_trials")
    if all(one.number != trial.number for one in best):
        remove(folder)
        return
    with weights.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    store.record_artifact(
        ref, trial._trial_id,
        kind=MODEL, path=str(folder), sha256=sha256, size=weights.stat().st_size,
    )  # fmt: skip


@dataclass(frozen=True)
class ChosenModel:
    """A language model that was chosen for a study: its folder or name, and who made it."""

    place: str
    origin: str


def find_language_model(
    store: Store, asked: str, data: Mapping[str, Any], preset: str
) -> ChosenModel:
    """What `asked` stands for: "best", "best:STUDY", or a pretrained model's name or folder.

    "best" is the model of the best trial so far of the language-model study over the same data, of
    the same preset if there are several. Raises InputError if there is none, or its files are gone.
    """
    if asked != BEST and not asked.startswith(f"{BEST}:"):
        return ChosenModel(asked, asked)
    wanted = asked.removeprefix(BEST).removeprefix(":")
    have = {study.name: study for study in store.studies() if store.artifacts(study.study_id)}
    if wanted:
        fits = [name for name in have if wanted in (name, have[name].attrs.get(attributes.STUDY))]
    else:
        fits = [name for name in have if _same_data(have[name], data)]
    if len(fits) > 1:
        fits = [name for name in fits if have[name].attrs.get(attributes.PRESET) == preset] or fits
    if not fits:
        raise InputError(
            f"The store {store.shown_url} holds no language model"
            f"{f' of a study {wanted!r}' if wanted else ' for this data'} yet: "
            "search one with `hpsearch run imdb-lm`, or name a pretrained one."
        )
    if len(fits) > 1:
        raise InputError(
            f"Several studies hold a language model: choose one of "
            f"{', '.join(f'best:{name}' for name in fits)}."
        )
    return _best_of(store, have[fits[0]])


def _best_of(store: Store, summary: StudySummary) -> ChosenModel:
    summary.check()
    with readable(f"A value of the study {summary.name}"):
        best = optuna.load_study(study_name=summary.name, storage=store.optuna).best_trial
    rows = [row for row in store.artifacts(summary.study_id) if row["trial_id"] == best._trial_id]
    origin = f"trial {best.number} of {summary.name}"
    if not rows or not _is_kept(Path(rows[-1]["path"])):
        place = rows[-1]["path"] if rows else "its folder"
        raise InputError(
            f"The language model of {origin} is not in the cache of this machine ({place}): "
            f"make it again with `hpsearch train {summary.attrs.get(attributes.STUDY)} "
            f"--trial {best.number}` and give its folder."
        )
    return ChosenModel(rows[-1]["path"], f"{origin}, {best.value:.4g}")


def _is_kept(folder: Path) -> bool:
    """Whether a folder that the store names is one in which trials leave models, and is there."""
    return is_inside(folder, TRIAL_MODELS) and folder.is_dir()


def _same_data(summary: StudySummary, data: Mapping[str, Any]) -> bool:
    declared = summary.attrs.get(attributes.DATA, {}).get("declared", {})
    return all(declared.get(key) == data.get(key) for key in ("source", "path"))
