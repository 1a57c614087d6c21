"""A trained recommender in a folder: weights as safetensors, everything else as JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from hpsearch.core.files import write_atomically
from hpsearch.errors import InputError
from hpsearch.trainers.collab.cold_start import ColdStart, with_described
from hpsearch.trainers.collab.config import CollabConfig
from hpsearch.trainers.collab.metrics import predict_scores
from hpsearch.trainers.collab.model import Link, Model, build_model
from hpsearch.trainers.collab.prepare import SIDES, Ids, PreparedRatings, Side, Values, titles_of
from hpsearch.trainers.collab.split_ratings import Rows
from hpsearch.trainers.shared.config_fields import parse_config
from hpsearch.trainers.shared.weights import (
    load_state,
    load_weights,
    save_weights,
    with_prefix,
)

_FORMAT = 1
WEIGHTS, CONTENT = "weights.safetensors", "recommender.json"
SEEN = ("seen_users", "seen_items", "seen_values")


@dataclass(frozen=True)
class SavedCollab:
    """A model, the ids that it knows, and the metadata of its users and items.

    `seen_users`, `seen_items` and `seen_values` (ratings,) hold the user number, the item number
    and the rating (1 for implicit feedback) of all known ratings, held-out ratings included. A seen
    item is not recommended to its user again. The first `n_trained` numbers of users and of items,
    0 included, belong to the training ratings. All later ids have rows that `cold` computes from
    their metadata. `columns` are the names of the user and item columns in the training file.
    `facts` tell people what the model was trained on and how good it is.
    """

    model: Model = field(repr=False)
    user_ids: Ids = field(repr=False)
    item_ids: Ids = field(repr=False)
    config: CollabConfig
    implicit: bool
    seen_users: Rows = field(repr=False)
    seen_items: Rows = field(repr=False)
    seen_values: Values = field(repr=False)
    n_trained: tuple[int, int]
    columns: tuple[str, str] = ("user", "item")
    users: pd.DataFrame | None = field(default=None, repr=False)
    items: pd.DataFrame | None = field(default=None, repr=False)
    cold: Mapping[Side, ColdStart] = field(default_factory=dict, repr=False)
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def link(self) -> Link:
        return Link.of(self.config, self.implicit)

    def predict(
        self, users: Sequence[str], items: Sequence[str], *, device: str = "cpu"
    ) -> npt.NDArray[np.float32]:
        """Predicted ratings (n,) of users for items, in their order; for implicit feedback the
        probability that the user chooses the item. An unknown id counts as number 0."""
        if len(users) != len(items):
            raise InputError(
                f"There are {len(users)} users and {len(items)} items: give one item per user."
            )
        if not len(users):
            return np.zeros(0, dtype=np.float32)
        left = torch.from_numpy(self.user_ids.numbers(users)).to(device)
        right = torch.from_numpy(self.item_ids.numbers(items)).to(device)
        scores = predict_scores(self.model.to(device), left, right)
        return np.asarray(self.link.predict(scores).cpu().numpy())

    def with_new(
        self, *, users: pd.DataFrame | None = None, items: pd.DataFrame | None = None
    ) -> SavedCollab:
        """The same model, which also knows the users and items that these tables of metadata
        describe, indexed by id; what is said of known ones is passed over.

        Raises InputError if a column is missing that it learned from.
        """
        ids: dict[Side, Ids] = {"users": self.user_ids, "items": self.item_ids}
        tables: dict[Side, Any] = {"users": users, "items": items}
        model, user_ids, item_ids = with_described(self.model, ids, tables, self.cold)
        return replace(
            self,
            model=model,
            user_ids=user_ids,
            item_ids=item_ids,
            users=_known_and_new(self.users, users),
            items=_known_and_new(self.items, items),
        )

    def ids_of_titles(self, items: Sequence[str]) -> tuple[list[str], int]:
        """Replace each title in `items` by the id of its item.

        Returns (the ids, how many titles were replaced). A text that is already an id stays, and so
        does a text that is no title. If several items have the same title, the item with the most
        ratings is taken.
        """
        unknown = self.item_ids.numbers(items) == 0
        if self.items is None or not unknown.any():
            return list(items), 0
        counts = np.bincount(self.seen_items, minlength=len(self.item_ids))[1:]
        order = np.argsort(counts, kind="stable")
        names, titles = self.item_ids.names, self.titles()
        id_of = {titles[place]: names[place] for place in order}
        found = [
            id_of.get(item, item) if new else item for item, new in zip(items, unknown, strict=True)
        ]
        return found, sum(one != item for one, item in zip(found, items, strict=True))

    def titles(self) -> list[str]:
        """A name for people of every known item, in the order of `item_ids.names`."""
        return titles_of(self.items, self.item_ids.names)


def from_training(
    model: Model,
    config: CollabConfig,
    data: PreparedRatings,
    cold: Mapping[Side, ColdStart],
    facts: Mapping[str, Any],
) -> SavedCollab:
    """What a finished training leaves; `model` and `data` may know more than it has seen."""
    known = (data.valid.users > 0) & (data.valid.items > 0)
    seen = [
        np.concatenate([getattr(data.train, name), getattr(data.valid, name)[known]])
        for name in ("users", "items", "values")
    ]
    return SavedCollab(
        model=model,
        user_ids=data.user_ids,
        item_ids=data.item_ids,
        config=config,
        implicit=data.implicit,
        seen_users=seen[0],
        seen_items=seen[1],
        seen_values=seen[2],
        columns=data.columns,
        users=data.users,
        items=data.items,
        n_trained=(int(data.train.users.max()) + 1, int(data.train.items.max()) + 1),
        cold=cold,
        facts=facts,
    )


def save_collab(folder: Path, saved: SavedCollab) -> None:
    """Write the model to `folder`, which may exist."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"model.{n}": v.detach().cpu().clone() for n, v in saved.model.state_dict().items()}
    for name in SEEN:
        tensors[name] = torch.from_numpy(getattr(saved, name))
    for side, cold in saved.cold.items():
        state = cold.network.state_dict().items()
        tensors |= {f"cold.{side}.{name}": value.cpu().clone() for name, value in state}
    save_weights(tensors, folder / WEIGHTS)
    content = {
        "format": _FORMAT,
        "config": asdict(saved.config),
        "implicit": saved.implicit,
        "columns": saved.columns,
        "user_ids": saved.user_ids.names,
        "item_ids": saved.item_ids.names,
        "users": _table_to_json(saved.users),
        "items": _table_to_json(saved.items),
        "n_trained": saved.n_trained,
        "cold": {side: cold.to_json() for side, cold in saved.cold.items()},
        "facts": saved.facts,
    }
    write_atomically(folder / CONTENT, json.dumps(content, indent=1))


