"""Twenty optimiser steps of ours and of fastai 2.8, from the same weights on the same batches.

All dropouts 0, float32, one cycle with momenta, discriminative rates, AR and TAR. Prints the
largest relative difference of the losses for the language model and for each stage of the
classifier, and exits with 1 if one is above 1e-4.

fastai asks for torchvision, which does not load beside the CPU build of torch that is pinned here,
so it goes into an environment of its own, without it:

    python3 -m venv /tmp/peers
    /tmp/peers/bin/pip install --no-deps fastai==2.8.12 fasttransform fastdownload plum-dispatch
    /tmp/peers/bin/pip install fastprogress python-fasthtml fastcore beartype matplotlib ipython \
        pandas requests pyyaml scikit-learn spacy
    PYTHONPATH=.venv/lib/python3.11/site-packages:/tmp/peers/lib/python3.11/site-packages:. \
        OMP_NUM_THREADS=1 /tmp/peers/bin/python tests/benchmarks/bench_fastai_parity.py
"""

import sys
from functools import partial

import numpy as np
import torch
from fastai.callback.core import Callback
from fastai.callback.rnn import rnn_cbs
from fastai.callback.schedule import *  # noqa: F403  (gives Learner its fit_one_cycle)
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat
from fastai.optimizer import Adam
from fastai.text.models.awdlstm import (
    AWD_LSTM,
    awd_lstm_clas_config,
    awd_lstm_clas_split,
    awd_lstm_lm_config,
    awd_lstm_lm_split,
)
from fastai.text.models.core import get_language_model, get_text_classifier

from hpsearch.text.awd_lstm import AWDLSTM, Dropouts, LanguageModel, detach
from hpsearch.text.classifier import TextClassifier
from hpsearch.training.loop import optimiser_step
from hpsearch.training.param_groups import discriminative_lrs, freeze_to, make_adam
from hpsearch.training.schedule import OneCycle

STEPS, VOCAB, EMB, HIDDEN, LAYERS, BS, SEQ = 20, 300, 40, 64, 3, 64, 12
NONE = Dropouts(0, 0, 0, 0, 0)
WD, DECAY = 0.01, 2.6


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


class KeepLosses(Callback):
    """The loss of every step, without the AR and TAR terms."""

    run_valid = False

    def __init__(self):
        self.losses = []

    def after_loss(self):
        self.losses.append(self.learn.loss_func(self.learn.pred, *self.learn.yb).item())


def fastai_steps(model, pairs, splitter, lr, freeze):
    batches = Batches(pairs)
    keep = KeepLosses()
    learner = Learner(
        DataLoaders(batches, Batches([])),
        model,
        loss_func=CrossEntropyLossFlat(),
        opt_func=partial(Adam, mom=0.9, sqr_mom=0.99, eps=1e-5, decouple_wd=True),
        splitter=splitter,
        moms=(0.8, 0.7, 0.8),
        wd=WD,
        cbs=[*rnn_cbs(alpha=2.0, beta=1.0), keep],
    )
    learner._do_epoch_validate = lambda *_, **__: None
    learner.freeze_to(freeze)
    with learner.no_bar(), learner.no_logging(), learner.no_mbar():
        learner.fit_one_cycle(1, lr)
    return keep.losses


def copy_encoder(ours, theirs):
    """fastai's weights into our encoder."""
    with torch.no_grad():
        ours.embedding.weight.copy_(theirs.encoder.weight)
        for layer, peer in zip(ours.rnns, theirs.rnns, strict=True):
            layer.weight_hh.copy_(peer.weight_hh_l0_raw)
            for name in ("weight_ih", "bias_ih", "bias_hh"):
                getattr(layer, name).copy_(getattr(peer.module, f"{name}_l0"))


def config_of(base):
    # With a weight drop of exactly 0 fastai's reset fails on this torch.
    return {
        **{key: (0.0 if key.endswith("_p") else value) for key, value in base.items()},
        "weight_p": 1e-12,
        "emb_sz": EMB,
        "n_hid": HIDDEN,
        "n_layers": LAYERS,
    }


