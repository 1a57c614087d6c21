"""Labelled texts small enough to train on in a second, in which one word decides the class."""

import csv

import numpy as np

LANGUAGE_MODEL = {
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
}
"""Settings of a language model for them."""
LANGUAGE_MODEL_TOML = "\n".join(f"{name} = {value}" for name, value in LANGUAGE_MODEL.items())
CLASSIFIER_TOML = f"""
name = "tiny-clas"
trainer = "text-classifier"
metric = "accuracy"
direction = "maximize"
data = {{ path = "reviews.csv" }}

[settings]
valid_reviews = 40
seq_len = 8
bs = 16
drop_mult = 0.2

[settings.language_model]
{LANGUAGE_MODEL_TOML}

[space.lr]
low = 1e-3
high = 1e-1
log = true
default = 5e-2

[presets.quick]
trials = 4
"""
"""A study of a classifier of reviews.csv beside it, `tiny-clas-quick` in the store."""
LANGUAGE_MODEL_STUDY = f"""
name = "tiny-lm"
trainer = "language-model"
metric = "perplexity"
direction = "minimize"
data = {{ path = "reviews.csv" }}

[settings]
valid_reviews = 20
{LANGUAGE_MODEL_TOML}

[space.lr]
low = 1e-4
high = 5e-2
log = true
default = 1e-2

[presets.quick]
trials = 3
"""
"""A study of language models of the same texts, `tiny-lm-quick` in the store."""


def write_reviews(path, n, n_test=0):
    """A CSV of n training texts (and n_test more, with the column "split") of 5 to 30 words, in
    each of which "good" or "bad" stands, as its label says."""
    rng = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", *(["split"] if n_test else [])])
        for i in range(n + n_test):
            words = [f"w{k}" for k in rng.integers(30, size=rng.integers(5, 30))]
            words.insert(rng.integers(len(words)), "good" if i % 2 else "bad")
            split = ["train" if i < n else "test"] if n_test else []
            writer.writerow([" ".join(words), "pos" if i % 2 else "neg", *split])
