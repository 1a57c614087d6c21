"""Splits hold out what they say, negatives are never a choice of that user."""

from collections import Counter

import numpy as np
import pytest

from hpsearch.errors import InputError
from hpsearch.trainers.collab.config import CollabConfig, parse_y_range
from hpsearch.trainers.collab.prepare import Ids, number_ratings
from hpsearch.trainers.collab.split_ratings import Negatives, split_rows


@pytest.mark.parametrize("split", ["random", "user", "time"])
def test_every_rating_is_on_one_side_and_the_share_is_held_out(dataset, split):
    train, valid = split_rows(dataset, CollabConfig(split=split, valid_share=0.2))
    assert sorted([*train, *valid]) == list(range(len(dataset.ratings)))
    assert len(valid) == len(dataset.ratings) * 0.2


def test_the_split_by_time_holds_out_the_latest(dataset):
    train, valid = split_rows(dataset, CollabConfig(split="time"))
    times = dataset.ratings["time"].to_numpy()
    assert times[train].max() < times[valid].min()


def test_the_split_by_user_takes_the_same_share_of_each(dataset):
    _, valid = split_rows(dataset, CollabConfig(split="user", valid_share=0.25))
    counts = Counter(dataset.ratings["user"].to_numpy()[valid])
    assert set(counts.values()) == {5}
    assert len(counts) == 60


def test_a_fold_confines_the_search_and_a_final_model_holds_out_its_test_part(dataset):
    fit, test = dataset.folds["u1"]
    train, valid = split_rows(dataset, CollabConfig(fold="u1"))
    assert set(train) | set(valid) == set(fit)
    train, valid = split_rows(dataset, CollabConfig(fold="u1", hold_out="test"))
    assert list(train) == list(fit)
    assert list(valid) == list(test)


def test_an_unknown_fold_is_told_with_those_that_there_are(dataset):
    with pytest.raises(InputError, match=r"no fold 'u9'.*u1"):
        split_rows(dataset, CollabConfig(fold="u9"))


def test_users_and_items_that_training_lacks_are_number_0(dataset):
    assert Ids(("a", "b")).numbers(["b", "x", "a"]).tolist() == [2, 0, 1]
    data = number_ratings(dataset, CollabConfig(valid_share=0.9))
    assert (data.train.users > 0).all()
    assert data.train.users.max() == len(data.user_ids) - 1


def test_negatives_are_all_items_that_the_user_did_not_choose_equally_often():
    users, items = np.array([0, 0, 0, 1, 2, 2]), np.array([1, 3, 5, 2, 0, 4])
    negatives = Negatives.of(users, items, 4, 6)
    drawn = negatives.draw(np.repeat([0, 1, 2, 3], 4000), np.random.default_rng(0))
    seen = {user: Counter(drawn[1][drawn[0] == user].tolist()) for user in range(4)}
    # Item 0 stands for unknown ones: nobody's choice and nobody's negative.
    left = {0: {2, 4}, 1: {1, 3, 4, 5}, 2: {1, 2, 3, 5}, 3: {1, 2, 3, 4, 5}}
    assert {user: set(counts) for user, counts in seen.items()} == left
    for user, counts in seen.items():
        expected = 4000 / len(left[user])
        assert all(abs(count - expected) < 5 * expected**0.5 for count in counts.values())


def test_who_chose_everything_gets_no_negatives():
    negatives = Negatives.of(np.array([0, 0]), np.array([1, 2]), 1, 3)
    assert len(negatives.draw(np.array([0, 0]), np.random.default_rng(0))[0]) == 0


@pytest.mark.parametrize("text", ["5/1", "a/b", "1", "0/nan"])
def test_a_range_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="range"):
        parse_y_range(text)