def load_collab(folder: Path) -> SavedCollab:
    """What `save_collab` wrote. Raises InputError if the folder holds no whole recommender."""
    if not (folder / CONTENT).is_file():
        raise InputError(
            f"{folder} holds no recommender: give a folder that `hpsearch train` wrote of a study"
            " of collaborative filtering, such as movielens."
        )
    try:
        content = json.loads((folder / CONTENT).read_text("utf-8"))
        if content["format"] != _FORMAT:
            raise ValueError("another format")
        config = parse_config(CollabConfig, content["config"])
        user_ids, item_ids = _ids(content["user_ids"]), _ids(content["item_ids"])
        tensors = load_weights(folder / WEIGHTS)
        seen = _training_ratings(tensors, len(user_ids), len(item_ids))
        n_trained = (content["n_trained"][0], content["n_trained"][1])
        model = build_model(config, *n_trained)
        model = model.extended(
            *(
                torch.zeros(len(ids) - n, model.rows(side).shape[1])
                for side, ids, n in zip(SIDES, (user_ids, item_ids), n_trained, strict=True)
            )
        )
        load_state(model, with_prefix("model.", tensors))
        cold = {
            side: ColdStart.from_json(entry, with_prefix(f"cold.{side}.", tensors))
            for side, entry in content["cold"].items()
        }
        return SavedCollab(
            model=model.eval(),
            user_ids=user_ids,
            item_ids=item_ids,
            config=config,
            implicit=bool(content["implicit"]),
            **seen,
            columns=(content["columns"][0], content["columns"][1]),
            users=_table_from_json(content["users"]),
            items=_table_from_json(content["items"]),
            n_trained=n_trained,
            cold=cold,
            facts=dict(content["facts"]),
        )
    except Exception as error:  # whatever a stranger's JSON makes of it
        raise InputError(
            f"The recommender in {folder} cannot be read ({type(error).__name__}): its files are "
            "cut short or not of one model; train it again, or copy the whole folder."
        ) from error


def _ids(names: Sequence[object]) -> Ids:
    if not all(isinstance(name, str) for name in names):
        raise TypeError("an id is no text")
    if len(set(names)) < len(names):
        raise ValueError("an id is there twice")
    return Ids(tuple(map(str, names)))


def _training_ratings(tensors: dict[str, Tensor], n_users: int, n_items: int) -> dict[str, Any]:
    """Who rated what, and how, taken out of `tensors`. Raises ValueError where it cannot be so."""
    users, items, values = (tensors.pop(name) for name in SEEN)
    for numbers, count in ((users, n_users), (items, n_items)):
        if numbers.dtype != torch.int64 or numbers.ndim != 1 or len(numbers) != len(values):
            raise ValueError("the ratings are no columns of one length")
        if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < count:
            raise ValueError("a rating is of somebody or something unknown")
    if values.ndim != 1 or not values.is_floating_point():
        raise ValueError("the ratings are no numbers")
    return dict(zip(SEEN, (users.numpy(), items.numpy(), values.numpy()), strict=True))


def _known_and_new(known: pd.DataFrame | None, more: pd.DataFrame | None) -> pd.DataFrame | None:
    """The rows of `known`, then those of `more` that it has not."""
    if known is None or more is None:
        return known if more is None else more
    return pd.concat([known, more[~more.index.isin(known.index)]])


def _table_to_json(table: pd.DataFrame | None) -> Any:  # noqa: ANN401
    return None if table is None else json.loads(table.to_json(orient="table", double_precision=15))


def _table_from_json(content: Any) -> pd.DataFrame | None:  # noqa: ANN401
    if content is None:
        return None
    return pd.read_json(io.StringIO(json.dumps(content)), orient="table")
