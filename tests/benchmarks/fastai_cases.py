"""One data set and one set of weights, for our trainers and for fastai's: what is compared."""

import tempfile
from pathlib import Path

import fastai_peer as peer
import numpy as np
import torch

from hpsearch.data import load_text
from hpsearch.trainers.text.batches import Documents
from hpsearch.trainers.text.config import ClassifierConfig, LanguageModelConfig
from hpsearch.trainers.text.language_model.files import (
    SavedLanguageModel,
    new_language_model,
    save_language_model,
)
from hpsearch.trainers.text.numbered_texts import Texts
from hpsearch.trainers.text.tokens.tokenizer import Tokenizer
from hpsearch.trainers.text.tokens.vocab import Vocab


class Reviews:
    """Labelled IMDb reviews in random order, numbered with `vocab` or the most common tokens."""

    def __init__(self, n, n_tokens=0, *, vocab=None):
        dataset = load_text({"source": "imdb"}, path=None, progress=lambda *_: None)
        table = dataset.table
        table = table[table["label"].isin(dataset.classes)]
        table = table.iloc[np.random.default_rng(0).permutation(len(table))[:n]]
        self.texts = table["text"].tolist()
        self.classes = dataset.classes
        self.labels = np.array([self.classes.index(label) for label in table["label"]])
        tokens = Tokenizer().encode(self.texts, processes=1)
        self.vocab = vocab or Vocab.build(
            tokens.ids, tokens.strings, max_vocab=n_tokens, min_freq=2
        )
        self.docs = Documents(self.vocab.numericalise(tokens), tokens.offsets)

    def split(self, train, valid):
        """Our trainer's data: the reviews `train` to train on, `valid` held out."""
        rows = {"train": np.asarray(train), "valid": np.asarray(valid)}
        return Texts(
            source="IMDb",
            note=None,
            tokenizer="en",
            columns=("text",),
            vocab=self.vocab,
            classes=tuple(self.classes),
            parts={name: self.docs.take(which) for name, which in rows.items()},
            labels={name: self.labels[which] for name, which in rows.items()},
            fingerprint="benchmark",
            total=len(self.docs),
        )


def language_config(sizes, **other):
    emb, hidden, layers = sizes
    fixed = {"bs": 48, "seq_len": 70, "epochs": 1, "frozen_epochs": 0}
    return LanguageModelConfig(emb=emb, hidden=hidden, layers=layers, **{**fixed, **other})


def saved_model(reviews, config, model=None):
    """A folder with our language model, new where none is given."""
    folder = Path(tempfile.mkdtemp(prefix="hpsearch-bench-"))
    model = model or new_language_model(config, len(reviews.vocab))
    save_language_model(folder, SavedLanguageModel(model, reviews.vocab, config, "en"))
    return folder, model


def copy_weights(pairs):
    """(to, from) parameters or layers."""
    with torch.no_grad():
        for to, of in pairs:
            to.copy_(of)


def fastai_classifier(reviews, language_model, sizes, drop_mult, seed=0):
    """fastai's classifier on our language model's encoder."""
    torch.manual_seed(seed)
    model = peer.peer_classifier(len(reviews.vocab), sizes, drop_mult)
    pairs = peer.encoder_pairs(language_model.encoder, model[0].module)
    copy_weights([(theirs, ours) for ours, theirs in pairs])
    return model


def classifier_config(precision, **other):
    return ClassifierConfig(precision=precision, **{"bs": 48, **other})
