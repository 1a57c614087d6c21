"""How well few ratings of people whom training never saw predict their others, for a test and a
benchmark."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from hpsearch.trainers.collab import train as trainer
from hpsearch.trainers.collab.config import CollabConfig
from hpsearch.trainers.collab.prepare import number_ratings
from hpsearch.trainers.collab.recommender.new_user import fit_user, scores_for, user_prior
from hpsearch.trainers.collab.saved import load_collab
from hpsearch.trainers.contract import TrialSetup

SHRINK = 5  # ratings that a mean is drawn by towards the overall one


def train_without(dataset, n_people, *, seed=0, **config):
    """(a model of the ratings of all but `n_people` random people, the ratings of these)."""
    people = np.random.default_rng([seed, 1]).permutation(sorted(set(dataset.ratings["user"])))
    new = dataset.ratings["user"].isin(people[:n_people]).to_numpy()
    ratings = dataset.ratings[~new].reset_index(drop=True)
    others = replace(dataset, ratings=ratings, folds={}, users=None, items=None)
    config = CollabConfig(valid_share=0.1, **config)
    data = number_ratings(others, config)
    with tempfile.TemporaryDirectory() as folder:
        trainer.train_collab(
            config,
            data,
            TrialSetup(seed=seed, device="cpu", report=lambda _: None, keep=Path(folder)),
        )
        return load_collab(Path(folder)), dataset.ratings[new]


def errors(saved, ratings, n_ratings):
    """Mean over people of the mean squared error on all but `n_ratings` random ones of their
    ratings: with a vector solved for from these, and without the model."""
    overall = saved.seen_values.mean()
    counts = np.bincount(saved.seen_items, minlength=len(saved.item_ids))
    sums = np.bincount(saved.seen_items, saved.seen_values, minlength=len(saved.item_ids))
    means = (sums + SHRINK * overall) / (counts + SHRINK)
    average = user_prior(saved)[0]
    found = {"solved for": [], "average user": [], "item mean": [], "item and user mean": []}
    for number, (_, own) in enumerate(ratings.groupby("user")):
        items = saved.item_ids.numbers(own["item"])
        items, values = items[items > 0], own["rating"].to_numpy()[items > 0]
        order = np.random.default_rng(number).permutation(len(items))
        few, rest = order[:n_ratings], order[n_ratings:]
        vector = fit_user(saved, items[few], values[few])
        shift = (values[few] - means[items[few]]).sum() / (n_ratings + SHRINK)
        for name, predicted in (
            ("solved for", _predict(saved, vector, items[rest])),
            ("average user", _predict(saved, average, items[rest])),
            ("item mean", means[items[rest]]),
            ("item and user mean", means[items[rest]] + shift),
        ):
            found[name].append(np.square(predicted - values[rest]).mean())
    return {name: float(np.mean(each)) for name, each in found.items()}


def _predict(saved, vector, items):
    with torch.no_grad():
        scores = scores_for(saved.model, vector.float(), torch.from_numpy(items))
        return saved.link.predict(scores).numpy()
