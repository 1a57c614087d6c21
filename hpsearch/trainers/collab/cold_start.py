"""Rows (factors and bias) for users and items that training has not seen, from their metadata.

Two small tabular networks, one for users and one for items, train after the main model, which does
not change any more. A network maps metadata to rows of the main model, and it learns the rows that
predict the training ratings best. So a row moves away from the average only as far as the metadata
justify, and an item counts by the number of its ratings.

A network that has seen a user's ratings trusts that user's metadata too much. Therefore the
distance from the mean row is shrunk by cross-fitting (as in Breiman's stacking, 1996): networks
that train without a third of the users (or items) predict the ratings of that third, and the share
of the distance that predicts them best is kept.

The metadata are read here, too, as codes and numbers for a tabular network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from pandas.api import types
from torch import Tensor

from hpsearch.errors import InputError
from hpsearch.trainers.collab.model import Link, Model
from hpsearch.trainers.collab.prepare import SIDES, Ids, Pairs, PreparedRatings, Side
from hpsearch.trainers.collab.split_ratings import Negatives, Rows
from hpsearch.trainers.shared.stages import Epoch, Stage
from hpsearch.trainers.shared.weights import load_state
from hpsearch.trainers.tabular.config import TabularConfig
from hpsearch.trainers.tabular.network.fit import TabularFit, new_model, outputs
from hpsearch.trainers.tabular.network.losses import LossOf
from hpsearch.trainers.tabular.network.model import TabularModel
from hpsearch.trainers.tabular.table.columns import infer_columns
from hpsearch.trainers.tabular.table.encoded_rows import EncodedRows
from hpsearch.trainers.tabular.table.preprocess import Encoded, Preprocessor

if TYPE_CHECKING:
    import pandas as pd


SEPARATOR = "|"
"""Between the parts of a cell with several, such as Comedy|Romance."""
MOST_PARTS = 100
FEWEST = 10
"""Fewer users or items teach nothing about others."""
_ROW = "the number of the row"


@dataclass(frozen=True)
class Metadata:
    """How a table of metadata is read.

    `parts` holds, for each column whose cells list several values such as Comedy|Romance, these
    values. Each of them becomes a column of its own, yes or no.
    """

    parts: Mapping[str, tuple[str, ...]]
    preprocessor: Preprocessor

    @staticmethod
    def learn(table: pd.DataFrame) -> Metadata | None:
        """Learn from the users or items of the training ratings how such a table is read.

        Returns None if a network could learn nothing from the table.
        """
        if len(table) < FEWEST:
            return None
        parts = {name: _parts(table[name]) for name in table if _has_parts(table[name])}
        split = _split(table, parts)
        split = split[[name for name in split if _is_of_use(split[name])]]
        if not len(split.columns):
            return None
        numbered = split.assign(**{_ROW: np.arange(len(split))})  # infer_columns wants a target
        columns = infer_columns(numbered, _ROW, task="regression")
        return Metadata(parts, Preprocessor.fit(split, columns))

    def encode(self, table: pd.DataFrame) -> Encoded:
        """Rows of any table with the columns learned from. Raises InputError if one is missing."""
        return self.preprocessor.transform(_split(table, self.parts))

    def to_json(self) -> dict[str, Any]:
        parts = [[name, list(names)] for name, names in self.parts.items()]
        return {"parts": parts, "preprocessor": self.preprocessor.to_json()}

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> Metadata:
        return Metadata(
            {name: tuple(names) for name, names in content["parts"]},
            Preprocessor.from_json(content["preprocessor"]),
        )


def _has_parts(column: pd.Series) -> bool:
    if types.is_numeric_dtype(column.dtype) or not types.is_string_dtype(column.dropna()):
        return False
    return bool(column.str.contains(SEPARATOR, regex=False, na=False).any())


def _parts(column: pd.Series) -> tuple[str, ...]:
    """The most common values of the column's cells, at most MOST_PARTS."""
    counts = column.dropna().str.split(SEPARATOR).explode().value_counts()
    return tuple(str(part) for part in counts.index if part)[:MOST_PARTS]


def _split(table: pd.DataFrame, parts: Mapping[str, tuple[str, ...]]) -> pd.DataFrame:
    """The table with columns for the parts in the place of those that had them."""
    made = {}
    for name in parts:
        if name not in table:
            raise InputError(f"The table has no column {name!r}, which the model was trained on.")
        cells = SEPARATOR + table[name].astype("str").fillna("") + SEPARATOR
        for part in parts[name]:
            bounded = f"{SEPARATOR}{part}{SEPARATOR}"
            made[f"{name}: {part}"] = cells.str.contains(bounded, regex=False)
    return table.drop(columns=list(parts)).assign(**made)


def _is_of_use(column: pd.Series) -> bool:
    """Not a constant, and not a name (of which fewer than one in three occurs twice)."""
    n = column.nunique(dropna=False)
    measured = types.is_numeric_dtype(column.dtype) or types.is_datetime64_any_dtype(column.dtype)
    return bool(n > 1 and (measured or n <= len(column) / 3))


