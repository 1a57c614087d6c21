"""Which ratings are trained on and which are held out, and items that a user did not choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hpsearch.errors import InputError
from hpsearch.trainers.collab.config import CollabConfig

if TYPE_CHECKING:
    from hpsearch.data.ratings import RatingsDataset

Rows = npt.NDArray[np.int64]


def split_rows(dataset: RatingsDataset, config: CollabConfig) -> tuple[Rows, Rows]:
    """Row numbers (training, held out), the same whatever the trial's seed.

    Raises InputError for an unknown fold, a split by time without times, or too few ratings.
    """
    n = len(dataset.ratings)
    rows, test = np.arange(n, dtype=np.int64), None
    if config.fold is not None:
        if config.fold not in dataset.folds:
            have = ", ".join(dataset.folds) or "none"
            raise InputError(
                f"The data {dataset.source} has no fold {config.fold!r}; its folds: {have}."
            )
        rows, test = (np.asarray(part, dtype=np.int64) for part in dataset.folds[config.fold])
    if config.hold_out == "test" and test is not None:
        return rows, test
    if len(rows) < 10:
        raise InputError(f"There are only {len(rows)} ratings; at least 10 are needed.")
    n_valid = max(1, round(config.valid_share * len(rows)))
    if config.split == "random":
        drawn = np.random.default_rng(config.split_seed).permutation(rows)
        return np.sort(drawn[n_valid:]), np.sort(drawn[:n_valid])
    if config.split == "time":
        return _latest(dataset, rows, n_valid)
    users = dataset.ratings["user"].to_numpy()[rows]
    return _of_each_user(users, rows, config)


def _latest(dataset: RatingsDataset, rows: Rows, n_valid: int) -> tuple[Rows, Rows]:
    if "time" not in dataset.ratings:
        raise InputError(
            f"The ratings of {dataset.source} have no times: choose another split than "
            '"time", or name their column with time = "..." in [data].'
        )
    order = rows[np.argsort(dataset.ratings["time"].to_numpy()[rows], kind="stable")]
    return np.sort(order[:-n_valid]), np.sort(order[-n_valid:])


def _of_each_user(
    users: npt.NDArray[np.object_], rows: Rows, config: CollabConfig
) -> tuple[Rows, Rows]:
    """Of each user's ratings the share, rounded down, so that everybody keeps at least one."""
    import pandas as pd

    codes = pd.factorize(users)[0]
    drawn = np.random.default_rng(config.split_seed).permutation(len(rows))
    order = drawn[np.argsort(codes[drawn], kind="stable")]  # user by user, in random order
    counts = np.bincount(codes)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    held = place < np.floor(config.valid_share * np.repeat(counts, counts))
    if not held.any():
        raise InputError(
            f"No user has {1 / config.valid_share:.0f} ratings, so that nothing can be held out "
            "of each: raise valid_share, or choose another split."
        )
    return np.sort(rows[order[~held]]), np.sort(rows[order[held]])


@dataclass(frozen=True)
class Negatives:
    """Draws items that a user did not choose, all of them with the same probability.

    `free` (users,) counts the items that are left to each user. Items are numbered from 1.
    """

    keys: Rows
    starts: Rows
    free: Rows
    n_items: int

    @classmethod
    def of(cls, users: Rows, items: Rows, n_users: int, n_items: int) -> Negatives:
        """Make it from the pairs (user, chosen item) of the training.

        User numbers are below `n_users`, item numbers below `n_items`. Item number 0 is ignored.
        """
        chosen = np.unique(users * n_items + items)
        chosen = chosen[chosen % n_items > 0]
        of_user, item = chosen // n_items, chosen % n_items - 1
        counts = np.bincount(of_user, minlength=n_users)
        starts = np.cumsum(counts) - counts
        # Before the j-th chosen item of a user there are (item - j) items that the user did not
        # choose. These counts ascend within each user.
        before = item - (np.arange(len(chosen)) - starts[of_user])
        return cls(of_user * n_items + before, starts, n_items - 1 - counts, n_items)

    def draw(self, users: Rows, rng: np.random.Generator) -> tuple[Rows, Rows]:
        """Draw one item for each of `users`; returns (users, items).

        Users who chose every item are left out of both.
        """
        users = users[self.free[users] > 0]
        nth = rng.integers(0, self.free[users])
        passed = np.searchsorted(self.keys, users * self.n_items + nth, side="right")
        return users, nth + passed - self.starts[users] + 1
