"""The language model learns what is certain, and its loss is in nats per token."""

import math

import numpy as np
import pytest
import torch

from hpsearch.text.batches import Documents
from hpsearch.text.config import LanguageModelConfig
from hpsearch.text.language_model import (
    evaluate_language_model,
    load_language_model,
    new_language_model,
    save_language_model,
    train_language_model,
)
from hpsearch.text.tokenize import SPECIALS
from hpsearch.text.vocab import Vocab
from hpsearch.training.contract import DivergedError

CONFIG = LanguageModelConfig(
    emb=16, hidden=24, layers=2, epochs=3, lr=0.02, drop_mult=0.0, bs=8, seq_len=12
)
VOCAB = Vocab((*SPECIALS, *"abcdefg"))


def cycle(n_docs=60, length=40):
    """Texts in which every token follows from the one before: 9, 10, ..., 15, 9, ..."""
    ids = np.tile(np.arange(9, 16, dtype=np.int32), n_docs * length // 7 + 1)[: n_docs * length]
    return Documents(ids, np.arange(0, n_docs * length + 1, length, dtype=np.int64))


def train(config=CONFIG, texts=None):
    records = []
    model = train_language_model(
        config,
        new_language_model(config, len(VOCAB)),
        texts or cycle(),
        cycle(10),
        device="cpu",
        report=records.append,
    )
    return model, records


def test_it_learns_a_certain_sequence():
    _, records = train()
    assert records[-1].metrics["accuracy"] > 0.9
    assert records[-1].metrics["perplexity"] < 2  # guessing: 7
    assert len(records) == CONFIG.epochs


def test_before_training_the_loss_is_that_of_guessing():
    model = new_language_model(CONFIG, len(VOCAB))
    loss, _ = evaluate_language_model(model, cycle(), CONFIG, "cpu", torch.float32)
    assert loss == pytest.approx(math.log(len(VOCAB)), abs=0.05)


def test_the_same_seed_gives_the_same_weights():
    (one, _), (two, _) = train(), train()
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)


def test_activation_penalties_do_not_enter_the_reported_loss():
    from dataclasses import replace

    heavy = replace(CONFIG, alpha=1e6, beta=1e6, epochs=1, lr=1e-12)
    _, records = train(heavy)
    assert records[0].train_loss == pytest.approx(math.log(len(VOCAB)), abs=0.05)


def test_it_survives_its_files(tmp_path):
    model, _ = train()
    save_language_model(tmp_path, model, VOCAB, CONFIG)
    loaded, vocab, config = load_language_model(tmp_path)
    assert (vocab, config) == (VOCAB, CONFIG)
    before = evaluate_language_model(model, cycle(), CONFIG, "cpu", torch.float32)
    assert evaluate_language_model(loaded, cycle(), CONFIG, "cpu", torch.float32) == before


def test_divergence_is_told():
    from dataclasses import replace

    with pytest.raises(DivergedError, match="lower lr"):
        train(replace(CONFIG, lr=1e30))
