"""Twenty optimiser steps of our tabular network and of fastai 2.8's, from the same weights.

Same batches, dropout 0, one cycle with momenta, weight decay .1. Losses of all steps must be equal
within 1e-5 relative; exits with 1 if they are not. bench_fastai_parity.py says how to install
fastai beside the project and how to call this.
"""

import sys

import numpy as np
import torch
from fastai.losses import CrossEntropyLossFlat, MSELossFlat
from fastai.optimizer import Adam
from fastai.tabular.model import TabularModel as Peer

from hpsearch.trainers.step.schedule import OneCycle
from hpsearch.trainers.tabular.network.model import Sizes, TabularModel
from hpsearch.trainers.tabular.network.stack import DropMasks, Rows, Stack

STEPS, BS, LR, WD = 20, 64, 1e-2, 0.1
CASES = {
    "classes": (Sizes((10, 17, 8, 43), 3, (200, 100), 3), None),
    "numbers in a range": (Sizes((10, 17), 5, (50,), 1), (0.0, 5.5)),
}


def peer_of(model, sizes, y_range):
    """fastai's network with our weights."""
    shapes = list(zip(sizes.n_categories, sizes.widths, strict=True))
    peer = Peer(shapes, sizes.n_continuous, sizes.n_out, list(sizes.layers), y_range=y_range)
    weight = model.flat.weight
    pairs = [(e.weight, f"embedding.{i}") for i, e in enumerate(peer.embeds)]
    norms = [peer.bn_cont, *(layer[2] for layer in list(peer.layers)[: len(sizes.layers)])]
    linears = [layer[0] for layer in list(peer.layers)[: len(sizes.layers) + 1]]
    pairs += [(one.weight, f"linear.{i}") for i, one in enumerate(linears[:-1])]
    pairs += [(linears[-1].weight, "out"), (linears[-1].bias, "out.bias")]
    for i, norm in enumerate(norms):
        pairs += [(norm.weight, f"norm.{i}.weight"), (norm.bias, f"norm.{i}.bias")]
    for theirs, name in pairs:
        theirs.data.copy_(weight[name])
    return peer, norms, linears[-1].bias


def compare(sizes, y_range):
    torch.manual_seed(0)
    model = TabularModel(sizes, y_range=y_range)
    model.init_weights(torch.Generator().manual_seed(1))
    peer, norms, bias = peer_of(model, sizes, y_range)
    theirs = Adam([list(peer.parameters())], lr=LR, mom=0.95, sqr_mom=0.99, eps=1e-5, wd=WD)
    plain = [p for norm in norms for p in norm.parameters()] + [bias]
    for parameter in plain:  # what fastai's Learner does with norm layers and biases
        theirs.state[parameter]["do_wd"] = False
    stack, cycle = Stack([model]), OneCycle(STEPS)
    ours = model.flat.optimiser(WD)
    loss_of = CrossEntropyLossFlat() if sizes.n_out > 1 else MSELossFlat()
    worst, drop = 0.0, DropMasks(None, [None] * len(sizes.layers))
    for i in range(STEPS):
        codes = torch.stack([torch.randint(n, (BS,)) for n in sizes.n_categories], 1)
        numbers = torch.randn(BS, sizes.n_continuous)
        targets = torch.randint(3, (BS,)) if sizes.n_out > 1 else torch.rand(BS) * 5
        share, momentum = cycle.at(i)
        loss = loss_of(peer(codes, numbers), targets)
        loss.backward()
        theirs.set_hypers(lr=LR * share, mom=momentum)
        theirs.step()
        theirs.zero_grad()
        mine = stack.gradient(stack.batch([Rows(codes, numbers, targets, drop)])).item()
        ours.step(LR * share, momentum)
        worst = max(worst, abs(mine / loss.item() - 1))
    return worst


def main():
    np.random.seed(0)
    worst = {name: compare(*case) for name, case in CASES.items()}
    for name, difference in worst.items():
        print(f"{name}: losses of {STEPS} steps differ by at most {difference:.1e}")
    sys.exit(max(worst.values()) > 1e-5)


if __name__ == "__main__":
    main()
