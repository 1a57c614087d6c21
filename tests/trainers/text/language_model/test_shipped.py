"""The language model that comes with the package is small, whole and good."""

import os
from pathlib import Path

import pytest
import torch

from hpsearch.trainers.text.batches import Documents
from hpsearch.trainers.text.language_model.files import evaluate_language_model
from hpsearch.trainers.text.language_model.pretrained import SHIPPED, pretrained_names
from hpsearch.trainers.text.language_model.stage import open_language_model
from hpsearch.trainers.text.tokens.tokenizer import Tokenizer

NAMES = sorted(folder.name for folder in SHIPPED.iterdir() if folder.is_dir())
REVIEWS = [
    "This is one of the best films I have ever seen. The acting is great, and so is the music.",
    "I was really disappointed by this movie. The plot made no sense and the effects were awful.",
]


def open_shipped(name):
    return open_language_model(name, lambda *_: None, lambda _: None)


def perplexity(saved, texts):
    tokenised = Tokenizer(saved.tokenizer).encode(texts)
    docs = Documents(saved.vocab.numericalise(tokenised), tokenised.offsets)
    loss, _ = evaluate_language_model(saved.model, docs, saved.config, "cpu", torch.float32)
    return 2.718281828459045**loss


def test_all_shipped_models_together_take_less_than_twenty_megabytes():
    sizes = [file.stat().st_size for file in SHIPPED.rglob("*") if file.is_file()]
    assert "imdb-unsup" in NAMES
    assert sum(sizes) < 20e6


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_model_knows_reviews_from_shuffled_words(name):
    saved = open_shipped(name)
    shuffled = [" ".join(sorted(text.split())) for text in REVIEWS]
    assert perplexity(saved, REVIEWS) < 60
    assert perplexity(saved, shuffled) > 3 * perplexity(saved, REVIEWS)
    assert name in {listed.name for listed in pretrained_names()}


@pytest.mark.parametrize("name", NAMES)
def test_its_card_says_how_it_was_made(name):
    card = (SHIPPED / name / "README.md").read_text()
    assert f"hpsearch pretrain imdb --split unsup --name {name}" in card
    assert "No labelled review" in card


@pytest.mark.parametrize("name", NAMES)
def test_its_perplexity_on_test_reviews_is_what_its_card_says(name):
    data = Path(os.environ.get("HPSEARCH_DATA", "../shared/data")) / "aclImdb.tar.xz"
    if not data.exists():
        pytest.skip(f"{data} is not there: the model is not measured on real reviews")
    from hpsearch.data import load_text

    table = load_text({"source": "imdb"}, path=data, progress=lambda *_: None).table
    texts = table["text"][table["split"] == "test"].iloc[:: 25_000 // 150].tolist()
    stated = float((SHIPPED / name / "README.md").read_text().split(" after the")[0].split()[-1])
    assert perplexity(open_shipped(name), texts) == pytest.approx(stated, rel=0.08)
