import subprocess
import sys

import pytest
import torch
from torch import nn
from torch_adamw import set_rates, torch_adamw

from hpsearch.trainers.shared.checkpoint import load_checkpoint, restore_optimisers, save_checkpoint
from hpsearch.trainers.step.optimiser import AdamW, GroupedAdamW, Part
from hpsearch.trainers.step.param_groups import freeze_to, optimiser_groups
from hpsearch.trainers.step.schedule import OneCycle

pytestmark = pytest.mark.processor

STEPS, DECAYS = 20, (0.3, 0.0)

WITHOUT_COMPILER = """
import sys, torch
from hpsearch.trainers.collab.fit import new_optimiser
from hpsearch.trainers.collab.model import DotBias
from hpsearch.trainers.tabular import train
from hpsearch.trainers.tabular.network.model import Sizes, TabularModel
TabularModel(Sizes((3,), 2, (4,), 2)).flat.optimiser(0.1).step(0.1, 0.9)
new_optimiser(DotBias(3, 4, 2), 0.1).step(0.1, 0.9)
print("torch._dynamo" in sys.modules)
torch.optim.SGD([torch.zeros(1)], lr=0.1)
print("torch._dynamo" in sys.modules)
"""


def parts(seed=0):
    draw = torch.Generator().manual_seed(seed)
    return [Part(torch.randn(57, generator=draw), torch.zeros(57), wd) for wd in DECAYS]


def steps_of(optimiser, made, numbers):
    cycle = OneCycle(STEPS)
    for i in numbers:
        draw = torch.Generator().manual_seed(i)
        for part in made:
            part.grad.copy_(torch.randn(57, generator=draw))
        share, momentum = cycle.at(i)
        optimiser.step(0.05 * share, momentum)
    return [part.weights for part in made]


class Torchs:
    """torch's own, over the same parts."""

    def __init__(self, made):
        groups = []
        for part in made:
            part.weights.grad = part.grad
            groups.append({"params": [part.weights], "weight_decay": part.wd, "layer_group": 0})
        self.adam = torch.optim.AdamW(groups, betas=(0.9, 0.99), eps=1e-5, fused=True)

    def step(self, lr, momentum):
        set_rates(self.adam, [lr], momentum)
        self.adam.step()


def test_steps_are_those_of_torch_to_the_bit():
    ours, theirs = parts(), parts()
    found = steps_of(AdamW(ours), ours, range(STEPS))
    wanted = steps_of(Torchs(theirs), theirs, range(STEPS))
    assert all(map(torch.equal, found, wanted))
    assert not any(map(torch.equal, found, [part.weights for part in parts()]))


def test_it_goes_on_from_a_checkpoint_to_the_bit(tmp_path):
    whole, first = parts(), parts()
    wanted = steps_of(AdamW(whole), whole, range(STEPS))
    optimiser = AdamW(first)
    steps_of(optimiser, first, range(8))
    save_checkpoint(tmp_path, torch.nn.Module(), [optimiser], [])
    rest = [Part(part.weights.clone(), torch.zeros(57), part.wd) for part in first]
    optimiser = AdamW(rest)
    restore_optimisers([optimiser], load_checkpoint(tmp_path)[0])
    assert all(map(torch.equal, steps_of(optimiser, rest, range(8, STEPS)), wanted))


class Layered:
    """A model of three layer groups, frozen below `first`, with one kind of optimiser."""

    def __init__(self, first, make):
        torch.manual_seed(0)
        self.groups = [nn.Linear(5, 4), nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)),
                       nn.Linear(4, 2)]  # fmt: skip
        self.model = nn.Sequential(*self.groups)
        freeze_to(self.groups, first)
        self.optimiser = make(self.groups)

    def train(self, numbers):
        cycle = OneCycle(STEPS)
        for i in numbers:
            x = torch.randn(7, 5, generator=torch.Generator().manual_seed(i))
            loss = self.model(x).square().mean()
            share, momentum = cycle.at(i)
            self.step(loss, [lr * share for lr in (0.01, 0.03, 0.1)], momentum)
        return [p.detach().clone() for p in self.model.parameters()]

    def step(self, loss, lrs, momentum):
        if isinstance(self.optimiser, GroupedAdamW):
            grads = torch.autograd.grad(loss, self.optimiser.weights)
            self.optimiser.step(grads, lrs, momentum)
        else:
            set_rates(self.optimiser, lrs, momentum)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()


def ours(groups):
    return GroupedAdamW(optimiser_groups(groups, 0.3))


@pytest.mark.parametrize("first", [0, 1, 2])
def test_layer_groups_with_frozen_ones_below_are_trained_as_by_torch_to_the_bit(first):
    found = Layered(first, ours).train(range(STEPS))
    wanted = Layered(first, lambda groups: torch_adamw(groups, 0.3)).train(range(STEPS))
    begun = [p.detach() for p in Layered(first, ours).model.parameters()]
    assert all(map(torch.equal, found, wanted))
    # Weights and biases of the linear layers stay; a norm layer in a frozen group learns.
    assert sum(map(torch.equal, found, begun)) == 2 * first


@pytest.mark.parametrize("make", [ours, lambda groups: torch_adamw(groups, 0.3)])
def test_layer_groups_go_on_from_a_checkpoint_of_torchs_optimiser_too(tmp_path, make):
    wanted = Layered(1, ours).train(range(STEPS))
    first = Layered(1, make)
    first.train(range(8))
    save_checkpoint(tmp_path, first.model, [first.optimiser], [])
    rest = Layered(1, ours)
    rest.model.load_state_dict(first.model.state_dict())
    restore_optimisers([rest.optimiser], load_checkpoint(tmp_path)[0])
    assert all(map(torch.equal, rest.train(range(8, STEPS)), wanted))


def test_tables_and_recommenders_train_without_the_compiler_that_torchs_optimisers_import():
    command = [sys.executable, "-c", WITHOUT_COMPILER]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert found.split() == ["False", "True"]