def language_model(rng):
    peer = get_language_model(AWD_LSTM, VOCAB, config=config_of(awd_lstm_lm_config), drop_mult=1.0)
    ours = LanguageModel(AWDLSTM(VOCAB, EMB, HIDDEN, LAYERS, NONE))
    copy_encoder(ours.encoder, peer[0])
    stream = torch.from_numpy(rng.integers(2, VOCAB, (STEPS * SEQ + 1, BS)))
    pairs = [(stream[i : i + SEQ], stream[i + 1 : i + SEQ + 1]) for i in range(0, STEPS * SEQ, SEQ)]
    theirs = fastai_steps(
        peer,
        [(x.t().contiguous(), y.t().contiguous()) for x, y in pairs],
        awd_lstm_lm_split,
        0.01,
        0,
    )
    groups = ours.layer_groups()
    optimiser = make_adam(groups, WD)
    cycle = OneCycle(STEPS, 0.25, (0.8, 0.7))
    state, losses = ours.encoder.zero_state(BS), []
    for i, (x, y) in enumerate(pairs):
        raw, dropped, state = ours(x, detach(state), None)
        loss = ours.loss(dropped, y)
        losses.append(loss.item())
        penalty = 2 * dropped.pow(2).mean() + (raw[1:] - raw[:-1]).pow(2).mean()
        optimiser_step(loss + penalty, optimiser, cycle, i, [0.01] * len(groups))
    return theirs, losses


def classifier(rng, freeze):
    peer = get_text_classifier(
        AWD_LSTM, VOCAB, 2, seq_len=SEQ, config=config_of(awd_lstm_clas_config), drop_mult=1.0,
        lin_ftrs=[50], ps=[0.0], max_len=1440,
    )  # fmt: skip
    ours = TextClassifier(
        AWDLSTM(VOCAB, EMB, HIDDEN, LAYERS, NONE), 2, lin_ftrs=50, drop_mult=0, seq_len=SEQ,
        max_len=1440,
    )  # fmt: skip
    with torch.no_grad():
        # As large as training makes them: outputs of a fresh encoder hardly differ between
        # documents, and batch norm would blow rounding errors up to the size of the signal.
        peer[0].module.encoder.weight.mul_(15)
        for rnn in peer[0].module.rnns:
            rnn.weight_hh_l0_raw.mul_(2)
            rnn.module.weight_ih_l0.mul_(2)
    copy_encoder(ours.encoder, peer[0].module)
    with torch.no_grad():
        peers = [
            m for m in peer[1].modules() if isinstance(m, torch.nn.Linear | torch.nn.BatchNorm1d)
        ]
        mine = (ours.head.norm1, ours.head.linear1, ours.head.norm2, ours.head.linear2)
        for layer, other in zip(mine, peers, strict=True):
            layer.load_state_dict(other.state_dict())
    pairs = [
        (
            torch.from_numpy(rng.integers(2, VOCAB, (BS, 3 * SEQ))),
            torch.from_numpy(rng.integers(0, 2, BS)),
        )
        for _ in range(STEPS)
    ]
    n_groups = LAYERS + 2
    theirs = fastai_steps(
        peer, pairs, awd_lstm_clas_split, slice(0.02 / DECAY ** (n_groups - 1), 0.02), freeze
    )
    groups = ours.layer_groups()
    freeze_to(groups, freeze)
    optimiser = make_adam(groups, WD)
    cycle = OneCycle(STEPS, 0.25, (0.8, 0.7))
    lrs = discriminative_lrs(0.02, DECAY, n_groups)
    losses = []
    ours.train()
    lengths = torch.full((BS,), 3 * SEQ)
    for i, (x, y) in enumerate(pairs):
        logits, penalty = ours(x.t().contiguous(), lengths, None)
        loss = torch.nn.functional.cross_entropy(logits, y)
        losses.append(loss.item())
        optimiser_step(loss + penalty, optimiser, cycle, i, lrs)
    return theirs, losses


def main():
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    worst = 0.0
    cases = [("language model", lambda: language_model(rng))]
    cases += [
        (f"classifier, freeze_to({freeze})", partial(classifier, rng, freeze))
        for freeze in (-1, -2, -3, 0)
    ]
    for name, case in cases:
        theirs, ours = map(np.array, case())
        assert len(theirs) == len(ours) == STEPS
        difference = np.abs(ours / theirs - 1).max()
        worst = max(worst, difference)
        print(f"{name:26} loss {theirs[0]:.4f} -> {theirs[-1]:.4f}; differs by {difference:.1e}")
    sys.exit(worst > 1e-4)


main()
