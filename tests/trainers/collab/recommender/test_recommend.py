"""What a trained recommender says of made-up films: half are comedies and half horror, and each
user likes one kind."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

import hpsearch
from hpsearch.errors import InputError
from hpsearch.trainers.collab import train as trainer
from hpsearch.trainers.collab.config import CollabConfig
from hpsearch.trainers.collab.prepare import number_ratings
from hpsearch.trainers.collab.recommender.interpret import (
    components,
    item_biases,
    user_biases,
)
from hpsearch.trainers.collab.recommender.recommend import Recommender
from hpsearch.trainers.collab.recommender.taste_map import draw
from hpsearch.trainers.contract import TrialSetup

from ..conftest import made_up

KINDS = ["dot-bias", "neural-net", "choices"]
COMEDY = "Comedy|Drama"


@pytest.fixture(scope="module")
def plenty():
    """More ratings than the other tests need, so that tastes are learned well."""
    return made_up(n_users=150, n_items=60, per_user=30, seed=3)


@pytest.fixture(scope="module")
def recommenders(plenty, tmp_path_factory):
    """One of each kind, trained on `plenty`; choices are ratings above 3. None learns from
    metadata, which takes longer than all else."""
    made = {}
    untold = replace(plenty, users=None, items=None)
    for kind in KINDS:
        data, config = untold, CollabConfig(bs=32, lr=0.02, n_factors=6, wd=0.05, epochs=8)
        if kind == "neural-net":
            config = replace(config, model="neural-net", layers="20", wd=0.3)
        if kind == "choices":
            liked = plenty.ratings[plenty.ratings["rating"] > 3.5]
            data = replace(untold, ratings=liked.drop(columns="rating").reset_index(drop=True))
        folder = tmp_path_factory.mktemp(kind)
        trainer.train_collab(
            config,
            number_ratings(data, config),
            TrialSetup(seed=0, device="cpu", report=lambda _: None, keep=folder),
        )
        saved = hpsearch.load_recommender(folder).saved
        made[kind] = Recommender(replace(saved, users=plenty.users, items=plenty.items))
    return made


@pytest.fixture(params=KINDS)
def recommender(request, recommenders):
    return recommenders[request.param]


def kind_of(plenty, items):
    return plenty.items.loc[list(items), "genres"]


def test_what_was_rated_is_never_recommended_even_if_it_was_held_out(recommender, plenty):
    saved = recommender.saved
    rated = plenty.ratings
    if saved.implicit:
        rated = rated[rated["rating"] > 3.5]
    for user in ("u0", "u1", "u77"):
        own = set(rated.loc[rated["user"] == user, "item"])
        everything = recommender.recommend(user, n=1000)
        assert not own & set(everything["item"])
        assert len(everything) == len(set(saved.item_ids.names) - own)
        assert everything["prediction"].is_monotonic_decreasing


def test_predictions_are_those_of_predict(recommender):
    found = recommender.recommend("u5", n=8)
    again = recommender.predict(["u5"] * 8, found["item"].tolist())
    np.testing.assert_allclose(found["prediction"], again, rtol=1e-5)


def test_somebody_new_who_likes_comedies_gets_comedies(recommender, plenty):
    films = plenty.items.sample(frac=1, random_state=0)
    comedies = films.index[films["genres"] == COMEDY][:4]
    horror = films.index[films["genres"] != COMEDY][:4]
    ratings = {films.loc[i, "title"]: 5.0 for i in comedies}
    if not recommender.saved.implicit:
        ratings |= {films.loc[i, "title"]: 1.5 for i in horror}
    found = recommender.recommend(ratings=ratings, n=10)
    assert (kind_of(plenty, found["item"]) == COMEDY).mean() >= 0.8
    assert not set(found["title"]) & set(ratings)
    reasons = found["because"].dropna()
    assert set(reasons) <= set(films.loc[comedies, "title"]), "only what was rated well"
    assert len(reasons) >= 5
    # The other way round, the other kind.
    turned = {t: 6.5 - r for t, r in ratings.items()}
    if not recommender.saved.implicit:
        found = recommender.recommend(ratings=turned, n=10)
        assert (kind_of(plenty, found["item"]) != COMEDY).mean() >= 0.8


def test_a_users_own_ratings_lead_where_training_led(recommender, plenty):
    """Solved for from the same ratings, a user is predicted as the model predicts them."""
    saved = recommender.saved
    number = int(saved.user_ids.numbers(["u9"])[0])
    own = saved.seen_users == number
    names = [saved.item_ids.names[i - 1] for i in saved.seen_items[own]]
    ratings = dict(zip(names, saved.seen_values[own].tolist(), strict=True))
    new = recommender.recommend(ratings=ratings, n=1000).set_index("item")["prediction"]
    known = recommender.recommend("u9", n=1000).set_index("item")["prediction"]
    assert spearmanr(new, known.loc[new.index]).statistic > 0.8


def test_two_spellings_of_one_item_are_one_rating(recommender):
    once = recommender.recommend(ratings={"Film 5": 4.0}, n=5)
    twice = recommender.recommend(ratings={"film 5": 2.0, "Film 5": 4.0}, n=5)
    assert once.equals(twice)


def test_like_items_are_of_the_same_kind(recommender, plenty):
    same = []
    for title in ("Film 0", "Film 7", "Film 30"):
        found = recommender.similar(title, n=8)
        assert title not in found["title"].tolist()
        assert found["similarity"].is_monotonic_decreasing
        own = plenty.items.loc[recommender.find(title), "genres"]
        same += (kind_of(plenty, found["item"]) == own).tolist()
    assert np.mean(same) > (0.7 if recommender.saved.implicit else 0.9)


def test_the_first_component_is_the_taste(recommender, plenty):
    found = components(recommender, n=2)
    assert 1 >= found.shares[0] > found.shares[1] > 0
    comedy = (kind_of(plenty, found.table["item"]) == COMEDY).to_numpy()
    positive = found.table["1"].to_numpy() > 0
    right = (positive == comedy).mean()
    assert max(right, 1 - right) > 0.9


def test_biases_rank_items_as_their_ratings_do(recommenders):
    for kind in ("dot-bias", "neural-net"):
        table = item_biases(recommenders[kind])
        assert table["bias"].is_monotonic_decreasing
        # Here who rates what is drawn at random, so the mean of ratings is right too.
        assert spearmanr(table["bias"], table["mean"]).statistic > 0.9
        users = user_biases(recommenders[kind])
        assert spearmanr(users["bias"], users["mean"]).statistic > 0.8
        assert users["age"].notna().all()


def test_only_the_items_rated_most_are_shown(recommenders):
    table = item_biases(recommenders["dot-bias"], popular=10)
    counts = np.sort(recommenders["dot-bias"].counts)[::-1]
    assert sorted(table["ratings"], reverse=True) == counts[:10].tolist()
    assert len(components(recommenders["dot-bias"], popular=10).table) == 10


def test_the_map_has_titles(recommenders, tmp_path):
    found = components(recommenders["dot-bias"])
    png, html = draw(found, tmp_path / "map", title="<b>Films & more</b>")
    assert png.read_bytes().startswith(b"\x89PNG")
    page = html.read_text()
    assert "Film 7" in page
    with pytest.raises(InputError, match="cannot be written"):
        draw(found, tmp_path / "no/where", title="")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either a user or the ratings"),
        ({"user": "u1", "ratings": {"Film 1": 3}}, "either a user or the ratings"),
        ({"user": "u999"}, r"no user 'u999' \(did you mean"),
        ({"ratings": {}}, "no ratings"),
        ({"ratings": ["Film 1", "Film 2"]}, "give one for each item"),
        ({"ratings": {"Casablanca": 3}}, "No item that the model knows is called 'Casablanca'"),
        ({"ratings": {"Film 1": 10}}, "from 1 to 5"),
        ({"ratings": {"Film 1": float("nan")}}, "from 1 to 5"),
    ],
)
def test_what_was_asked_wrongly_is_one_sentence(recommenders, arguments, message):
    with pytest.raises(InputError, match=message):
        recommenders["dot-bias"].recommend(**arguments)


def test_everyone_gets_at_once_what_each_gets_alone(recommender):
    found = recommender.for_everyone(5)
    users = recommender.saved.user_ids.names
    assert found["user"].drop_duplicates().tolist() == list(users)
    for user in (users[0], users[77], users[-1]):  # on both sides of a border of USERS_AT_ONCE
        alone, its = recommender.for_user(user, 5), found[found["user"] == user]
        assert its["item"].tolist() == alone["item"].tolist()
        assert its["prediction"].to_numpy() == pytest.approx(
            alone["prediction"].to_numpy(), abs=1e-5
        )
        assert its["rank"].tolist() == [*range(1, len(alone) + 1)]
