"""How good a model is: errors of its ratings, and its rankings of what a user did not choose."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hpsearch.trainers.collab.model import DotBias, Link, Model
from hpsearch.trainers.collab.prepare import Pairs, PreparedRatings
from hpsearch.trainers.collab.split_ratings import Negatives
from hpsearch.trainers.shared.metrics import errors

_CHUNK = 2**16
_USERS = 256


def predict_scores(model: Model, users: Tensor, items: Tensor) -> Tensor:
    """Scores (n,) of any number of pairs, in their order."""
    model.eval()
    with torch.no_grad():
        chunks = zip(torch.split(users, _CHUNK), torch.split(items, _CHUNK), strict=True)
        return torch.cat([model(*chunk) for chunk in chunks])


def ranking_metrics(
    hits: npt.NDArray[np.bool_], wanted: npt.NDArray[np.int64], k: int
) -> dict[str, float]:
    """Compute the means over users of recall, NDCG and average precision at `k`.

    Recall is hits / wanted. The best possible ranking, with all of min(wanted, k) items at the top,
    has NDCG and average precision 1.

    Args:
        hits: Which of a user's ranked items the user chose (users, k or fewer places).
        wanted: How many items the user chose in all (users,), at least 1.
    """
    hits = hits[:, :k]
    places = np.arange(1, hits.shape[1] + 1)
    gains = 1 / np.log2(places + 1)
    best = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(1, k + 1) + 1))])
    possible = np.minimum(wanted, k)
    precision = np.cumsum(hits, 1) / places
    return {
        "recall": float((hits.sum(1) / wanted).mean()),
        "ndcg": float(((hits * gains).sum(1) / best[possible]).mean()),
        "map": float(((hits * precision).sum(1) / possible).mean()),
    }


def measure_ranking(
    model: Model,
    train: Pairs,
    valid: Pairs,
    who: npt.NDArray[Any],
    n_items: int,
    k: int,
    device: str,
) -> dict[str, float]:
    """Compute the ranking metrics over all items that a user did not choose in training.

    A held-out item that training does not know can never be hit, but counts as wanted.

    Args:
        who: Whose each held-out choice is (held-out choices,). The numbers in `valid` do not say
            it: all users that training does not know have number 0.
    """
    _, first, where = np.unique(who, return_index=True, return_inverse=True)
    users, wanted = valid.users[first], np.bincount(where)
    hits = []
    for start in range(0, len(users), _USERS):
        some = users[start : start + _USERS]
        scores = all_scores(model, some, n_items, device)
        scores[:, 0] = -torch.inf
        known, place = np.unique(some, return_inverse=True)
        mask = _grid(known, train, n_items)[place]
        scores[torch.from_numpy(mask & (some > 0)[:, None]).to(device)] = -torch.inf
        top = scores.topk(min(k, n_items), 1)
        here = (where >= start) & (where < start + len(some))
        chosen = np.zeros((len(some), n_items), dtype=bool)
        chosen[where[here] - start, valid.items[here]] = True
        chosen[:, 0] = False
        order = top.indices.cpu().numpy()
        hits.append(np.take_along_axis(chosen, order, 1) & top.values.isfinite().cpu().numpy())
    return ranking_metrics(np.concatenate(hits), wanted, k)


def all_scores(model: Model, users: npt.NDArray[np.int64], n_items: int, device: str) -> Tensor:
    """Scores (users, n_items) of every item number for each of the `users`."""
    numbers = torch.from_numpy(users).to(device)
    if isinstance(model, DotBias):
        return model.all_scores(numbers)
    left = numbers.repeat_interleave(n_items)
    right = torch.arange(n_items, device=device).repeat(len(users))
    return predict_scores(model, left, right).view(len(users), n_items)


def _grid(users: npt.NDArray[np.int64], pairs: Pairs, n_items: int) -> npt.NDArray[np.bool_]:
    """(users, n_items): which items each of the sorted `users` has among the `pairs`."""
    place = np.minimum(np.searchsorted(users, pairs.users), len(users) - 1)
    own = users[place] == pairs.users
    grid = np.zeros((len(users), n_items), dtype=bool)
    grid[place[own], pairs.items[own]] = True
    return grid


class Measure:
    """Metrics and loss of a model on the held-out ratings, which are put on the device once."""

    def __init__(
        self, data: PreparedRatings, link: Link, negatives: int, k: int, device: str
    ) -> None:
        self.data, self.link, self.k, self.device = data, link, k, device
        valid = data.valid
        users, items, values = valid.users, valid.items, valid.values
        if data.implicit:
            # Beside the held-out choices as many negatives as in training, always the same.
            sampler = Negatives.of(
                data.train.users, data.train.items, len(data.user_ids), len(data.item_ids)
            )
            drawn = sampler.draw(np.repeat(users, negatives), np.random.default_rng(0))
            users, items = np.concatenate([users, drawn[0]]), np.concatenate([items, drawn[1]])
            values = np.concatenate([values, np.zeros(len(drawn[0]), dtype=np.float32)])
        self.users, self.items, self.values = (
            torch.from_numpy(part).to(device) for part in (users, items, values)
        )

    def __call__(self, model: Model) -> tuple[dict[str, float], float]:
        """(metrics, loss)."""
        scores = predict_scores(model, self.users, self.items)
        loss = float(self.link.loss(scores, self.values))
        if not self.data.implicit:
            predicted = self.link.predict(scores).cpu().numpy()
            return errors(predicted, self.data.valid.values), loss
        n_items = len(self.data.item_ids)
        train, valid, who = self.data.train, self.data.valid, self.data.valid_names[0]
        return measure_ranking(model, train, valid, who, n_items, self.k, self.device), loss
