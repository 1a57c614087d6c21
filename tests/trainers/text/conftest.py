"""A corpus small enough to train on in a second, in which one word decides the class."""

import pytest
from tiny_corpus import LANGUAGE_MODEL, write_reviews

from hpsearch.trainers.contract import PrepareSetup

SETTINGS = {
    "train_reviews": 160,
    "valid_reviews": 60,
    "seq_len": 8,
    "language_model": LANGUAGE_MODEL,
}
PARAMS = {"lr": 0.03, "lr_decay": 1.2, "drop_mult": 0.2, "bs": 16, "unfreeze": True, "epochs": 1}


@pytest.fixture(scope="session")
def reviews(tmp_path_factory):
    """A CSV of 240 texts; "good" or "bad" stands in each, as its label says."""
    path = tmp_path_factory.mktemp("reviews") / "reviews.csv"
    write_reviews(path, 240)
    return path


@pytest.fixture(scope="session")
def prepared(reviews):
    from hpsearch.trainers.text.classifier import train

    return train.prepare(
        {"path": str(reviews)}, SETTINGS, PrepareSetup(data_path=None, device="cpu")
    )
