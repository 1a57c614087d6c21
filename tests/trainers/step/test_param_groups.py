"""Discriminative rates, freezing and Adam against their formulas."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from hpsearch.trainers.step.optimiser import GroupedAdamW
from hpsearch.trainers.step.param_groups import discriminative_lrs, freeze_to, optimiser_groups


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
    optimiser = GroupedAdamW(optimiser_groups([layer], wd=0.1))
    gradients = [torch.randn_like(weight) for weight in optimiser.weights]
    optimiser.step(gradients, [0.01], 0.8)
    for name, p in layer.named_parameters():
        # After one step the debiased averages are the gradient and its square.
        g = next(g for g, w in zip(gradients, optimiser.weights, strict=True) if w is p)
        decay = 0.1 if name == "weight" else 0.0
        expected = before[name] * (1 - 0.01 * decay) - 0.01 * g / (g.abs() + 1e-5)
        torch.testing.assert_close(p.detach(), expected)


def test_every_layer_group_is_moved_by_its_own_rate():
    groups = [nn.Linear(1, 1), nn.Linear(1, 1)]
    before = [[p.detach().clone() for p in group.parameters()] for group in groups]
    optimiser = GroupedAdamW(optimiser_groups(groups, wd=0.0))
    optimiser.step([torch.ones_like(weight) for weight in optimiser.weights], [0.5, 0.25], 0.7)
    for group, old, lr in zip(groups, before, (0.5, 0.25), strict=True):
        for p, q in zip(group.parameters(), old, strict=True):
            torch.testing.assert_close(q - p.detach(), torch.full_like(q, lr / (1 + 1e-5)))


def test_a_tied_parameter_is_updated_once():
    shared = nn.Embedding(3, 2)
    optimiser = GroupedAdamW(optimiser_groups([shared, nn.ModuleList([shared])], wd=0))
    assert len(optimiser.weights) == 1
