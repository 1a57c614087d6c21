"""A corpus small enough to train on in a second, in which one word decides the class."""

import csv

import numpy as np
import pytest

SETTINGS = {
    "train_reviews": 160,
    "valid_reviews": 60,
    "seq_len": 8,
    "language_model": {
        "emb": 16,
        "hidden": 16,
        "layers": 2,
        "max_vocab": 60,
        "min_freq": 1,
        "epochs": 1,
        "lr": 0.02,
        "drop_mult": 0.0,
        "bs": 8,
        "seq_len": 10,
    },
}
PARAMS = {"lr": 0.03, "lr_decay": 1.2, "drop_mult": 0.2, "bs": 16, "unfreeze": True, "epochs": 1}


@pytest.fixture(scope="session")
def reviews(tmp_path_factory):
    """A CSV of 240 texts of 5 to 30 words; "good" or "bad" stands in each, as its label says."""
    rng = np.random.default_rng(0)
    words = [f"w{i}" for i in range(30)]
    path = tmp_path_factory.mktemp("reviews") / "reviews.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for i in range(240):
            text = rng.choice(words, rng.integers(5, 30)).tolist()
            text.insert(rng.integers(len(text)), "good" if i % 2 else "bad")
            writer.writerow([" ".join(text), "pos" if i % 2 else "neg"])
    return path


@pytest.fixture(scope="session")
def prepared(reviews):
    from hpsearch.text import train_classifier

    return train_classifier.prepare(
        {"path": str(reviews)},
        SETTINGS,
        data_path=None,
        device="cpu",
        progress=lambda what, done, total: None,
    )
