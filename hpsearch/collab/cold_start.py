"""Users and items that training has not seen: their rows (factors and bias) from their metadata.

Two small tabular networks, one for users and one for items, learn after the main model, which stays
as it is: each is to give the rows that predict the training ratings best. So a row comes out no
further from the average than metadata can tell, and items count by how often they are rated.
How far that is, others say: networks that learn without a third of the users (or items) are asked
for theirs, and the share of the distance from the mean row that predicts their ratings best is what
is kept of it (cross-fitting, as in Breiman's stacking, 1996).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from hpsearch.collab.data import SIDES, Ids, Pairs, PreparedRatings, Side
from hpsearch.collab.metadata import Metadata
from hpsearch.collab.model import Link, Model
from hpsearch.collab.splits import Negatives, Rows
from hpsearch.tabular.config import TabularConfig
from hpsearch.tabular.losses import LossOf
from hpsearch.tabular.model import TabularModel
from hpsearch.tabular.preprocess import Encoded
from hpsearch.tabular.rows import EncodedRows
from hpsearch.tabular.run import TabularRun, new_model, outputs
from hpsearch.training.stages import Epoch, Stage

if TYPE_CHECKING:
    import pandas as pd

CONFIG = TabularConfig(layers="50", drop=0.5, lr=5e-3, wd=0.1, bs=256)
STEPS = 500
"""As many epochs as make so many, whatever the data's size. On MovieLens three times as many gain
no more than the noise (.002)."""
MOST_RATINGS = 500_000
"""A sample of so many is enough for so small a network."""
FOLDS = 3
MOST_MEASURED = 100_000
SHARES = tuple(k / 10 for k in range(11))
Fit = Callable[[Rows], TabularModel]
"""Numbers of examples -> a network that has learnt from these."""


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
        network.load_state_dict(dict(weights))
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
    """A network for users and one for items, where there is metadata to learn from; `progress`
    hears the share that is done."""
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
        rows, loss_of, who = _task(model, link, side, examples, place, metadata.encode(table))

        def tell(share: float, before: int = i) -> None:
            progress((before + share) / len(tables))

        start = model.rows(side)[0]
        fit = _fitting(metadata, start, rows, loss_of, seed, device, tell)
        network = _cross_fitted(fit, rows, who, loss_of, np.random.default_rng([seed, 2]))
        found[side] = ColdStart(metadata, network)
    return found


def with_described(
    model: Model,
    ids: Mapping[Side, Ids],
    tables: Mapping[Side, pd.DataFrame | None],
    cold: Mapping[Side, ColdStart],
) -> tuple[Model, Ids, Ids]:
    """(model, ids of users, ids of items) with those at the end whom `tables` describe and `ids`
    lack."""
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
    """The training ratings, or a sample of them; beside choices as many others as in training."""
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
    """What a network for `side` trains on, row by row: the metadata of the user (or item) of each
    rating and the rating's number; the loss of ratings when its outputs stand for their users'
    (or items') rows, and all else is as it is in the model; and whose each rating is."""
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


def _fitting(
    metadata: Metadata,
    start: Tensor,
    rows: EncodedRows,
    loss_of: LossOf,
    seed: int,
    device: str,
    progress: Callable[[float], None],
) -> Fit:
    """How a network learns from some of the `rows`; each of FOLDS + 1 in turn tells `progress`."""
    done = count()

    def fit(some: Rows) -> TabularModel:
        network = _network(metadata, len(start), device)
        network.init_weights(torch.Generator(device).manual_seed(seed))
        # It begins with little else than the average row for everybody.
        network.flat.weight["out"].mul_(0.1)
        network.flat.weight["out.bias"].copy_(start)
        part = EncodedRows(rows.codes[some], rows.numbers[some], rows.targets[some])
        run = TabularRun(CONFIG, network, part, seed=seed, device=device, loss_of=loss_of)
        before = next(done)
        _train(run, lambda share: progress((before + share) / (FOLDS + 1)))
        return network

    return fit


def _cross_fitted(
    fit: Fit, rows: EncodedRows, who: Rows, loss_of: LossOf, rng: np.random.Generator
) -> TabularModel:
    """The network of all `rows`, its outputs drawn to their mean as far as networks that lack a
    fold of users (or items, as `who` (rows,) has them) must be to predict that fold best."""
    everyone = np.unique(who)
    fold = (rng.permutation(len(everyone)) % FOLDS)[np.searchsorted(everyone, who)]
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
    """(some, width) rows of the main model."""
    device = str(network.weights.device)
    made = outputs(network, rows.codes[some], rows.numbers[some], device)
    return torch.from_numpy(made).to(device)


def _train(run: TabularRun, progress: Callable[[float], None]) -> None:
    epochs = math.ceil(STEPS / len(run.ends))
    stage = Stage("cold start", 0, (CONFIG.lr,), epochs)
    run.start_stage(stage)
    for k in range(epochs):
        run.train_epoch(Epoch(stage, k, k + 1, epochs), lambda done, total: None)
        progress((k + 1) / epochs)
