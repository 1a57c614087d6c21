"""Twenty optimiser steps of ours and of fastai 2.8, from the same weights on the same batches.

All dropouts 0, float32, one cycle with momenta, discriminative rates, AR and TAR. For the language
model and for each stage of the classifier, its chunks read in turn and side by side: outputs before
training within 1e-5, losses of all steps within 1e-4 relative, and equal rates, momenta and frozen
groups at every step, fastai's read off its own optimiser. Exits with 1 if any of it does not hold.

fastai asks for torchvision, which does not load beside the CPU build of torch that is pinned here,
so it goes into an environment of its own, without it:

    python3 -m venv /tmp/peers
    /tmp/peers/bin/pip install --no-deps fastai==2.8.12 fasttransform fastdownload fastprogress \
        "plum-dispatch<2.10" python-fasthtml fastcore beartype
    /tmp/peers/bin/pip install matplotlib ipython itsdangerous starlette python-multipart httpx \
        uvicorn
    PYTHONPATH=.venv/lib/python3.11/site-packages:/tmp/peers/lib/python3.11/site-packages:. \
        OMP_NUM_THREADS=1 /tmp/peers/bin/python tests/benchmarks/bench_fastai_parity.py
"""

import sys
from copy import deepcopy
from functools import partial

import fastai_peer as peer
import numpy as np
import torch
from fastai_cases import copy_weights

from hpsearch.trainers.step.gradients import gradients
from hpsearch.trainers.step.optimiser import GroupedAdamW
from hpsearch.trainers.step.param_groups import discriminative_lrs, freeze_to, optimiser_groups
from hpsearch.trainers.step.schedule import OneCycle
from hpsearch.trainers.text.networks.awd_lstm import AWDLSTM, Dropouts, LanguageModel
from hpsearch.trainers.text.networks.classifier import TextClassifier

STEPS, VOCAB, BS, SEQ = 20, 300, 64, 12
SIZES = (40, 64, 3)
NONE = Dropouts(0, 0, 0, 0, 0)
WD, DECAY, LR = 0.01, 2.6, 0.02


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
    """Of every step: the loss without AR and TAR; rate, momentum and whether it learns by group."""

    run_valid = False

    def __init__(self):
        self.losses, self.rates = [], []

    def after_loss(self):
        self.losses.append(self.learn.loss_func(self.learn.pred, *self.learn.yb).item())

    def before_step(self):
        opt = self.learn.opt
        groups = zip(opt.param_lists, opt.hypers, strict=True)
        learns = [any(p.grad is not None and not is_norm(p, self.model) for p in ps)
                  for ps, _ in groups]  # fmt: skip
        self.rates.append(
            [(h["lr"], h["mom"], on) for h, on in zip(opt.hypers, learns, strict=True)]
        )


def is_norm(parameter, model):
    """Norm layers learn even in frozen groups."""
    norms = (m for m in model.modules() if isinstance(m, torch.nn.BatchNorm1d))
    return any(parameter is p for norm in norms for p in norm.parameters())


def fastai_steps(model, pairs, splitter, lr, freeze):
    keep = Keep()
    one = peer.learner(model, Batches(pairs), Batches([]), splitter, wd=WD, cbs=[keep])
    peer.fit(one, lr, freeze)
    return keep


def our_steps(model, groups, batches, lrs, freeze, losses_of):
    """Losses of the steps, and (rate, momentum, learns) by layer group."""
    freeze_to(groups, freeze)
    optimiser = GroupedAdamW(optimiser_groups(groups, WD))
    cycle = OneCycle(STEPS, 0.25, (0.8, 0.7))
    kept, rates = [], []
    for i, batch in enumerate(batches):
        before = [[p.detach().clone() for p in group.parameters()] for group in groups]
        loss, penalty = losses_of(*batch)
        kept.append(loss.item())
        share, momentum = cycle.at(i)
        given = [lr * share for lr in lrs]
        optimiser.step(gradients(loss + penalty, optimiser.weights), given, momentum)
        rates.append([])
        for k, (group, old) in enumerate(zip(groups, before, strict=True)):
            pairs = zip(group.parameters(), old, strict=True)
            moved = any(not torch.equal(p, q) for p, q in pairs)
            rates[-1].append((given[k], momentum, moved))
    return kept, rates