CONFIG = TabularConfig(layers="50", drop=0.5, lr=5e-3, wd=0.1, bs=256)
STEPS = 500
"""As many epochs as make so many, whatever the data's size. On MovieLens three times as many gain
no more than the noise (.002)."""
MOST_RATINGS = 500_000
"""A sample of so many is enough for so small a network."""
FOLDS = 3
MOST_MEASURED = 100_000
SHARES = tuple(k / 10 for k in range(11))
FitNetwork = Callable[[Rows], TabularModel]
"""fit_network(indices of examples) -> a network that has trained on these."""


@dataclass(frozen=True)
class ColdStart:
    """A network from the metadata of users, or of items, to their rows in the main model."""

    metadata: Metadata
    network: TabularModel

    def rows(self, table: pd.DataFrame) -> Tensor:
        """(n, width) of what `table` says about n users or items.

        Raises InputError if a column is missing.
        """
        encoded = self.metadata.encode(table)
        device = str(self.network.weights.device)
        return torch.from_numpy(outputs(self.network, encoded.codes, encoded.numbers, device))

    def to_json(self) -> dict[str, Any]:
        return {**self.metadata.to_json(), "width": self.network.sizes.n_out}

    @staticmethod
    def from_json(content: Mapping[str, Any], weights: Mapping[str, Tensor]) -> ColdStart:
        """What `to_json` and the network's state made."""
        metadata = Metadata.from_json(content)
        network = _network(metadata, content["width"], "cpu")
        load_state(network, weights)
        return ColdStart(metadata, network)


def fit_cold_starts(
    model: Model,
    link: Link,
    data: PreparedRatings,
    negatives: int,
    *,
    seed: int,
    device: str,
    progress: Callable[[float], None] = lambda share: None,
) -> dict[Side, ColdStart]:
    """Train a network for users and one for items, where there are metadata to learn from.

    Args:
        model: The trained main model, which stays as it is.
        negatives: How many items that a user did not choose are drawn beside each choice.
        progress: Hears the share that is done.

    Returns:
        The networks by "users" and "items"; a side without metadata is left out.
    """
    model.eval()
    examples = _examples(data, negatives, np.random.default_rng([seed, 1]))
    found: dict[Side, ColdStart] = {}
    tables = {side: table for side, table in data.tables.items() if table is not None}
    for i, (side, table) in enumerate(tables.items()):
        # Where in the table each number is described, -1 if it is not.
        place = np.append(-1, table.index.get_indexer(list(data.ids[side].names)))
        metadata = Metadata.learn(table.iloc[place[place >= 0]])
        if metadata is None:
            continue
        rows, loss_of, owners = _task(model, link, side, examples, place, metadata.encode(table))

        def tell(share: float, before: int = i) -> None:
            progress((before + share) / len(tables))

        start = model.rows(side)[0]
        fit = _fit_on_rows(metadata, start, rows, loss_of, seed, device, tell)
        network = _cross_fitted(fit, rows, owners, loss_of, np.random.default_rng([seed, 2]))
        found[side] = ColdStart(metadata, network)
    return found


def with_described(
    model: Model,
    ids: Mapping[Side, Ids],
    tables: Mapping[Side, pd.DataFrame | None],
    cold: Mapping[Side, ColdStart],
) -> tuple[Model, Ids, Ids]:
    """Append to the model the users and items that `tables` describe and `ids` lack.

    Returns:
        (model, ids of users, ids of items), with the new ones at the end.
    """
    rows = {side: model.rows(side)[:0] for side in SIDES}
    names = {side: ids[side].names for side in SIDES}
    for side, cold_start in cold.items():
        table = tables.get(side)
        if table is None:
            continue
        new = table[ids[side].numbers(table.index) == 0]
        if len(new):
            rows[side] = cold_start.rows(new).to(model.rows(side).device)
            names[side] += tuple(new.index)
    extended = model.extended(rows["users"], rows["items"])
    return extended, Ids(names["users"]), Ids(names["items"])


def _examples(data: PreparedRatings, negatives: int, rng: np.random.Generator) -> Pairs:
    """The training ratings, at most MOST_RATINGS of them, drawn at random.

    Beside choices there are as many negatives as in training.
    """
    train = data.train
    some = rng.permutation(len(train))[:MOST_RATINGS]
    users, items, values = train.users[some], train.items[some], train.values[some]
    if data.implicit:
        sampler = Negatives.of(train.users, train.items, len(data.user_ids), len(data.item_ids))
        drawn = sampler.draw(np.repeat(users, negatives), rng)
        users, items = np.concatenate([users, drawn[0]]), np.concatenate([items, drawn[1]])
        values = np.concatenate([values, np.zeros(len(drawn[0]), dtype=np.float32)])
    return Pairs(users, items, values)


