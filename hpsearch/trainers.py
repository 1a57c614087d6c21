"""The trainers there are, by name; nothing here imports one before it is asked for."""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple, cast

from hpsearch.training.contract import Previewer, Trainer


class TrainerPlaces(NamedTuple):
    """Where a trainer's parts lie, as "module:name" or "module".

    `config` and `data` are dataclasses whose modules import no torch; `preview` is a `Previewer`.
    """

    config: str
    data: str
    train: str
    preview: str


def _text_trainer(config: str, module: str) -> TrainerPlaces:
    return TrainerPlaces(
        f"hpsearch.text.config:{config}",
        "hpsearch.text.config:TextData",
        f"hpsearch.text.{module}",
        "hpsearch.text.preview",
    )


TRAINERS = {
    "text-classifier": _text_trainer("ClassifierConfig", "train_classifier"),
    "language-model": _text_trainer("LanguageModelTrialConfig", "train_language_model"),
    "ulmfit": _text_trainer("UlmfitConfig", "train_ulmfit"),
    "tabular": TrainerPlaces(
        "hpsearch.tabular.config:TabularConfig",
        "hpsearch.tabular.config:TabularData",
        "hpsearch.tabular.trainer",
        "hpsearch.tabular.preview",
    ),
    "collab": TrainerPlaces(
        "hpsearch.collab.config:CollabConfig",
        "hpsearch.collab.config:CollabData",
        "hpsearch.collab.train",
        "hpsearch.collab.preview",
    ),
}


def config_class(trainer: str) -> Any:  # noqa: ANN401
    """The dataclass that a trainer's settings and parameters make up together."""
    return _named(TRAINERS[trainer].config)


def data_class(trainer: str) -> Any:  # noqa: ANN401
    """The dataclass of a trainer's [data]."""
    return _named(TRAINERS[trainer].data)


def trainer_module(trainer: str) -> Trainer:
    """The module that prepares and trains (this is where torch is imported)."""
    return cast(Trainer, importlib.import_module(TRAINERS[trainer].train))


def previewer(trainer: str) -> Previewer:
    """The module that shows a study's data."""
    return cast(Previewer, importlib.import_module(TRAINERS[trainer].preview))


def _named(place: str) -> Any:  # noqa: ANN401
    module, name = place.split(":")
    return getattr(importlib.import_module(module), name)
