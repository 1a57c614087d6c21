"""Users and films that training has not seen: metadata beside means and beside index 0.

    HPSEARCH_DATA=../shared/data OMP_NUM_THREADS=1 python tests/benchmarks/bench_cold_start.py

MovieLens 100K. A fifth of the users (then of the films) is held out with all their ratings; the
study's default model trains on the others', with metadata and without. Mean squared errors over
several draws of the fifth, of

    global mean     of the training ratings, for every held-out one
    other's mean    the film's mean rating for a held-out user, the user's for a held-out film
    index 0         as fastai leaves it: a row that weight decay alone has touched
    average         index 0 filled with the average row, as it is here where there is no metadata
    metadata        rows from age, sex and occupation, or from genres and year

What is above metadata comes with two standard errors: of the draws, and of the people (or films)
whose ratings were held out, which tells more, as they are many. Exits with 1 unless metadata has
the lowest mean of all.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from hpsearch.data.ratings import load_ratings
from hpsearch.trainers.collab import train as trainer
from hpsearch.trainers.collab.config import CollabConfig
from hpsearch.trainers.collab.prepare import number_ratings
from hpsearch.trainers.collab.saved import load_collab
from hpsearch.trainers.contract import TrialSetup

OTHER = {"user": "item", "item": "user"}


def held_out(ratings, side, seed, share=0.2):
    """(rows to train on, rows of a random share of the users or films)."""
    ids = np.array(sorted(set(ratings[side])), dtype=object)
    drawn = np.random.default_rng(seed).permutation(ids)[: round(share * len(ids))]
    mask = ratings[side].isin(drawn).to_numpy()
    return np.flatnonzero(~mask), np.flatnonzero(mask)


def errors_of(dataset, side, seed, params):
    """Squared errors on the held-out rows, by what predicts, indexed by the user or film."""
    rows, held = held_out(dataset.ratings, side, seed)
    train, test = dataset.ratings.iloc[rows], dataset.ratings.iloc[held]
    whole = replace(dataset, folds={"cold": (rows, held)})
    bare = replace(whole, users=None, items=None)
    config = CollabConfig(fold="cold", hold_out="test")
    mean, means = train["rating"].mean(), train.groupby(OTHER[side])["rating"].mean()
    predicted = {
        "global mean": mean,
        "other's mean": test[OTHER[side]].map(means).fillna(mean).to_numpy(),
    }
    for name, data in (("average", bare), ("metadata", whole)):
        with tempfile.TemporaryDirectory() as folder:
            trainer.train(
                {},
                params,
                number_ratings(data, config),
                TrialSetup(seed=seed, device="cpu", report=lambda _: None, keep=Path(folder)),
            )
            saved = load_collab(Path(folder))
        predicted[name] = saved.predict(test["user"], test["item"])
        if name == "average":
            saved.model.rows(f"{side}s")[0] = 0.0
            predicted["index 0"] = saved.predict(test["user"], test["item"])
    truth = test["rating"].to_numpy()
    errors = {name: (value - truth) ** 2 for name, value in predicted.items()}
    return pd.DataFrame(errors, index=test[side])


def paired_error(errors, name):
    """Standard error of how far `name` is above metadata, with the users (or films) as the draws of
    a ratio: the sum of the differences to the number of ratings."""
    apart = errors[name] - errors["metadata"]
    of_each = apart.groupby(level=0).agg(["sum", "count"])
    rest = of_each["sum"] - apart.mean() * of_each["count"]
    return float(np.sqrt((rest**2).sum()) / len(apart))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--first", type=int, default=100)
    given = parser.parse_args()
    dataset = load_ratings({"source": "movielens-100k"}, path=None, progress=lambda *_: None)
    print(dataset.source)
    best = True
    for side in OTHER:
        draws = [errors_of(dataset, side, given.first + k, {}) for k in range(given.draws)]
        found, together = pd.DataFrame(one.mean() for one in draws), pd.concat(draws)
        apart = found.sub(found["metadata"], axis=0)
        table = pd.DataFrame(
            {
                "MSE": found.mean(),
                "above metadata": apart.mean(),
                "of the draws": apart.sem(),
                f"of the {side}s": {name: paired_error(together, name) for name in found},
                "worse in": (apart > 0).sum(),
            }
        )
        print(f"\nheld-out {side}s, {given.draws} draws\n{table.round(4).to_string()}")
        best &= found.mean().idxmin() == "metadata"
    sys.exit(not best)


if __name__ == "__main__":
    main()
