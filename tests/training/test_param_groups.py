"""Discriminative rates, freezing and Adam against their formulas."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from hpsearch.training.param_groups import discriminative_lrs, freeze_to, make_adam, set_rates


def test_the_lessons_slice_is_a_factor_of_exactly_2_6_from_group_to_group():
    lrs = discriminative_lrs(0.02, 2.6, 5)
    assert lrs[-1] == 0.02
    assert lrs[0] == pytest.approx(0.02 / 2.6**4)
    ratios = [above / below for below, above in pairwise(lrs)]
    assert ratios == pytest.approx([2.6] * 4)


def test_frozen_groups_get_no_gradient_but_their_norms_do():
    groups = [nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), nn.Linear(2, 2), nn.Linear(2, 1)]
    freeze_to(groups, -1)
    assert not groups[0][0].weight.requires_grad
    assert groups[0][1].weight.requires_grad
    assert not groups[1].weight.requires_grad
    assert groups[2].weight.requires_grad
    freeze_to(groups, 0)
    assert all(p.requires_grad for group in groups for p in group.parameters())


def test_one_step_is_adam_with_decoupled_decay_on_weights_only():
    torch.manual_seed(0)
    layer = nn.Linear(3, 2)
    before = {name: p.detach().clone() for name, p in layer.named_parameters()}
    optimiser = make_adam([layer], wd=0.1)
    set_rates(optimiser, [0.01], 0.8)
    gradients = {name: torch.randn_like(p) for name, p in before.items()}
    for name, p in layer.named_parameters():
        p.grad = gradients[name].clone()
    optimiser.step()
    for name, p in layer.named_parameters():
        # After one step the debiased averages are the gradient and its square.
        g = gradients[name]
        decay = 0.1 if name == "weight" else 0.0
        expected = before[name] * (1 - 0.01 * decay) - 0.01 * g / (g.abs() + 1e-5)
        torch.testing.assert_close(p.detach(), expected)


def test_every_layer_group_gets_its_own_rate_and_all_the_same_momentum():
    groups = [nn.Linear(1, 1), nn.Linear(1, 1)]
    optimiser = make_adam(groups, wd=0.01)
    set_rates(optimiser, [1.0, 2.0], 0.7)
    assert {(g["layer_group"], g["lr"]) for g in optimiser.param_groups} == {(0, 1.0), (1, 2.0)}
    assert {g["betas"] for g in optimiser.param_groups} == {(0.7, 0.99)}


def test_a_tied_parameter_is_updated_once():
    shared = nn.Embedding(3, 2)
    optimiser = make_adam([shared, nn.ModuleList([shared])], wd=0)
    assert sum(len(g["params"]) for g in optimiser.param_groups) == 1
