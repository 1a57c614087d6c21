"""A new user's vector: ridge regression where the loss is quadratic, the optimum of the stated
objective elsewhere, and better predictions than without it on people whom training never saw."""

import new_people
import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from hpsearch.trainers.collab.config import CollabConfig
from hpsearch.trainers.collab.model import build_model
from hpsearch.trainers.collab.prepare import Ids
from hpsearch.trainers.collab.recommender.new_user import fit_user, scores_for, user_prior
from hpsearch.trainers.collab.saved import SavedCollab

N_USERS, N_ITEMS = 40, 25
NOISE = 0.3


def made(config, implicit=False):
    """A model with weights drawn at random."""
    model = build_model(config, N_USERS + 1, N_ITEMS + 1)
    model.init_weights(torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(30) if parameter.ndim == 2 else None
    ids = (Ids(tuple(map(str, range(n)))) for n in (N_USERS, N_ITEMS))
    nothing = np.zeros(0, np.int64)
    return SavedCollab(
        model.eval(), *ids, config, implicit, nothing, nothing, np.zeros(0, np.float32),
        n_trained=(N_USERS + 1, N_ITEMS + 1), facts={"metrics": {"mse": NOISE}},
    )  # fmt: skip


def rated(n, seed=1):
    rng = np.random.default_rng(seed)
    items = rng.permutation(np.arange(1, N_ITEMS + 1))[:n]
    return items, rng.uniform(1, 5, n).astype(np.float32)


def test_without_a_range_it_is_ridge_regression():
    saved = made(CollabConfig(n_factors=4, y_range="none"))
    items, values = rated(7)
    found = fit_user(saved, items, values).numpy()
    mean, root = (part.numpy() for part in user_prior(saved))
    rows = saved.model.items.double().numpy()[items]
    x = np.concatenate([rows[:, :-1], np.ones((7, 1))], 1)
    precision = np.linalg.inv(root @ root.T)
    target = x.T @ (values - rows[:, -1]) / NOISE + precision @ mean
    expected = np.linalg.solve(x.T @ x / NOISE + precision, target)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_the_prior_is_what_the_known_users_are_like():
    saved = made(CollabConfig(n_factors=2))
    vectors = saved.model.rows("users")[1:].numpy()
    mean, root = (part.numpy() for part in user_prior(saved))
    np.testing.assert_allclose(mean, vectors.mean(0), rtol=1e-5, atol=1e-7)
    # Shrinking moves the spread between directions and keeps its sum.
    assert np.trace(root @ root.T) == pytest.approx(vectors.var(0).sum(), rel=1e-5)


CASES = [
    (CollabConfig(n_factors=4), False),
    (CollabConfig(model="neural-net", layers="12", y_range="0/5.5"), False),
    (CollabConfig(n_factors=4), True),
    (CollabConfig(model="neural-net", layers="12"), True),
]


@pytest.mark.parametrize(("config", "implicit"), CASES)
def test_no_other_vector_is_nearby_that_fits_better(config, implicit):
    """Of a network, which has kinks (ReLU), none that is better by a thousandth of the gain."""
    saved = made(config, implicit)
    items, values = rated(6)
    mean, root = user_prior(saved)
    saved.model.double()

    @torch.no_grad()
    def objective(vector):
        z = torch.linalg.solve(root, vector - mean)
        if not implicit:
            scores = scores_for(saved.model, vector, torch.from_numpy(items))
            wrong = saved.link.predict(scores) - torch.from_numpy(values)
            return float(wrong.square().sum() / (2 * NOISE) + z @ z / 2)
        scores = scores_for(saved.model, vector, torch.arange(1, N_ITEMS + 1))
        chosen = torch.zeros(N_ITEMS, dtype=torch.float64)
        chosen[items - 1] = 1
        # Each of the 19 others counts for 6 choices x 4 negatives / 19.
        weight = torch.where(chosen > 0, 1.0, 6 * 4 / 19)
        return float(
            binary_cross_entropy_with_logits(scores, chosen, weight, reduction="sum") + z @ z / 2
        )

    found = fit_user(saved, items, values)
    best = objective(found)
    gain = objective(mean) - best
    assert gain > 0.1
    slack = 1e-3 * gain if config.model == "neural-net" else 1e-9
    rng = torch.Generator().manual_seed(2)
    for scale in (1e-4, 1e-2):
        for _ in range(30):
            step = torch.randn(len(mean), generator=rng, dtype=torch.float64)
            assert objective(found + scale * root @ step) >= best - slack


@pytest.mark.parametrize(("config", "implicit"), CASES)
def test_the_same_ratings_give_the_same_vector_and_leave_the_model_alone(config, implicit):
    saved = made(config, implicit)
    before = {name: value.clone() for name, value in saved.model.state_dict().items()}
    one, two = (fit_user(saved, *rated(5)) for _ in range(2))
    assert torch.equal(one, two)
    assert all(torch.equal(before[name], v) for name, v in saved.model.state_dict().items())


def test_ten_ratings_of_people_unseen_in_training_are_worth_having(real):
    """More in bench_new_user.py."""
    saved, rest = new_people.train_without(real, n_people=150, model="dot-bias", bs=128, lr=7e-3)
    mse = new_people.errors(saved, rest, n_ratings=10)
    for other in ("average user", "item mean", "item and user mean"):
        assert mse["solved for"] < mse[other], mse
    assert mse["solved for"] < 0.95 * mse["average user"], mse
