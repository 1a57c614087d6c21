"""The trainer learns, repeats itself to the bit, resumes to the same end and gives up when lost."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hpsearch.errors import HpsearchError, InputError
from hpsearch.text import train_classifier as trainer
from hpsearch.text.config import ClassifierConfig
from hpsearch.text.prepare import split_rows
from hpsearch.training.contract import DivergedError

from .conftest import PARAMS, SETTINGS


def fit(prepared, *, seed=0, report=None, checkpoint=None, **params):
    records = []
    result = trainer.train(
        SETTINGS,
        {**PARAMS, **params},
        prepared,
        seed=seed,
        device="cpu",
        report=report or records.append,
        checkpoint=checkpoint,
    )
    return result, records


def facts(records):
    """Everything in the records but the wall time."""
    return [(r.stage, r.epoch, r.train_loss, r.valid_loss, r.metrics, r.lrs) for r in records]


def test_it_learns_which_word_decides(prepared):
    result, records = fit(prepared, epochs=2, unfreeze=False, lr=0.05)
    assert result.metrics["accuracy"] > 0.95
    assert records[-1].train_loss < 0.3 < records[0].train_loss


def test_the_same_seed_gives_the_same_result_to_the_bit_and_another_does_not(prepared):
    (_, one), (_, two), (_, other) = fit(prepared), fit(prepared), fit(prepared, seed=1)
    assert facts(one) == facts(two)
    assert facts(one) != facts(other)


@pytest.mark.parametrize("killed_after", [1, 3, 4])
def test_a_killed_trial_resumes_to_the_result_of_an_uninterrupted_one(
    prepared, tmp_path, killed_after
):
    _, uninterrupted = fit(prepared)
    seen = []

    def kill(record):
        seen.append(record)
        if len(seen) == killed_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(prepared, report=kill, checkpoint=tmp_path)
    _, resumed = fit(prepared, checkpoint=tmp_path)
    assert facts(resumed) == facts(uninterrupted)


def test_a_checkpoint_cut_short_is_not_used(prepared, tmp_path):
    (tmp_path / "state.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00half")
    _, records = fit(prepared, checkpoint=tmp_path)
    assert [record.epoch for record in records] == [1, 2, 3, 4, 5]


def test_stages_and_rates_are_the_lessons(prepared):
    _, records = fit(prepared, lr=0.02, lr_decay=2.6)
    assert [record.stage for record in records] == ["head", "rnn1", "rnn0", "all", "all"]
    assert records[0].lrs == pytest.approx((0.0, 0.0, 0.0, 0.02), rel=0.02)
    assert records[1].lrs == pytest.approx((0, 0, 0.01 / 2.6, 0.01), rel=0.02)
    assert records[2].lrs == pytest.approx((0, 0.005 / 2.6**2, 0.005 / 2.6, 0.005), rel=0.02)
    assert records[3].lrs == pytest.approx(tuple(0.001 / 2.6**k for k in (3, 2, 1, 0)), rel=0.02)
    # The second half of a cycle begins a third of the way down a cosine: (1 + cos(pi / 3)) / 2.
    assert records[4].lrs == pytest.approx([lr * 0.75 for lr in records[3].lrs], rel=0.02)
    assert {record.epochs for record in records} == {5}


def test_five_groups_thaw_in_the_lessons_order():
    stages = trainer.plan_stages(ClassifierConfig(lr=0.02), n_groups=5)
    assert [(s.name, s.freeze_to, s.lr, s.epochs) for s in stages] == [
        ("head", -1, 0.02, 1),
        ("rnn2", -2, 0.01, 1),
        ("rnn1", -3, 0.005, 1),
        ("all", 0, 0.001, 2),
    ]
    once = trainer.plan_stages(ClassifierConfig(lr=0.02, unfreeze=False), n_groups=5)
    assert [(s.name, s.lr, s.epochs) for s in once] == [("all", 0.02, 5)]


def test_frozen_groups_do_not_change(prepared):
    config = ClassifierConfig(**{**SETTINGS, **PARAMS})
    model = trainer.new_classifier(config, prepared, seed=0)
    run = trainer._Run(config, model, prepared, 0, "cpu")
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    stage = trainer.plan_stages(config, run.n_groups)[1]
    run.start_stage(stage)
    run.epoch(2, 5, stage, 0)
    changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert not any(name.startswith(("encoder.embedding", "encoder.rnns.0")) for name in changed)
    assert any(name.startswith("encoder.rnns.1") for name in changed)
    assert any(name.startswith("head") for name in changed)


def test_a_diverging_trial_says_so(prepared):
    with pytest.raises(DivergedError, match="lower lr"):
        fit(prepared, lr=1e30, unfreeze=False)


def test_predictions_come_in_the_order_of_the_texts(prepared):
    config = ClassifierConfig(**{**SETTINGS, **PARAMS})
    model = trainer.new_classifier(config, prepared, seed=0)
    whole = trainer.predict(model, prepared.valid, "cpu", torch.float32, bs=7)
    for i in (0, 17, len(prepared.valid) - 1):
        alone = trainer.predict(model, prepared.valid.take(np.array([i])), "cpu", torch.float32)
        np.testing.assert_allclose(whole[i], alone[0], atol=1e-5)
    np.testing.assert_allclose(whole.sum(1), 1, atol=1e-5)


def test_preparing_twice_reads_the_cache(prepared, reviews, monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("trained again")

    monkeypatch.setattr("hpsearch.text.language_model.train_language_model", fail)
    again = trainer.prepare(
        {"path": str(reviews)}, SETTINGS, data_path=None, device="cpu", progress=lambda *_: None
    )
    assert again.fingerprint == prepared.fingerprint
    assert again.language_model == prepared.language_model


def test_a_language_model_of_an_older_training_is_not_taken(prepared, reviews, monkeypatch):
    monkeypatch.setattr("hpsearch.text.prepare._LM_VERSION", 1)
    older = trainer.prepare(
        {"path": str(reviews)}, SETTINGS, data_path=None, device="cpu", progress=lambda *_: None
    )
    assert older.fingerprint == prepared.fingerprint  # the texts are the same
    assert older.language_model != prepared.language_model


def test_the_language_model_learned_something(prepared):
    # 30 words, two of them rarer, and xxbos: guessing gives at most the vocabulary's size.
    assert prepared.lm_records[-1].metrics["perplexity"] < len(prepared.vocab)
    weights = load_file(prepared.language_model / "model.safetensors")
    assert weights["encoder.embedding.weight"].shape == (len(prepared.vocab), 16)


def test_a_damaged_language_model_is_one_sentence(prepared, tmp_path):
    import dataclasses
    import shutil

    broken = shutil.copytree(prepared.language_model, tmp_path / "lm")
    (broken / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(HpsearchError, match="delete that folder"):
        fit(dataclasses.replace(prepared, language_model=broken))


@pytest.mark.parametrize("name", ["train_ids.npy", "valid_labels.npy", "vocab.json"])
def test_damaged_texts_are_one_sentence(prepared, reviews, name):
    (folder,) = prepared.language_model.parent.glob(f"texts-{prepared.fingerprint}")
    whole = (folder / name).read_bytes()
    try:
        for damage in (lambda: (folder / name).write_bytes(b"cut"), (folder / name).unlink):
            damage()
            with pytest.raises(HpsearchError, match="delete that folder"):
                trainer.prepare(
                    {"path": str(reviews)}, SETTINGS, data_path=None, device="cpu",
                    progress=lambda *_: None,
                )  # fmt: skip
    finally:
        (folder / name).write_bytes(whole)


def test_an_encoder_of_another_vocabulary_is_refused(prepared):
    import dataclasses

    from hpsearch.text.vocab import Vocab

    other = Vocab((*prepared.vocab.tokens[:-1], "another"))
    with pytest.raises(HpsearchError, match="same vocabulary"):
        fit(dataclasses.replace(prepared, vocab=other))


def test_held_out_texts_are_stratified_and_nobody_trains_on_them():
    labels = np.array([0] * 300 + [1] * 100 + [-1] * 50)
    trainable = np.ones(450, dtype=bool)
    trainable[:20] = False
    config = ClassifierConfig(train_reviews=100, valid_reviews=40)
    train, valid, read = split_rows(labels, trainable, config)
    assert len(train) == 100
    assert len(valid) == 40
    assert (labels[valid] == 1).sum() == pytest.approx(40 * 100 / 380, abs=1)
    assert not set(valid) & (set(train) | set(read))
    assert set(train) <= set(read)
    assert set(range(400, 450)) <= set(read)
    assert not set(range(20)) & (set(train) | set(valid) | set(read))


def test_too_few_texts_are_one_sentence():
    with pytest.raises(InputError, match="at least 5"):
        split_rows(np.array([0, 1, 0]), np.ones(3, dtype=bool), ClassifierConfig())
