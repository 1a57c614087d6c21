"""What a recommender is worth: means of users and items beside it, or the most popular items."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hpsearch.core.console import Progress
from hpsearch.trainers.collab.config import CollabConfig
from hpsearch.trainers.collab.metrics import Measure, measure_ranking
from hpsearch.trainers.collab.model import DotBias
from hpsearch.trainers.collab.prepare import Pairs, PreparedRatings, Values
from hpsearch.trainers.collab.saved import load_collab
from hpsearch.trainers.shared.assessment import Assessment, Baseline, assess_numbers
from hpsearch.trainers.shared.config_fields import parse_config
from hpsearch.trainers.shared.metrics import errors

ITEM_DAMPING, USER_DAMPING = 25, 10
"""So many ratings at the mean are added to each item's and to each user's (Koren 2010, section
2.1)."""


def is_cheap(data: PreparedRatings) -> bool:
    """Means take no time."""
    return True


def baseline(settings: Mapping[str, Any], data: PreparedRatings) -> Baseline:
    """The mean of all ratings plus what the item's and the user's differ by, damped; of choices the
    same ranking for everyone, the items chosen most first."""
    if data.implicit:
        config = parse_config(CollabConfig, settings)
        return Baseline("the most popular items", _popular(data, config.k))
    predicted = damped_means(data, data.valid)
    return Baseline("damped means of users and items", errors(predicted, data.valid.values))


def damped_means(data: PreparedRatings, pairs: Pairs) -> Values:
    """Predicted ratings (pairs,). Users and items that the training ratings lack are average."""
    train = data.train
    mean = train.values.mean(dtype=np.float64)

    def bias(numbers: Any, left: Any, n: int, damping: float) -> Any:  # noqa: ANN401
        found = np.bincount(numbers, left, n) / (damping + np.bincount(numbers, minlength=n))
        found[0] = 0.0
        return found

    items = bias(train.items, train.values - mean, len(data.item_ids), ITEM_DAMPING)
    left = train.values - mean - items[train.items]
    users = bias(train.users, left, len(data.user_ids), USER_DAMPING)
    predicted = mean + items[pairs.items] + users[pairs.users]
    low, high = train.values.min(), train.values.max()
    return np.asarray(np.clip(predicted, low, high), np.float32)


def _popular(data: PreparedRatings, k: int) -> dict[str, float]:
    """The ranking metrics of a model whose score of an item is how often it was chosen."""
    n_users, n_items = len(data.user_ids), len(data.item_ids)
    model = DotBias(0, n_users, n_items)
    counts = np.bincount(data.train.items, minlength=n_items)
    model.items[:, -1] = torch.from_numpy(counts)
    who = data.valid_names[0]
    return measure_ranking(model, data.train, data.valid, who, n_items, k, "cpu")


def assess(
    folder: Path,
    data: PreparedRatings,
    *,
    test: bool,
    metric: str,
    device: str,
    progress: Progress,
) -> Assessment:
    """See `hpsearch.trainers.shared.assessment.Assessor`. There are no test ratings beside the
    held-out ones."""
    saved = load_collab(folder)
    counts = {"training": len(data.train), "held-out": len(data.valid)}
    if data.implicit:
        whole = data.with_ids(saved.user_ids, saved.item_ids)
        measure = Measure(whole, saved.link, saved.config.negatives, saved.config.k, device)
        metrics, _ = measure(saved.model.to(device))
        return Assessment("choices", counts, "held-out", metrics, {})
    users, items = data.valid_names
    predicted = saved.predict(users.tolist(), items.tolist(), device=device)
    titles = dict(zip(saved.item_ids.names, saved.titles(), strict=True))

    def show(row: int) -> tuple[str, str]:
        return f"user {users[row]}", titles.get(items[row], str(items[row]))

    fields = assess_numbers(predicted, data.valid.values, show)
    return Assessment("ratings", counts, "held-out", **fields)
