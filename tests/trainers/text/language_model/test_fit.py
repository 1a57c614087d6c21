"""The language model learns what is certain, and its loss is in nats per token."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from hpsearch.errors import HpsearchError
from hpsearch.trainers.contract import DivergedError, TrialSetup
from hpsearch.trainers.text.batches import Documents
from hpsearch.trainers.text.config import LanguageModelConfig
from hpsearch.trainers.text.language_model.files import (
    SavedLanguageModel,
    evaluate_language_model,
    load_language_model,
    new_language_model,
    save_language_model,
)
from hpsearch.trainers.text.language_model.fit import train_language_model
from hpsearch.trainers.text.tokens.tokenizer import SPECIALS
from hpsearch.trainers.text.tokens.vocab import Vocab

pytestmark = pytest.mark.processor

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
        TrialSetup(seed=0, device="cpu", report=records.append),
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
    heavy = replace(CONFIG, alpha=1e6, beta=1e6, epochs=1, lr=1e-12)
    _, records = train(heavy)
    assert records[0].train_loss == pytest.approx(math.log(len(VOCAB)), abs=0.05)


def test_it_survives_its_files(tmp_path):
    model, _ = train()
    save_language_model(tmp_path, SavedLanguageModel(model, VOCAB, CONFIG, "de"))
    saved = load_language_model(tmp_path)
    assert (saved.vocab, saved.config, saved.tokenizer) == (VOCAB, CONFIG, "de")
    before = evaluate_language_model(model, cycle(), CONFIG, "cpu", torch.float32)
    assert evaluate_language_model(saved.model, cycle(), CONFIG, "cpu", torch.float32) == before


def test_loading_draws_no_weights(tmp_path, monkeypatch):
    save_language_model(
        tmp_path, SavedLanguageModel(new_language_model(CONFIG, len(VOCAB)), VOCAB, CONFIG, "en")
    )

    def draw(tensor, *args, **kwargs):
        assert tensor.is_meta, "weights were drawn"
        return tensor

    for name in ("uniform_", "normal_"):
        monkeypatch.setattr(torch.Tensor, name, draw)
    before = torch.random.get_rng_state()
    assert load_language_model(tmp_path).model.decoder_bias.abs().max() == 0
    assert torch.equal(torch.random.get_rng_state(), before)


def test_sixteen_bits_halve_the_file_and_hardly_change_the_loss(tmp_path):
    model, _ = train()
    saved = SavedLanguageModel(model, VOCAB, CONFIG, "en")
    sizes = []
    for dtype in (torch.float32, torch.float16):
        save_language_model(tmp_path, saved, dtype)
        sizes.append((tmp_path / "model.safetensors").stat().st_size)
    assert sizes[1] < 0.7 * sizes[0]
    before, _ = evaluate_language_model(model, cycle(), CONFIG, "cpu", torch.float32)
    loaded = load_language_model(tmp_path).model
    after, _ = evaluate_language_model(loaded, cycle(), CONFIG, "cpu", torch.float32)
    assert after == pytest.approx(before, rel=1e-3)


@pytest.mark.parametrize("name", ["model.safetensors", "vocab.json", "config.json"])
def test_a_damaged_file_is_one_sentence(tmp_path, name):
    save_language_model(tmp_path, SavedLanguageModel(train()[0], VOCAB, CONFIG, "en"))
    (tmp_path / name).write_bytes(b"cut")
    with pytest.raises(HpsearchError, match=str(tmp_path)):
        load_language_model(tmp_path)


def test_frozen_epochs_train_embedding_and_decoder_alone_at_ten_times_the_rate():
    config = replace(CONFIG, frozen_epochs=1, epochs=1, lr=1e-3, lr_decay=2.0)
    before = new_language_model(config, len(VOCAB)).state_dict()
    seen = []

    def report(record):
        seen.append((record, {k: v.clone() for k, v in model.state_dict().items()}))

    model = new_language_model(config, len(VOCAB))
    train_language_model(
        config, model, cycle(), cycle(10), TrialSetup(seed=0, device="cpu", report=report)
    )
    (first, frozen), (second, thawed) = seen
    changed = {name for name in before if not torch.equal(before[name], frozen[name])}
    assert changed == {"encoder.embedding.weight", "decoder_bias"}
    assert all(not torch.equal(frozen[name], thawed[name]) for name in before)
    assert first.stage == "lm-frozen"
    assert first.lrs == pytest.approx((0, 0, 1e-2), rel=0.02)
    assert second.lrs == pytest.approx((1e-3 / 4, 1e-3 / 2, 1e-3), rel=0.02)


@pytest.mark.parametrize("killed_after", [1, 2])
def test_a_killed_training_goes_on_to_the_same_weights(tmp_path, killed_after):
    config = replace(CONFIG, frozen_epochs=1, epochs=2)
    whole, _ = train(config)
    seen = []

    def kill(record):
        seen.append(record)
        if len(seen) == killed_after:
            raise KeyboardInterrupt

    def go(report):
        return train_language_model(
            config,
            new_language_model(config, len(VOCAB)),
            cycle(),
            cycle(10),
            TrialSetup(seed=0, device="cpu", report=report, checkpoint=tmp_path),
        )

    with pytest.raises(KeyboardInterrupt):
        go(kill)
    records = []
    resumed = go(records.append)
    assert [record.epoch for record in records] == [1, 2, 3]
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_backward_documents_are_read_from_their_end():
    docs = Documents(np.arange(6, dtype=np.int32), np.array([0, 1, 3, 6]))
    back = docs.reversed()
    assert back.ids.tolist() == [0, 2, 1, 5, 4, 3]
    assert back.offsets.tolist() == [0, 1, 3, 6]


def test_divergence_is_told():
    with pytest.raises(DivergedError, match="lower lr"):
        train(replace(CONFIG, lr=1e30))
