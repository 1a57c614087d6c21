"""Speed of the text trainer's parts at the quick preset's size, on one thread.

    HPSEARCH_DATA=../shared/data OMP_NUM_THREADS=1 .venv/bin/python tests/benchmarks/bench_text.py

Prints reviews tokenised per second (each distinct piece is split once, so more reviews go faster),
tokens per second of language-model training, and seconds per epoch of each stage of the classifier.
"""

import os
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import torch

from hpsearch.data import load_text
from hpsearch.studies import load_spec
from hpsearch.text import train_classifier
from hpsearch.text.config import ClassifierConfig
from hpsearch.text.language_model import new_language_model, train_language_model
from hpsearch.text.tokenize import Tokenizer

REVIEWS = 20_000
LM_REVIEWS = 1_500


def main():
    threads = torch.get_num_threads()
    spec = load_spec("imdb-clas")
    quick = spec.resolve("quick")
    dataset = load_text(spec.data, path=None, progress=lambda *_: None)
    texts = dataset.table["text"].iloc[:REVIEWS].tolist()

    tokenizer = Tokenizer()
    tokenizer.tokens("warm up")
    started = time.perf_counter()
    encoded = tokenizer.encode(texts)
    seconds = time.perf_counter() - started
    tokens = len(encoded.ids)
    print(f"tokenise: {REVIEWS / seconds:,.0f} reviews/s, {tokens / seconds:,.0f} tokens/s")

    data = train_classifier.prepare(
        spec.data, quick.settings, data_path=None, device="cpu", progress=lambda *_: None
    )
    config = ClassifierConfig(**quick.settings)
    docs = data.lm_texts.take(np.arange(LM_REVIEWS))
    records = []
    train_language_model(
        config.language_model,
        new_language_model(config.language_model, len(data.vocab)),
        docs,
        data.valid.take(np.arange(20)),
        device="cpu",
        report=records.append,
    )
    print(
        f"language model: {len(docs.ids) / records[0].seconds:,.0f} tokens/s, {threads} thread(s)"
    )

    train_classifier.train(
        quick.settings,
        quick.defaults,
        data,
        seed=0,
        device="cpu",
        report=lambda r: print(f"classifier, {r.stage}: {r.seconds:.2f} s/epoch"),
        checkpoint=None,
    )
    size = (Path(data.language_model) / "model.safetensors").stat().st_size
    print(f"the language model's file: {size / 1e6:.1f} MB")


main()
