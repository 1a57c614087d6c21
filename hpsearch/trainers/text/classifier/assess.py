"""What a text classifier is worth: TF-IDF with logistic regression beside it, its worst texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from hpsearch.core.console import Progress
from hpsearch.trainers.shared.assessment import (
    Assessment,
    Baseline,
    assess_classes,
    cached_baseline,
    note_test_metrics,
)
from hpsearch.trainers.shared.metrics import scores
from hpsearch.trainers.text.batches import Documents
from hpsearch.trainers.text.classifier.saved import CONTENT, load_classifier
from hpsearch.trainers.text.language_model.prepared_texts import PreparedTexts

CHEAP_TOKENS = 1_000_000
RARE = 1000
"""From so many training texts on, what only one of them has is left out."""


def is_cheap(data: PreparedTexts) -> bool:
    return sum(len(docs.ids) for docs in _parts(data).values()) <= CHEAP_TOKENS


def baseline(settings: Mapping[str, Any], data: PreparedTexts) -> Baseline:
    """TF-IDF of the classifier's own tokens and their pairs, and a logistic regression on it
    (Wang and Manning 2012 found such pairs hard to beat)."""
    return cached_baseline({"texts": data.fingerprint}, lambda: _baseline(data))


def _baseline(data: PreparedTexts) -> Baseline:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    parts, labels = _parts(data), data.texts.labels
    least = 2 if len(parts["train"]) >= RARE else 1
    vectorizer = TfidfVectorizer(analyzer=_terms, min_df=least, sublinear_tf=True)
    rows = vectorizer.fit_transform(_tokens(parts["train"]))
    model = LogisticRegression(C=10, max_iter=1000).fit(rows, labels["train"])
    metrics: dict[str, float] = {}
    for part, prefix in (("valid", ""), ("test", "test_")):
        if len(parts[part]):
            found = model.predict_proba(vectorizer.transform(_tokens(parts[part])))
            made = scores(found.astype(np.float32), labels[part])
            metrics |= {f"{prefix}{name}": value for name, value in made.items()}
    return Baseline("TF-IDF with logistic regression", metrics)


def _parts(data: PreparedTexts) -> dict[str, Documents]:
    return {name: data.texts.parts[name] for name in ("train", "valid", "test")}


def _tokens(docs: Documents) -> Iterable[list[int]]:
    ids, ends = docs.ids.tolist(), docs.offsets.tolist()
    return (ids[start:end] for start, end in pairwise(ends))


def _terms(ids: list[int]) -> list[tuple[int, ...]]:
    """Each token, and each two in a row."""
    return [*zip(ids, strict=True), *pairwise(ids)]


def assess(
    folder: Path,
    data: PreparedTexts,
    *,
    test: bool,
    metric: str,
    device: str,
    progress: Progress,
) -> Assessment:
    """See `hpsearch.trainers.shared.assessment.Assessor`."""
    texts = data.texts
    test = test and bool(len(texts.parts["test"]))
    part = "test" if test else "valid"
    docs, truth = texts.parts[part], texts.labels[part]
    saved = load_classifier(folder)
    probabilities = saved.predict_documents(docs, device=device, progress=progress)

    read = None if data.reread is None else data.reread().table["text"]

    def show(row: int) -> tuple[str, str]:
        place = int(texts.rows[part][row])
        text = "" if read is None else " ".join(str(read.iloc[place]).split())
        return f"row {place + 1:,}", text

    found = Assessment(
        "texts",
        {
            "training": len(texts.parts["train"]), "held-out": len(texts.parts["valid"]),
            "test": len(texts.parts["test"]), "all": texts.total,
        },
        "test" if test else "held-out",
        **assess_classes(probabilities, truth, texts.classes, show),
    )  # fmt: skip
    if test:
        note_test_metrics(folder / CONTENT, "texts", found)
    return found