def report(name, peers, ours, forward):
    """Print one line; whether all of it holds."""
    losses, rates = ours
    theirs = np.array(peers.losses)
    assert len(theirs) == len(losses) == len(rates) == len(peers.rates) == STEPS
    difference = np.abs(np.array(losses) / theirs - 1).max()
    same_rates = np.allclose(np.array(rates), np.array(peers.rates, dtype=float), rtol=1e-9)
    good = difference <= 1e-4 and forward <= 1e-5 and same_rates
    print(
        f"{name:46} forward {forward:.1e}, loss {theirs[0]:.4f} -> {theirs[-1]:.4f} differs by "
        f"{difference:.1e}, rates, momenta and frozen groups "
        f"{'equal' if same_rates else 'DIFFER'}: {'yes' if good else 'NO'}"
    )
    return good


def language_model(rng):
    theirs = peer.peer_language_model(VOCAB, SIZES, 1.0, drop=False)
    ours = LanguageModel(AWDLSTM(VOCAB, *SIZES, NONE))
    copy_weights(peer.encoder_pairs(ours.encoder, theirs[0]))
    stream = torch.from_numpy(rng.integers(2, VOCAB, (STEPS * SEQ + 1, BS)))
    pairs = [(stream[i : i + SEQ], stream[i + 1 : i + SEQ + 1]) for i in range(0, STEPS * SEQ, SEQ)]
    flipped = [(x.t().contiguous(), y.t().contiguous()) for x, y in pairs]
    forward = largest(
        ours.logits(ours(pairs[0][0], ours.encoder.zero_state(BS), None)[1]).transpose(0, 1),
        theirs(flipped[0][0])[0],
    )
    theirs.reset()
    kept = fastai_steps(theirs, flipped, peer.awd_lstm_lm_split, LR, 0)
    state = ours.encoder.zero_state(BS)

    def losses_of(x, y):
        nonlocal state
        raw, dropped, state = ours(x, state, None)
        penalty = 2 * dropped.pow(2).mean() + (raw[1:] - raw[:-1]).pow(2).mean()
        return ours.loss(dropped, y), penalty

    groups = ours.layer_groups()
    steps = our_steps(ours, groups, pairs, [LR] * len(groups), 0, losses_of)
    return report("language model", kept, steps, forward)


def classifier(rng, freeze):
    theirs = peer.peer_classifier(VOCAB, SIZES, 1.0, seq_len=SEQ, drop=False)
    ours = TextClassifier(
        AWDLSTM(VOCAB, *SIZES, NONE), 2, lin_ftrs=50, drop_mult=0, seq_len=SEQ, max_len=1440
    )
    encoder = theirs[0].module
    with torch.no_grad():
        # As large as training makes them: outputs of a fresh encoder hardly differ between
        # documents, and batch norm would blow rounding errors up to the size of the signal.
        encoder.encoder.weight.mul_(15)
        for rnn in encoder.rnns:
            rnn.weight_hh_l0_raw.mul_(2)
            rnn.module.weight_ih_l0.mul_(2)
    copy_weights(peer.encoder_pairs(ours.encoder, encoder))
    for layer, other in peer.head_pairs(ours, theirs):
        layer.load_state_dict(other.state_dict())
    pairs = [(rng.integers(2, VOCAB, (BS, 3 * SEQ)), rng.integers(0, 2, BS)) for _ in range(STEPS)]
    pairs = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in pairs]
    lengths = torch.full((BS,), 3 * SEQ)
    x = pairs[0][0]
    difference = largest(ours.eval()(x.t(), lengths, None)[0], theirs.eval()(x)[0])
    groups = ours.layer_groups()
    rates = slice(LR / DECAY ** (len(groups) - 1), LR)
    kept = fastai_steps(theirs, pairs, peer.awd_lstm_clas_split, rates, freeze)
    lrs = discriminative_lrs(LR, DECAY, len(groups))
    good = True
    for way in ("forward", "forward_side_by_side"):  # on a processor and on a GPU
        model = deepcopy(ours).train()
        read = getattr(model, way)

        def losses_of(x, y, read=read):
            logits, penalty = read(x.t().contiguous(), lengths, None)
            return torch.nn.functional.cross_entropy(logits, y), penalty

        steps = our_steps(model, model.layer_groups(), pairs, lrs, freeze, losses_of)
        name = f"classifier, freeze_to({freeze}), {way}"
        good &= report(name, kept, steps, difference)
    return good


def largest(ours, theirs):
    return (ours - theirs).abs().max().item()


def main():
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    cases = [partial(language_model, rng)]
    cases += [partial(classifier, rng, freeze) for freeze in (-1, -2, -3, 0)]
    held = [case() for case in cases]
    sys.exit(not all(held))


if __name__ == "__main__":
    main()
