"""The trainer learns, repeats itself to the bit, resumes to the same end and gives up when lost."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hpsearch.data.cache.stages import stage_folder
from hpsearch.errors import HpsearchError
from hpsearch.trainers.contract import DivergedError, PrepareSetup, TrialSetup
from hpsearch.trainers.shared.stages import Epoch
from hpsearch.trainers.text.classifier import train as trainer
from hpsearch.trainers.text.classifier.fit import ClassifierFit, plan_stages
from hpsearch.trainers.text.classifier.saved import load_classifier, predict_documents
from hpsearch.trainers.text.config import ClassifierConfig
from hpsearch.trainers.text.tokens.vocab import Vocab

from ..conftest import PARAMS, SETTINGS

pytestmark = pytest.mark.processor


def fit(prepared, *, seed=0, report=None, checkpoint=None, **params):
    records = []
    result = trainer.train(
        SETTINGS,
        {**PARAMS, **params},
        prepared,
        TrialSetup(seed=seed, device="cpu", report=report or records.append, checkpoint=checkpoint),
    )
    return result, records


def new_run(prepared):
    config = ClassifierConfig(**{**SETTINGS, **PARAMS})
    folder = prepared.language_models[0].folder
    return ClassifierFit(config, prepared.texts, folder, seed=0, device="cpu")


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
    stages = plan_stages(ClassifierConfig(lr=0.02), n_groups=5)
    assert [(s.name, s.freeze_to, s.lrs[-1], s.epochs) for s in stages] == [
        ("head", 4, 0.02, 1),
        ("rnn2", 3, 0.01, 1),
        ("rnn1", 2, 0.005, 1),
        ("all", 0, 0.001, 2),
    ]
    once = plan_stages(ClassifierConfig(lr=0.02, unfreeze=False), n_groups=5)
    assert [(s.name, s.lrs[-1], s.epochs) for s in once] == [("all", 0.02, 5)]


def test_frozen_groups_do_not_change(prepared):
    run = new_run(prepared)
    model = run.model
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    stage = plan_stages(run.config, run.n_groups)[1]
    run.start_stage(stage)
    run.train_epoch(Epoch(stage, 0, 2, 5), lambda done, total: None)
    changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert not any(name.startswith(("encoder.embedding", "encoder.rnns.0")) for name in changed)
    assert any(name.startswith("encoder.rnns.1") for name in changed)
    assert any(name.startswith("head") for name in changed)


def test_a_diverging_trial_says_so(prepared):
    with pytest.raises(DivergedError, match="lower lr"):
        fit(prepared, lr=1e30, unfreeze=False)


def test_predictions_come_in_the_order_of_the_texts(prepared):
    model, valid = new_run(prepared).model, prepared.texts.parts["valid"]
    whole = predict_documents(model, valid, "cpu", torch.float32, bs=7)
    for i in (0, 17, len(valid) - 1):
        alone = predict_documents(model, valid.take(np.array([i])), "cpu", torch.float32)
        np.testing.assert_allclose(whole[i], alone[0], atol=1e-5)
    np.testing.assert_allclose(whole.sum(1), 1, atol=1e-5)


def test_preparing_twice_reads_the_cache(prepared, reviews, monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("trained again")

    monkeypatch.setattr("hpsearch.trainers.text.language_model.stage.train_language_model", fail)
    again = trainer.prepare(
        {"path": str(reviews)}, SETTINGS, PrepareSetup(data_path=None, device="cpu")
    )
    assert again.fingerprint == prepared.fingerprint
    assert again.language_models == prepared.language_models


def test_a_language_model_of_an_older_training_is_not_taken(prepared, reviews, monkeypatch):
    monkeypatch.setattr("hpsearch.trainers.text.language_model.stage._VERSION", 1)
    older = trainer.prepare(
        {"path": str(reviews)}, SETTINGS, PrepareSetup(data_path=None, device="cpu")
    )
    assert older.fingerprint == prepared.fingerprint  # the texts are the same
    assert older.language_models[0].folder != prepared.language_models[0].folder


def test_the_language_model_learned_something(prepared):
    # 30 words, two of them rarer, and xxbos: guessing gives at most the vocabulary's size.
    vocab, stage = prepared.texts.vocab, prepared.language_models[0]
    assert stage.perplexity == stage.records[-1].metrics["perplexity"] < len(vocab)
    weights = load_file(stage.folder / "model.safetensors")
    assert weights["encoder.embedding.weight"].shape == (len(vocab), 16)


def test_a_damaged_language_model_is_one_sentence(prepared):
    stage = prepared.language_models[0]
    broken = shutil.copytree(stage.folder, stage_folder("broken"))
    (broken / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(HpsearchError, match=str(broken)):
        fit(replace(prepared, language_models=(replace(stage, name="broken"),)))


@pytest.mark.parametrize("name", ["train_ids.npy", "valid_labels.npy", "vocab.json"])
def test_damaged_texts_are_one_sentence(prepared, reviews, name):
    stages = prepared.language_models[0].folder.parent
    (folder,) = stages.glob(f"texts-{prepared.fingerprint}")
    path = folder / name
    whole = path.read_bytes()

    def put(content):
        path.unlink(missing_ok=True)  # other tests have the old file mapped
        path.write_bytes(content)

    try:
        for damage in (lambda: put(b"cut"), path.unlink):
            damage()
            with pytest.raises(HpsearchError, match="delete that folder"):
                trainer.prepare(
                    {"path": str(reviews)}, SETTINGS, PrepareSetup(data_path=None, device="cpu")
                )
    finally:
        put(whole)


def test_an_encoder_of_another_vocabulary_is_refused(prepared):
    other = Vocab((*prepared.texts.vocab.tokens[:-1], "another"))
    with pytest.raises(HpsearchError, match="same vocabulary"):
        fit(replace(prepared, texts=replace(prepared.texts, vocab=other)))


def test_with_max_tokens_a_classifier_reads_the_ends_of_texts_and_its_language_model_all(
    reviews, tmp_path
):
    settings = {**SETTINGS, "max_tokens": 4}
    prepared, cut = (
        trainer.prepare({"path": str(reviews)}, given, PrepareSetup(data_path=None, device="cpu"))
        for given in (SETTINGS, settings)
    )
    whole = prepared.texts.parts
    for name in ("train", "valid"):
        assert cut.texts.parts[name].lengths.max() == 4 < whole[name].lengths.max()
        assert [doc[-4:].tolist() for doc in split(whole[name])] == [
            doc.tolist() for doc in split(cut.texts.parts[name])
        ]
    assert np.array_equal(cut.texts.parts["read"].ids, whole["read"].ids)
    assert cut.language_models == prepared.language_models
    assert cut.fingerprint != prepared.fingerprint
    records = []
    trainer.train(
        settings,
        PARAMS,
        cut,
        TrialSetup(seed=0, device="cpu", report=records.append, keep=tmp_path),
    )
    found = load_classifier(tmp_path).predict_documents(whole["valid"])
    assert (found.argmax(1) == prepared.texts.labels["valid"]).mean() == pytest.approx(
        records[-1].metrics["accuracy"]
    )


def split(docs):
    return np.split(docs.ids, docs.offsets[1:-1])


def test_balanced_classes_weigh_a_text_by_how_rare_its_class_is(prepared):
    """One text in four is of the rare class: it weighs three times what the others do."""
    labels = prepared.texts.labels
    rare = {**labels, "train": np.where(np.arange(len(labels["train"])) % 4 == 0, 1, 0)}
    texts = replace(prepared.texts, labels=rare)
    config = ClassifierConfig(**{**SETTINGS, **PARAMS, "class_weights": "balanced"})
    folder = prepared.language_models[0].folder
    weights = ClassifierFit(config, texts, folder, seed=0, device="cpu").class_weights
    assert weights.tolist() == pytest.approx([2 / 3, 2], rel=0.02)
    plain, weighted = (
        fit(replace(prepared, texts=texts), class_weights=one)[1][0] for one in ("none", "balanced")
    )
    assert plain.train_loss != weighted.train_loss
