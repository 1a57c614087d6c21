"""What one optimiser step does to rates, momenta, frozen groups and gradients."""

import math

import pytest
import torch
from torch import nn

from hpsearch.training.contract import DivergedError
from hpsearch.training.loop import check_finite, optimiser_step
from hpsearch.training.param_groups import discriminative_lrs, freeze_to, make_adam
from hpsearch.training.schedule import OneCycle


@pytest.mark.parametrize("freeze", [-1, -2, 0])
def test_at_every_step_groups_have_their_rates_and_frozen_ones_stay(freeze):
    torch.manual_seed(0)
    groups = [nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 1)]
    first = freeze % 3
    freeze_to(groups, freeze)
    optimiser = make_adam(groups, wd=0.01)
    cycle, lrs = OneCycle(12, 0.25, (0.8, 0.7)), discriminative_lrs(0.02, 2.6, 3)
    for step in range(12):
        before = [group.weight.clone() for group in groups]
        loss = nn.Sequential(*groups)(torch.randn(4, 3)).square().mean()
        optimiser_step(loss, optimiser, cycle, step, lrs)
        share, momentum = cycle.at(step)
        for group in optimiser.param_groups:
            expected = 0.02 / 2.6 ** (2 - group["layer_group"]) * share
            assert group["lr"] == pytest.approx(expected)
            assert group["betas"] == (momentum, 0.99)
        moved = [not torch.equal(g.weight, old) for g, old in zip(groups, before, strict=True)]
        assert moved == [i >= first for i in range(3)]
        assert all(p.grad is None for group in groups for p in group.parameters())


def test_clipping_scales_the_gradient_of_all_parameters_together(monkeypatch):
    layer = nn.Linear(2, 1, bias=False)
    optimiser = make_adam([layer], wd=0)
    seen = []
    monkeypatch.setattr(optimiser, "step", lambda: seen.append(layer.weight.grad.clone()))
    x = torch.tensor([[3.0, 4.0]])  # the gradient of the sum is x, of norm 5
    for clip, norm in ((0.0, 5.0), (0.1, 0.1), (50.0, 5.0)):
        optimiser_step(layer(x).sum(), optimiser, OneCycle(1), 0, [0.1], clip)
        assert seen[-1].norm().item() == pytest.approx(norm, rel=1e-4)
        torch.testing.assert_close(seen[-1] / norm, x / 5, rtol=1e-4, atol=0)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_the_trial(loss):
    with pytest.raises(DivergedError, match="validation loss became"):
        check_finite(loss, "validation loss")
    assert check_finite(1.5, "validation loss") == 1.5
