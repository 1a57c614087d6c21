"""Twenty optimiser steps of our recommenders and of fastai 2.8's Learner, from the same weights.

Both models, with and without a range, on the same batches: weight decay .1, dropout 0, one cycle
with momenta. Losses of all steps must be equal within 1e-5 relative, and all embeddings after them
within 1e-5 of their largest; exits with 1 if they are not. bench_fastai_parity.py says how to
install fastai beside the project and how to call this.
"""

import sys
from functools import partial

import fastai_peer as peer
import torch
from fastai.collab import EmbeddingDotBias
from fastai.collab import EmbeddingNN as PeerNN
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastai.losses import MSELossFlat

from hpsearch.trainers.collab.fit import DotBiasLoop, new_optimiser
from hpsearch.trainers.collab.model import DotBias, EmbeddingNN, Link, embedding_width
from hpsearch.trainers.step.gradients import gradients
from hpsearch.trainers.step.optimiser import GroupedAdamW
from hpsearch.trainers.step.param_groups import optimiser_groups
from hpsearch.trainers.step.schedule import OneCycle

STEPS, BS, LR, WD, USERS, ITEMS, FACTORS = 20, 64, 5e-3, 0.1, 300, 500, 50
LARGER = 30
"""Embeddings are as large as training makes them: fresh ones are so small that their products do
not show in a loss, and that batch norm would blow rounding errors up to the size of the signal."""


class Batches:
    """As much of a fastai DataLoader as its Learner asks for."""

    def __init__(self, pairs):
        self.pairs, self.dataset, self.n_inp, self.bs = pairs, pairs, 1, BS
        self.device = torch.device("cpu")

    def __iter__(self):
        return iter(self.pairs)

    def __len__(self):
        return len(self.pairs)

    def to(self, device):
        return self


class Keep(peer.Callback):
    """The loss of every step."""

    run_valid = False

    def __init__(self):
        self.losses = []

    def after_loss(self):
        self.losses.append(self.learn.loss.item())


def fastai_steps(model, pairs, targets, lr=LR):
    """Losses of the steps of fastai's own Learner, with collab_learner's settings."""
    keep = Keep()
    made = zip(pairs.split(BS), targets.split(BS), strict=True)
    loaders = DataLoaders(Batches([(x, y[:, None]) for x, y in made]), Batches([]))
    learner = Learner(loaders, model, loss_func=MSELossFlat(), wd=WD, cbs=[keep])
    if targets.dtype == torch.float64:  # fastai's loss and its recorder know float32 only
        learner.loss_func = torch.nn.MSELoss()
        learner.remove_cb(learner.recorder)
    peer.fit(learner, lr)
    return keep.losses


def dot_bias(y_range, pairs, targets):
    ours = DotBias(FACTORS, USERS, ITEMS)
    ours.init_weights(torch.Generator().manual_seed(1))
    ours.table.data.mul_(LARGER)
    theirs = EmbeddingDotBias(FACTORS, USERS, ITEMS, y_range=y_range)
    peers = [theirs.u_weight, theirs.u_bias, theirs.i_weight, theirs.i_bias]
    views = [ours.users[:, :-1], ours.users[:, -1:], ours.items[:, :-1], ours.items[:, -1:]]
    for one, view in zip(peers, views, strict=True):
        one.weight.data.copy_(view)
    losses, link, cycle = fastai_steps(theirs, pairs, targets), Link(y_range), OneCycle(STEPS)
    optimiser = new_optimiser(ours, WD)
    loop = DotBiasLoop(ours, optimiser, link, WD, BS)
    found = [
        loop.train_epoch(x, y, cycle, i, LR).item()
        for i, (x, y) in enumerate(zip(pairs.split(BS), targets.split(BS), strict=True))
    ]
    return losses, found, list(zip((p.weight for p in peers), views, strict=True))


def neural_net(y_range, pairs, targets, lr=LR, larger=LARGER):
    ours = EmbeddingNN(USERS, ITEMS, [100, 50]).to(targets.dtype)
    ours.init_weights(torch.Generator().manual_seed(1))
    for embedding in (ours.users, ours.items):
        embedding.weight.data.mul_(larger)
    sizes = [(n, embedding_width(n)) for n in (USERS, ITEMS)]
    theirs = PeerNN(sizes, [100, 50], y_range=y_range).to(targets.dtype)
    kinds = torch.nn.Linear | torch.nn.BatchNorm1d
    linears = [[m for m in model.modules() if isinstance(m, kinds)] for model in (ours, theirs)]
    linears[1] = [m for m in linears[1] if m is not theirs.bn_cont]
    layers = [(ours.users, theirs.embeds[0]), (ours.items, theirs.embeds[1])]
    layers += [(ours.head, linears[1][-1]), *zip(linears[0][:-1], linears[1][:-1], strict=True)]
    for mine, other in layers:
        other.load_state_dict(mine.state_dict())
    # fastai's tabular models take columns of categories and, here, none of numbers.
    theirs.forward = partial(lambda run, x: run(x, None), theirs.forward)
    losses, link, cycle = fastai_steps(theirs, pairs, targets, lr), Link(y_range), OneCycle(STEPS)
    optimiser, found = GroupedAdamW(optimiser_groups([ours], WD)), []
    for i, (x, y) in enumerate(zip(pairs.split(BS), targets.split(BS), strict=True)):
        loss = link.loss(ours(x[:, 0], x[:, 1]), y)
        share, momentum = cycle.at(i)
        optimiser.step(gradients(loss, optimiser.weights), [lr * share], momentum)
        found.append(loss.item())
    return losses, found, [(other.weight, mine.weight) for mine, other in layers[:2]]


def main():
    draw = torch.Generator().manual_seed(0)
    columns = [torch.randint(n, (STEPS * BS,), generator=draw) for n in (USERS, ITEMS)]
    pairs, targets = torch.stack(columns, 1), 1 + 4 * torch.rand(STEPS * BS, generator=draw)
    held = []
    for model in (dot_bias, neural_net):
        for y_range in ((0.0, 5.5), None):
            theirs, ours, weights = model(y_range, pairs, targets)
            assert len(theirs) == len(ours) == STEPS
            loss = max(abs(a / b - 1) for a, b in zip(ours, theirs, strict=True))
            apart = max(((a - b).abs().max() / b.abs().max()).item() for b, a in weights)
            held.append(loss <= 1e-5 and apart <= 1e-5)
            print(
                f"{model.__name__}, range {y_range}: loss {ours[0]:.4f} -> {ours[-1]:.4f} differs "
                f"by at most {loss:.1e}, embeddings by {apart:.1e}: {'yes' if held[-1] else 'NO'}"
            )
    for dtype in (torch.float32, torch.float64):
        theirs, ours, _ = neural_net((0.0, 5.5), pairs, targets.to(dtype), lr=5e-2, larger=1)
        loss = max(abs(a / b - 1) for a, b in zip(ours, theirs, strict=True))
        print(f"neural_net, fresh weights, rate 5e-2, {dtype}: loss differs by at most {loss:.1e}")
    held.append(loss <= 1e-5)
    sys.exit(not all(held))


if __name__ == "__main__":
    main()
