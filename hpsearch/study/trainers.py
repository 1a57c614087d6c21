"""The trainers there are, by name; nothing here imports one before it is asked for."""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple, cast

from hpsearch.core import own_code
from hpsearch.errors import InputError
from hpsearch.extras import require
from hpsearch.trainers.contract import Looker, OwnTrainer, Previewer, Trainer


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
        f"hpsearch.trainers.text.config:{config}",
        "hpsearch.trainers.text.config:TextData",
        f"hpsearch.trainers.text.{module}",
        "hpsearch.trainers.text.preview",
    )


TRAINERS = {
    "text-classifier": _text_trainer("ClassifierConfig", "classifier.train"),
    "language-model": _text_trainer("LanguageModelTrialConfig", "language_model.train"),
    "ulmfit": _text_trainer("UlmfitConfig", "ulmfit"),
    "tabular": TrainerPlaces(
        "hpsearch.trainers.tabular.config:TabularConfig",
        "hpsearch.trainers.tabular.config:TabularData",
        "hpsearch.trainers.tabular.trainer",
        "hpsearch.trainers.tabular.preview",
    ),
    "collab": TrainerPlaces(
        "hpsearch.trainers.collab.config:CollabConfig",
        "hpsearch.trainers.collab.config:CollabData",
        "hpsearch.trainers.collab.train",
        "hpsearch.trainers.collab.preview",
    ),
}


OWN_PLACES = TrainerPlaces(
    "hpsearch.trainers.own.config:FunctionConfig",
    "hpsearch.trainers.own.config:FunctionData",
    "hpsearch.trainers.own.trainer",
    "",
)
"""Those of one's own function, "module:function"."""
ESTIMATOR_PLACES = TrainerPlaces(
    "hpsearch.trainers.own.config:FunctionConfig",
    "hpsearch.trainers.estimator.config:EstimatorData",
    "hpsearch.trainers.estimator.trainer",
    "hpsearch.trainers.tabular.preview",
)
"""Those of a scikit-learn estimator, "sklearn:package.Class"."""

OLD_NAMES = {
    "hpsearch.text.train_classifier": "text-classifier",
    "hpsearch.text.train_language_model": "language-model",
    "hpsearch.text.train_ulmfit": "ulmfit",
    "hpsearch.tabular.trainer": "tabular",
    "hpsearch.collab.train": "collab",
}
"""What runs of version 0.1 wrote into the store: the trainers' modules as they were called then."""


def stored_name(trainer: object) -> str:
    """The name of the trainer that a store names, as `TRAINERS` has it; nothing is imported."""
    return OLD_NAMES.get(str(trainer), str(trainer))


OWN_FUNCTION = "hpsearch.trainers.own.trainer:OwnFunction"
ESTIMATOR = "hpsearch.trainers.estimator.trainer:Estimator"
ESTIMATORS = "sklearn:"


def is_own(trainer: str) -> bool:
    """Whether a trainer is code that the user names, as "module:function" or "sklearn:Class"."""
    return own_code.is_named(trainer)


def is_estimator(trainer: str) -> bool:
    """Whether a trainer is an estimator of an installed package, cross-validated."""
    return trainer.startswith(ESTIMATORS)


def config_class(trainer: str) -> Any:  # noqa: ANN401
    """The dataclass that a trainer's settings and parameters make up together."""
    return _named(_places(trainer).config)


def data_class(trainer: str) -> Any:  # noqa: ANN401
    """The dataclass of a trainer's [data]."""
    return _named(_places(trainer).data)


def check_installed(trainer: str) -> None:
    """Raise MissingExtraError where what a trainer needs is not installed; imports nothing. What
    one's own code needs is not known."""
    if not is_own(trainer):
        require("torch")


def trainer_module(trainer: str) -> Trainer:
    """The module that prepares and trains (this is where torch is imported)."""
    if is_own(trainer):
        return own_trainer(trainer)
    check_installed(trainer)
    return cast(Trainer, importlib.import_module(TRAINERS[trainer].train))


def own_trainer(trainer: str) -> OwnTrainer:
    """The trainer that one's own code is; the code itself is imported when it is needed."""
    return cast(OwnTrainer, _named(ESTIMATOR if is_estimator(trainer) else OWN_FUNCTION)(trainer))


def import_trainer(name: str) -> Trainer:
    """The trainer of this `__name__`, in a process whose parent has named it."""
    if is_own(name):
        return own_trainer(name)
    return cast(Trainer, importlib.import_module(name))


def _places(trainer: str) -> TrainerPlaces:
    if is_estimator(trainer):
        return ESTIMATOR_PLACES
    return OWN_PLACES if is_own(trainer) else TRAINERS[trainer]


def previewer(trainer: str) -> Previewer:
    """The module that shows a study's data."""
    if is_own(trainer) and not is_estimator(trainer):
        raise InputError(f"{trainer} reads its data itself: there is nothing to show of it here.")
    return cast(Previewer, importlib.import_module(_places(trainer).preview))


def table_looker() -> Looker:
    """The module that looks at a table of which no study says what its columns are."""
    return cast(Looker, importlib.import_module("hpsearch.trainers.tabular.look"))


def _named(place: str) -> Any:  # noqa: ANN401
    module, name = place.split(":")
    return getattr(importlib.import_module(module), name)