def _network(metadata: Metadata, width: int, device: str) -> TabularModel:
    preprocessor = metadata.preprocessor
    return new_model(CONFIG, preprocessor.n_categories, preprocessor.n_continuous, width, device)


def _task(
    model: Model, link: Link, side: Side, examples: Pairs, place: Rows, encoded: Encoded
) -> tuple[EncodedRows, LossOf, Rows]:
    """What a network for `side` trains on. For side "users":

    Returns:
        rows: For each rating, the metadata of its user, and as the target the rating's index.
        loss_of: The loss of given ratings if the network's outputs replace the rows of their users
            in the model.
        owners: For each rating, the user's place in the table of metadata (rows,).
    """
    users_turn = side == "users"
    mine, others = examples.users, examples.items
    if not users_turn:
        mine, others = others, mine
    (known,) = np.nonzero(place[mine] >= 0)
    where = place[mine[known]]
    rows = EncodedRows(encoded.codes[where], encoded.numbers[where], np.arange(len(known)))
    fixed = model.rows("items" if users_turn else "users")
    across = torch.from_numpy(others[known]).to(fixed.device)
    wanted = torch.from_numpy(examples.values[known]).to(fixed.device)

    def loss_of(out: Tensor, ratings: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            given = out.detach().requires_grad_()
            other = fixed[across[ratings]]
            scores = model.score(given, other) if users_turn else model.score(other, given)
            loss = link.loss(scores, wanted[ratings])
            (back,) = torch.autograd.grad(loss, given)
        return loss.detach(), back

    return rows, loss_of, where


def _fit_on_rows(
    metadata: Metadata,
    start: Tensor,
    rows: EncodedRows,
    loss_of: LossOf,
    seed: int,
    device: str,
    progress: Callable[[float], None],
) -> FitNetwork:
    """A function that trains a new network on some of the `rows`.

    It is called FOLDS + 1 times, and `progress` hears the share of all these trainings.
    """
    done = count()

    def fit(some: Rows) -> TabularModel:
        network = _network(metadata, len(start), device)
        network.init_weights(torch.Generator().manual_seed(seed))
        # It begins with little else than the average row for everybody.
        network.flat.weight["out"].mul_(0.1)
        network.flat.weight["out.bias"].copy_(start)
        part = EncodedRows(rows.codes[some], rows.numbers[some], rows.targets[some])
        tabular_fit = TabularFit(CONFIG, network, part, seed=seed, device=device, loss_of=loss_of)
        before = next(done)
        _train(tabular_fit, lambda share: progress((before + share) / (FOLDS + 1)))
        return network

    return fit


def _cross_fitted(
    fit: FitNetwork, rows: EncodedRows, owners: Rows, loss_of: LossOf, rng: np.random.Generator
) -> TabularModel:
    """Train the network on all `rows`, and shrink its outputs towards their mean.

    How far is found by cross-fitting: for each fold of the `owners` (users or items), a network
    trains without it, and each of SHARES is tried for the prediction of that fold's ratings.

    Args:
        fit: Trains a new network on some of the rows.
        owners: The user (or item) of each row (rows,).
    """
    everyone = np.unique(owners)
    fold = (rng.permutation(len(everyone)) % FOLDS)[np.searchsorted(everyone, owners)]
    measured = rng.permutation(len(rows))[:MOST_MEASURED]
    losses = np.zeros(len(SHARES))
    for k in range(FOLDS):
        network = fit(np.flatnonzero(fold != k))
        out = _outputs(network, rows, measured)
        own = torch.from_numpy(fold[measured] == k).to(out.device)
        if not own.any() or own.all():
            continue
        mean, mine = out[~own].mean(0), out[own]
        ratings = torch.from_numpy(rows.targets[measured]).to(out.device)[own]
        for i, share in enumerate(SHARES):
            losses[i] += len(mine) * loss_of(torch.lerp(mean, mine, share), ratings)[0].item()
    network = fit(np.arange(len(rows)))
    mean = _outputs(network, rows, measured).mean(0)
    share = SHARES[int(losses.argmin())]
    network.flat.weight["out"].mul_(share)
    bias = network.flat.weight["out.bias"]
    bias.copy_(torch.lerp(mean, bias, share))
    return network


def _outputs(network: TabularModel, rows: EncodedRows, some: Rows) -> Tensor:
    """The network's outputs for some rows: rows of the main model (some, width)."""
    device = str(network.weights.device)
    made = outputs(network, rows.codes[some], rows.numbers[some], device)
    return torch.from_numpy(made).to(device)


def _train(tabular_fit: TabularFit, progress: Callable[[float], None]) -> None:
    epochs = math.ceil(STEPS / len(tabular_fit.ends))
    stage = Stage("cold start", 0, (CONFIG.lr,), epochs)
    tabular_fit.start_stage(stage)
    for k in range(epochs):
        tabular_fit.train_epoch(Epoch(stage, k, k + 1, epochs), lambda done, total: None)
        progress((k + 1) / epochs)
