"""fastai 2.8's models and learners, as the benchmarks measure them. See bench_fastai_parity.py for
the environment that they need."""

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
from fastai.text.core import SpacyTokenizer, tokenize_texts
from fastai.text.data import LMDataLoader, SortedDL, TensorText, pad_input_chunk
from fastai.text.models.awdlstm import (
    AWD_LSTM,
    awd_lstm_clas_config,
    awd_lstm_clas_split,
    awd_lstm_lm_config,
    awd_lstm_lm_split,
)
from fastai.text.models.core import get_language_model, get_text_classifier

from hpsearch.trainers.text.batches import Documents

PAD = 1


def config_of(base, sizes, *, drop=True):
    """fastai's configuration for (emb, hidden, layers); `drop` False sets all dropouts to 0."""
    emb, hidden, layers = sizes
    config = {**base, "emb_sz": emb, "n_hid": hidden, "n_layers": layers}
    if drop:
        return config
    # With a weight drop of exactly 0 fastai's reset fails on this torch.
    none = {key: 0.0 for key in config if key.endswith("_p")}
    return {**config, **none, "weight_p": 1e-12}


def peer_language_model(n_tokens, sizes, drop_mult, *, drop=True):
    config = config_of(awd_lstm_lm_config, sizes, drop=drop)
    return get_language_model(AWD_LSTM, n_tokens, config=config, drop_mult=drop_mult)


def peer_classifier(n_tokens, sizes, drop_mult, *, seq_len=72, drop=True):
    return get_text_classifier(
        AWD_LSTM,
        n_tokens,
        2,
        seq_len=seq_len,
        config=config_of(awd_lstm_clas_config, sizes, drop=drop),
        drop_mult=drop_mult,
        lin_ftrs=[50],
        ps=[0.1 if drop else 0.0],
        max_len=1440,
    )


def encoder_pairs(ours, theirs):
    """(our parameter, fastai's) for every weight of the two encoders."""
    pairs = [(ours.embedding.weight, theirs.encoder.weight)]
    for layer, peer in zip(ours.rnns, theirs.rnns, strict=True):
        pairs.append((layer.weight_hh, peer.weight_hh_l0_raw))
        for name in ("weight_ih", "bias_ih", "bias_hh"):
            pairs.append((getattr(layer, name), getattr(peer.module, f"{name}_l0")))
    return pairs


def head_pairs(ours, theirs):
    """(our layer, fastai's) for norms and linear layers of the two classifiers' heads."""
    kinds = torch.nn.Linear | torch.nn.BatchNorm1d
    peers = [module for module in theirs[1].modules() if isinstance(module, kinds)]
    head = ours.head
    return list(zip((head.norm1, head.linear1, head.norm2, head.linear2), peers, strict=True))


def documents_dataset(docs, labels):
    """Our documents as fastai's items: (TensorText, label)."""
    ids = torch.from_numpy(np.asarray(docs.ids, dtype=np.int64))
    return [
        (TensorText(ids[a:b]), torch.tensor(int(label)))
        for a, b, label in zip(docs.offsets[:-1], docs.offsets[1:], labels, strict=True)
    ]


def documents_loader(docs, labels, bs, *, shuffle):
    """fastai's own loader of classifier batches, in this process (workers cost more here)."""
    # The padding of whole chunks comes first, as Pad_Chunk in fastai's TextBlock has it.
    return SortedDL(
        documents_dataset(docs, labels),
        bs=bs,
        shuffle=shuffle,
        num_workers=0,
        before_batch=partial(pad_input_chunk, pad_idx=PAD, seq_len=72),
    )


def tokenised(texts, vocab, n_workers):
    """fastai's own tokens of the texts (spaCy and its rules), numbered with our vocabulary."""
    tokens = tokenize_texts(texts, n_workers, tok=SpacyTokenizer("en"))
    ids = [np.array([vocab.ids.get(token, 0) for token in one], dtype=np.int32) for one in tokens]
    return Documents(np.concatenate(ids), np.cumsum([0, *map(len, ids)]))


def stream_loader(docs, bs, seq_len):
    """fastai's own loader of language-model batches."""
    ids = torch.from_numpy(np.asarray(docs.ids, dtype=np.int64))
    parts = [
        (TensorText(ids[a:b]),) for a, b in zip(docs.offsets[:-1], docs.offsets[1:], strict=True)
    ]
    return LMDataLoader(parts, lens=docs.lengths.tolist(), bs=bs, seq_len=seq_len, shuffle=True)


def learner(model, train, valid, splitter, *, wd=0.01, moms=(0.8, 0.7, 0.8), cbs=()):
    """A Learner as fastai's text_classifier_learner makes it."""
    return Learner(
        DataLoaders(train, valid),
        model,
        loss_func=CrossEntropyLossFlat(),
        opt_func=partial(Adam, mom=0.9, sqr_mom=0.99, eps=1e-5, decouple_wd=True),
        splitter=splitter,
        moms=moms,
        wd=wd,
        cbs=[*rnn_cbs(alpha=2.0, beta=1.0), *cbs],
    )


def fit(one, lr, freeze=0, epochs=1, pct_start=0.25):
    """One cycle without validation, bars or logs."""
    one._do_epoch_validate = lambda *_, **__: None
    one.freeze_to(freeze)
    with one.no_bar(), one.no_logging(), one.no_mbar():
        one.fit_one_cycle(epochs, lr, pct_start=pct_start)
    del one._do_epoch_validate  # get_preds needs it


__all__ = [
    "Callback",
    "awd_lstm_clas_split",
    "awd_lstm_lm_split",
    "config_of",
    "documents_loader",
    "encoder_pairs",
    "fit",
    "head_pairs",
    "learner",
    "peer_classifier",
    "peer_language_model",
    "stream_loader",
    "tokenised",
]
