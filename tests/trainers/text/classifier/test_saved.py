"""A classifier in its folder: what comes back, what is refused, and texts of any length."""

import json
import time

import numpy as np
import pytest
import torch

from hpsearch.errors import InputError
from hpsearch.trainers.shared.metrics import scores
from hpsearch.trainers.text.batches import Documents
from hpsearch.trainers.text.classifier.saved import (
    SavedClassifier,
    build_classifier,
    load_classifier,
    save_classifier,
)
from hpsearch.trainers.text.config import ClassifierConfig
from hpsearch.trainers.text.networks.awd_lstm import AWDLSTM, Dropouts
from hpsearch.trainers.text.tokens.tokenizer import SPECIALS
from hpsearch.trainers.text.tokens.vocab import Vocab

VOCAB = Vocab((*SPECIALS, *"abcdefg"))
CLASSES = ("one", "two", "three", "four", "five")
CONFIG = ClassifierConfig(seq_len=16)


def classifier(config=CONFIG, directions=(False,)):
    models = []
    for seed, _ in enumerate(directions):
        generator = torch.Generator().manual_seed(seed)
        encoder = AWDLSTM(len(VOCAB), 6, 8, 2, Dropouts(0, 0, 0, 0, 0))
        encoder.init_weights(generator)
        models.append(build_classifier(config, encoder, len(CLASSES)))
        models[-1].head.init_weights(generator)
    return SavedClassifier(
        models, list(directions), [(6, 8, 2)] * len(directions), VOCAB, CLASSES, "whitespace",
        config, ("title", "body"), {"data": "a test"},
    )  # fmt: skip


TEXTS = ["a b c", "g", "c c c d e f g a", "", "b"]


@pytest.mark.parametrize("directions", [(False,), (True,), (False, True)])
def test_it_survives_its_files_to_the_bit(tmp_path, directions):
    saved = classifier(directions=directions)
    save_classifier(tmp_path, saved)
    loaded = load_classifier(tmp_path)
    assert (loaded.classes, loaded.tokenizer, loaded.config) == (CLASSES, "whitespace", CONFIG)
    assert (loaded.text_columns, loaded.facts) == (("title", "body"), {"data": "a test"})
    np.testing.assert_array_equal(loaded.predict(TEXTS), saved.predict(TEXTS))
    assert not list(tmp_path.glob("*.pkl")) + list(tmp_path.glob("*.pt"))


def test_probabilities_of_both_directions_are_averaged():
    both = classifier(directions=(False, True))
    alone = [
        SavedClassifier([model], [way], [(6, 8, 2)], VOCAB, CLASSES, "whitespace", CONFIG)
        for model, way in zip(both.models, both.backward, strict=True)
    ]
    mean = (alone[0].predict(TEXTS) + alone[1].predict(TEXTS)) / 2
    np.testing.assert_allclose(both.predict(TEXTS), mean, rtol=1e-6)
    blank = [not text.strip() for text in TEXTS]  # has no probabilities, as on the command line
    np.testing.assert_array_equal(np.isnan(mean).all(1), blank)
    np.testing.assert_allclose(both.predict(TEXTS)[~np.array(blank)].sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize("threads", [1, 3])
def test_order_and_threads_change_no_prediction(threads):
    saved = classifier()
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(list("abcdefgh"), rng.integers(1, 60))) for _ in range(300)]
    expected = saved.predict(texts)
    order = rng.permutation(300)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        shuffled = saved.predict([texts[i] for i in order])
    finally:
        after = torch.get_num_threads()
        torch.set_num_threads(before)
    assert after == threads
    np.testing.assert_allclose(shuffled, expected[order], atol=1e-5 if threads == 1 else 1e-4)


@pytest.mark.parametrize("name", ["classifier.json", "vocab.json", "forward.safetensors"])
def test_a_folder_that_is_not_whole_is_one_sentence(tmp_path, name):
    save_classifier(tmp_path, classifier())
    file = tmp_path / name
    whole = file.read_bytes()
    for damage in (lambda: file.write_bytes(whole[: len(whole) // 2]), file.unlink):
        damage()
        with pytest.raises(InputError, match=str(tmp_path)):
            load_classifier(tmp_path)


def test_weights_of_the_wrong_size_are_one_sentence(tmp_path):
    save_classifier(tmp_path, classifier())
    path = tmp_path / "classifier.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "sizes": [[6, 9, 2]]}))
    with pytest.raises(InputError, match="cannot be read"):
        load_classifier(tmp_path)


def test_a_document_of_a_million_tokens_is_read_in_memory_for_its_end_alone():
    saved = classifier(ClassifierConfig(seq_len=5000, precision="float32"))
    docs = Documents(
        np.random.default_rng(0).integers(9, 16, 1_000_010).astype(np.int32),
        np.array([0, 1_000_000, 1_000_010]),
    )
    began = time.monotonic()
    together = saved.predict_documents(docs)
    assert time.monotonic() - began < 60
    # What counts is the last 1,440 outputs: the state has long forgotten where it began.
    end = docs.ids[1_000_000 - 20_000 : 1_000_000]
    alone = saved.predict_documents(Documents(end, np.array([0, len(end)])))
    np.testing.assert_allclose(together[0], alone[0], atol=1e-5)


def test_rare_classes_show_in_f1_and_not_in_accuracy():
    truth = np.array([0] * 95 + [1] * 5)
    always_common = np.tile(np.array([[0.9, 0.1]], dtype=np.float32), (100, 1))
    found = scores(always_common, truth)
    assert found["accuracy"] == 0.95
    # F1 of the common class is 2 * 95 / (2 * 95 + 5), that of the rare one 0.
    assert found["f1"] == pytest.approx((190 / 195) / 2)
    perfect = np.eye(2, dtype=np.float32)[truth]
    assert scores(perfect, truth) == {"accuracy": 1.0, "f1": 1.0}
