import subprocess
import sys

import torch

from hpsearch.training.checkpoint import load_checkpoint, restore_optimisers, save_checkpoint
from hpsearch.training.optimiser import AdamW, Part
from hpsearch.training.param_groups import set_rates
from hpsearch.training.schedule import OneCycle

STEPS, DECAYS = 20, (0.3, 0.0)

WITHOUT_COMPILER = """
import sys, torch
from hpsearch.collab.dot_bias_loop import new_optimiser
from hpsearch.collab.model import DotBias
from hpsearch.tabular import train
from hpsearch.tabular.model import Sizes, TabularModel
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


def test_tables_and_recommenders_train_without_the_compiler_that_torchs_optimisers_import():
    command = [sys.executable, "-c", WITHOUT_COMPILER]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert found.split() == ["False", "True"]
