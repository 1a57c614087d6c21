"""Compute the factors and the bias of a new user of a trained model from a few ratings.

The model's items do not change. The row of the new user maximises likelihood times prior. The
likelihood comes from the model's own loss of the ratings: squared errors after the sigmoid into
y_range, or the cross-entropy of choices. The prior is a normal distribution with the mean and the
covariance of the known users' rows (the covariance is shrunk after Ledoit and Wolf 2004). So a user
without ratings gets the average row, and there is no setting to tune. Without a y_range this is
ridge regression on the items' factors.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import softplus

from hpsearch.trainers.collab.model import Model
from hpsearch.trainers.collab.prepare import Values
from hpsearch.trainers.collab.saved import SavedCollab
from hpsearch.trainers.collab.split_ratings import Rows

Misfit = Callable[[Tensor], Tensor]
"""Scores (n,) of items -> minus the log-likelihood (scalar) of what the user said of them."""


def scores_for(model: Model, user: Tensor, items: Tensor) -> Tensor:
    """Scores (n,) of item numbers (n,) for a user with the row `user` (width,)."""
    rows = model.rows("items")[items]
    return model.score(user.expand(len(rows), -1), rows)


def user_prior(saved: SavedCollab) -> tuple[Tensor, Tensor]:
    """(mean (width,), root (width, width) of the covariance) of the rows of those users whom
    training has seen, in float64."""
    from sklearn.covariance import ledoit_wolf

    rows = saved.model.rows("users")[1 : saved.n_trained[0]].double().cpu().numpy()
    covariance = ledoit_wolf(rows)[0] + 1e-12 * np.eye(rows.shape[1])
    return torch.from_numpy(rows.mean(0)), torch.from_numpy(np.linalg.cholesky(covariance))


def fit_user(saved: SavedCollab, items: Rows, values: Values) -> Tensor:
    """Compute the row (width,), float64, of a new user.

    The user rated the item numbers `items` (n,) with `values` (n,). No item number is 0. A model of
    choices does not use `values`.
    """
    from scipy.optimize import minimize

    model = copy.deepcopy(saved.model).cpu().double().eval().requires_grad_(False)
    mean, root = user_prior(saved)
    rated = torch.from_numpy(items)
    if saved.implicit:
        misfit = _of_choices(saved, rated)
        scored = torch.arange(1, len(saved.item_ids))
    else:
        misfit = _of_ratings(saved, torch.from_numpy(values).double())
        scored = rated

    def objective(point: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        z = torch.from_numpy(point).requires_grad_()
        loss = misfit(scores_for(model, mean + root @ z, scored)) + z @ z / 2
        (gradient,) = torch.autograd.grad(loss, z)
        return float(loss.detach()), gradient.numpy()

    # In these coordinates the prior is the standard normal one, and few steps suffice.
    found = minimize(
        objective, np.zeros(len(mean)), jac=True, method="L-BFGS-B",
        options={"maxiter": 500, "ftol": 1e-11, "gtol": 1e-7},
    )  # fmt: skip
    return mean + root @ torch.from_numpy(found.x)


def _of_ratings(saved: SavedCollab, values: Tensor) -> Misfit:
    """Gaussian; the noise is the model's error on held-out ratings."""
    variance = saved.facts["metrics"]["mse"]
    return lambda scores: (saved.link.predict(scores) - values).square().sum() / (2 * variance)


def _of_choices(saved: SavedCollab, chosen: Tensor) -> Misfit:
    """Make the misfit: the cross-entropy of the `chosen` items and of items that were not chosen.

    For each choice, training draws `negatives` other items at random. Here the expected value takes
    the place of the draws: all other items of the training ratings get the same weight.
    """
    others = torch.zeros(len(saved.item_ids) - 1, dtype=torch.float64)
    others[: saved.n_trained[1] - 1] = 1
    others[chosen - 1] = 0
    others *= saved.config.negatives * len(chosen) / others.sum().clamp(min=1)
    return lambda scores: softplus(-scores[chosen - 1]).sum() + others @ softplus(scores)
