"""Users and items without ratings: what metadata says of them, in training, in the folder and in
prediction."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from hpsearch.errors import InputError
from hpsearch.trainers.collab import train as trainer
from hpsearch.trainers.collab.cold_start import Metadata
from hpsearch.trainers.collab.config import CollabConfig
from hpsearch.trainers.collab.prepare import number_ratings
from hpsearch.trainers.collab.saved import load_collab
from hpsearch.trainers.contract import TrialSetup

OTHER = {"user": "item", "item": "user"}
NEW = {"user": [f"u{i}" for i in range(0, 60, 5)], "item": [f"i{i}" for i in range(0, 40, 5)]}


def without(dataset, side, ids):
    """The data with all ratings of these users or items held out."""
    held = dataset.ratings[side].isin(ids).to_numpy()
    return replace(dataset, folds={"cold": (np.flatnonzero(~held), np.flatnonzero(held))})


def fit(dataset, folder, **params):
    """(the model on what the fold leaves, its metrics)."""
    data = number_ratings(dataset, CollabConfig(fold="cold", hold_out="test", k=5))
    params = {"epochs": 8, "bs": 16, "lr": 0.02, "n_factors": 8, **params}
    result = trainer.train(
        {"k": 5}, params, data, TrialSetup(seed=0, device="cpu", report=lambda _: None, keep=folder)
    )
    return load_collab(folder), result.metrics


def mse(predicted, ratings):
    return float(np.mean((predicted - ratings["rating"].to_numpy()) ** 2))


@pytest.mark.parametrize("model", ["dot-bias", "neural-net"])
@pytest.mark.parametrize("side", ["user", "item"])
def test_metadata_tells_the_taste_of_the_unseen(few_steps, dataset, tmp_path, side, model):
    """Of the made-up users sex decides the taste, of the items genre."""
    cold = without(dataset, side, NEW[side])
    held = cold.ratings.iloc[cold.folds["cold"][1]]
    saved, metrics = fit(cold, tmp_path / "with", model=model)
    bare, without_any = fit(replace(cold, users=None, items=None), tmp_path / "no", model=model)
    assert metrics["mse"] < 0.75 * without_any["mse"]
    for one, found in ((saved, metrics), (bare, without_any)):
        predicted = one.predict(held["user"], held["item"])
        assert mse(predicted, held) == pytest.approx(found["mse"], rel=1e-5)


def test_metadata_of_mere_chance_does_little_harm(few_steps, dataset, tmp_path):
    """What a network makes of it does not hold for users that it has not learnt from."""
    cold = without(dataset, "user", NEW["user"])
    kinds = np.random.default_rng(3).integers(0, 12, len(cold.users)).astype(str)
    chance = pd.DataFrame({"shoes": kinds}, index=cold.users.index)
    _, metrics = fit(replace(cold, users=chance, items=None), tmp_path / "with")
    _, without_any = fit(replace(cold, users=None, items=None), tmp_path / "no")
    assert metrics["mse"] < 1.02 * without_any["mse"]


@pytest.mark.parametrize("model", ["dot-bias", "neural-net"])
def test_metadata_may_come_after_training_too(few_steps, dataset, tmp_path, model):
    cold = without(dataset, "user", NEW["user"])
    held = cold.ratings.iloc[cold.folds["cold"][1]]
    then, _ = fit(cold, tmp_path / "then", model=model)
    known = replace(cold, users=dataset.users.drop(index=NEW["user"]))
    later, _ = fit(known, tmp_path / "later", model=model)
    n = later.n_trained[0]
    assert then.user_ids.names[: n - 1] == later.user_ids.names
    later = later.with_new(users=dataset.users[["sex", "age"]])
    assert set(later.user_ids.names) == set(dataset.users.index)
    ours, expected = (one.predict(held["user"], held["item"]) for one in (later, then))
    np.testing.assert_allclose(ours, expected, rtol=1e-5)
    with pytest.raises(InputError, match="no column 'sex'"):
        then.with_new(users=pd.DataFrame({"age": [30]}, index=["somebody"]))


def test_whom_nothing_is_known_of_is_the_average_of_the_ratings(few_steps, dataset, tmp_path):
    cold = without(replace(dataset, users=None, items=None), "user", NEW["user"])
    saved, _ = fit(cold, tmp_path)
    counts = np.bincount(saved.seen_users)[1:]
    rows = saved.model.users.numpy()
    np.testing.assert_allclose(rows[0], counts @ rows[1:] / counts.sum(), rtol=1e-4, atol=1e-6)
    stranger = saved.predict(["nobody"] * 40, saved.item_ids.names)
    same = saved.predict(["somebody"] * 40, saved.item_ids.names)
    assert np.array_equal(stranger, same)


def test_choices_of_items_that_nobody_chose_before(few_steps, dataset, tmp_path):
    """Sex decides what half of the items a made-up user likes; the unseen ones can be ranked."""
    liked = dataset.ratings[dataset.ratings["rating"] > 3].drop(columns="rating")
    liked = liked.reset_index(drop=True)
    cold = without(replace(dataset, ratings=liked), "item", NEW["item"])
    _, with_metadata = fit(cold, tmp_path / "with")
    _, bare = fit(replace(cold, users=None, items=None), tmp_path / "no")
    assert bare["recall"] == 0
    assert with_metadata["recall"] > 0.2


def test_the_trained_rows_stay_as_they_are(few_steps, dataset, tmp_path):
    cold = without(dataset, "item", NEW["item"])
    saved, _ = fit(cold, tmp_path / "with")
    bare, _ = fit(replace(cold, users=None, items=None), tmp_path / "no")
    assert saved.n_trained == bare.n_trained == (61, 33)
    assert torch.equal(saved.model.items[:33], bare.model.items)
    assert saved.item_ids.names[:32] == bare.item_ids.names


def test_metadata_of_all_kinds():
    table = pd.DataFrame(
        {
            "title": [f"Film {i}" for i in range(30)],  # a name
            "genres": ["Comedy|Drama", "Drama", ""] * 10,
            "country": ["NL", None, "FR"] * 10,
            "year": [1990.0, np.nan, 2001.0] * 10,
            "same": [1] * 30,
        }
    )
    metadata = Metadata.learn(table)
    assert dict(metadata.parts) == {"genres": ("Drama", "Comedy")}
    categories = {"genres: Drama", "genres: Comedy", "country", "year"}  # two years are two kinds
    assert set(metadata.preprocessor.categories) == categories
    known = metadata.encode(table)
    again = Metadata.from_json(metadata.to_json()).encode(table[::-1])
    assert np.array_equal(again.codes[::-1], known.codes)
    # A part is a whole one: "Dramatic" is no Drama, and unseen cells are code 0.
    other = pd.DataFrame({"genres": ["Dramatic|Comedy"], "country": ["XX"], "year": [1990.0]})
    codes = dict(
        zip(metadata.preprocessor.categories, metadata.encode(other).codes[0], strict=False)
    )
    alone = dict(zip(metadata.preprocessor.categories, known.codes[2], strict=False))
    assert codes["genres: Drama"] == alone["genres: Drama"]
    assert codes["genres: Comedy"] != alone["genres: Comedy"]
    assert codes["country"] == 0


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"title": [f"Film {i}" for i in range(30)]}),
        pd.DataFrame({"same": ["x"] * 30}),
        pd.DataFrame({"sex": ["F", "M"] * 4}),
        pd.DataFrame(index=range(30)),
    ],
)
def test_metadata_that_tells_nothing(table):
    assert Metadata.learn(table) is None


@pytest.mark.parametrize("side", ["user", "item"])
def test_on_movielens_metadata_beats_means_and_index_0(real, tmp_path, side):
    """One draw of a fifth of the users, or films; bench_cold_start.py has more."""
    ids = np.array(sorted(set(real.ratings[side])))
    cold = without(real, side, np.random.default_rng(7).permutation(ids)[: len(ids) // 5])
    train, held = (cold.ratings.iloc[rows] for rows in cold.folds["cold"])
    cold = replace(cold, **{f"{OTHER[side]}s": None})
    saved, metrics = fit(cold, tmp_path, epochs=5, bs=64, lr=5e-3, n_factors=50)
    mean, means = train["rating"].mean(), train.groupby(OTHER[side])["rating"].mean()
    assert metrics["mse"] < mse(mean, held)
    assert metrics["mse"] < mse(held[OTHER[side]].map(means).fillna(mean).to_numpy(), held)
    n = saved.n_trained[side == "item"]
    saved.model.rows(f"{side}s")[[0, *range(n, len(saved.model.rows(f"{side}s")))]] = 0.0
    assert metrics["mse"] < mse(saved.predict(held["user"], held["item"]), held)
