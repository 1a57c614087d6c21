"""Ranking metrics against values worked out by hand."""

import math

import numpy as np
import pytest
import torch

from hpsearch.trainers.collab.assess import damped_means
from hpsearch.trainers.collab.metrics import (
    all_scores,
    measure_ranking,
    predict_scores,
    ranking_metrics,
)
from hpsearch.trainers.collab.model import DotBias, EmbeddingNN
from hpsearch.trainers.collab.prepare import Ids, Pairs, PreparedRatings


def test_ranking_metrics_have_their_closed_forms():
    hits = np.array([[True, False, True], [False, True, False]])
    found = ranking_metrics(hits, np.array([2, 5]), 3)
    assert found["recall"] == pytest.approx((2 / 2 + 1 / 5) / 2)
    ndcg = (1 + 1 / 2) / (1 + 1 / math.log2(3))
    second = (1 / math.log2(3)) / (1 + 1 / math.log2(3) + 1 / 2)
    assert found["ndcg"] == pytest.approx((ndcg + second) / 2)
    # Precision 1 and 2/3 at the hits of two wanted; 1/2 of three possible.
    assert found["map"] == pytest.approx(((1 + 2 / 3) / 2 + (1 / 2) / 3) / 2)


def test_the_ideal_ranking_has_1_and_one_without_hits_0():
    ideal = ranking_metrics(np.ones((1, 3), dtype=bool), np.array([3]), 3)
    none = ranking_metrics(np.zeros((1, 3), dtype=bool), np.array([3]), 3)
    assert set(ideal.values()) == {1.0}
    assert set(none.values()) == {0.0}


def test_what_a_user_chose_in_training_is_not_ranked():
    model = DotBias(1, 2, 5)  # items 1..4 with rising bias
    with torch.no_grad():
        model.table[2:, -1] = torch.tensor([9.0, 1.0, 2.0, 3.0, 4.0])
    ones = np.ones(1, dtype=np.float32)
    train = Pairs(np.array([1]), np.array([4]), ones)
    valid = Pairs(np.array([1, 1]), np.array([3, 0]), np.ones(2, dtype=np.float32))
    found = measure_ranking(model, train, valid, np.array(["a", "a"]), 5, 2, "cpu")
    # Ranked are 3, 2, 1; of two wanted ones, the unknown item 0 can never be hit.
    assert found["recall"] == pytest.approx(1 / 2)
    assert found["map"] == pytest.approx(1 / 2)
    assert found["ndcg"] == pytest.approx(1 / (1 + 1 / math.log2(3)))


def test_users_unknown_to_training_are_ranked_for_one_by_one():
    model = DotBias(1, 2, 5)  # for everybody items 4, 3, 2, 1, but 4 was chosen by user 1 before
    with torch.no_grad():
        model.table[2:, -1] = torch.tensor([9.0, 1.0, 2.0, 3.0, 4.0])
    train = Pairs(np.array([1]), np.array([4]), np.ones(1, dtype=np.float32))
    items = np.array([4, 3, 1, 3])
    valid = Pairs(np.array([0, 0, 0, 1]), items, np.ones(4, dtype=np.float32))
    who = np.array(["x", "x", "y", "a"], dtype=object)
    found = measure_ranking(model, train, valid, who, 5, 2, "cpu")
    # x has both of two wanted on top, y has not the one, user 1 has.
    assert found == pytest.approx({"recall": 2 / 3, "ndcg": 2 / 3, "map": 2 / 3})


@pytest.mark.parametrize("model", [DotBias(3, 4, 6), EmbeddingNN(4, 6, [5])])
def test_all_scores_are_those_of_every_pair(model):
    model.init_weights(torch.Generator().manual_seed(0))
    for parameter in model.parameters():
        parameter.data.mul_(30)
    grid = all_scores(model, np.array([3, 1]), 6, "cpu")
    pairs = torch.tensor([3] * 6 + [1] * 6), torch.arange(6).repeat(2)
    torch.testing.assert_close(grid.flatten(), predict_scores(model, *pairs))


def test_damped_means_of_a_user_and_an_item_are_those_of_the_formula():
    """Koren 2010: b_i = sum(r - mu) / (25 + n_i), then b_u = sum(r - mu - b_i) / (10 + n_u)."""
    users, items = np.array([1, 1, 2]), np.array([1, 2, 1])
    train = Pairs(users, items, np.array([5, 3, 1], np.float32))
    valid = Pairs(np.array([1, 2, 0]), np.array([2, 2, 0]), np.zeros(3, np.float32))
    names = np.array(["a", "b"], object)
    data = PreparedRatings(
        Ids(("a", "b")),
        Ids(("x", "y")),
        train,
        valid,
        (names, names),
        False,
        None,
        None,
        "",
        None,
        "",
    )
    item_1, item_2 = (2 - 2) / 27, 0.0 / 26
    user_1 = (2 - item_1 + 0 - item_2) / 12
    user_2 = (-2 - item_1) / 11
    expected = [3 + item_2 + user_1, 3 + item_2 + user_2, 3]
    assert damped_means(data, valid) == pytest.approx(expected)
    assert data.facts == {"training_rows": 3, "users": 2, "items": 2}
