"""What a text classifier is worth: TF-IDF with logistic regression beside it, its worst texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from hpsearch.core.console import Progress
from hpsearch.trainers.shared.assessment import (
    SHOWN,
    Assessment,
    Baseline,
    LabelCounts,
    Wrong,
    assess_classes,
    cached_baseline,
    note_test_metrics,
)
from hpsearch.trainers.shared.metrics import Floats, scores
from hpsearch.trainers.text.batches import Documents
from hpsearch.trainers.text.classifier.label_metrics import (
    AUTO,
    average_precisions,
    choose,
    label_intervals,
    label_scores,
)
from hpsearch.trainers.text.classifier.saved import CONTENT, SavedClassifier, load_classifier
from hpsearch.trainers.text.language_model.prepared_texts import PreparedTexts
from hpsearch.trainers.text.numbered_texts import Labels

CHEAP_TOKENS = 1_000_000
NONE = "(none)"
RARE = 1000
"""From so many training texts on, what only one of them has is left out."""


def is_cheap(data: PreparedTexts) -> bool:
    models = len(data.texts.classes) if data.texts.several else 1
    return models * sum(len(docs.ids) for docs in _parts(data).values()) <= CHEAP_TOKENS


def baseline(settings: Mapping[str, Any], data: PreparedTexts) -> Baseline:
    """TF-IDF of the classifier's own tokens and their pairs, and a logistic regression on it
    (Wang and Manning 2012 found such pairs hard to beat); one for each label where a text may have
    several."""
    threshold = settings.get("threshold", AUTO)
    key: dict[str, Any] = {"texts": data.fingerprint}
    if data.texts.several:
        key["threshold"] = threshold
    return cached_baseline(key, lambda: _baseline(data, threshold))


def _baseline(data: PreparedTexts, threshold: float | str) -> Baseline:
    from sklearn.feature_extraction.text import TfidfVectorizer

    parts, labels = _parts(data), data.texts.labels
    least = 2 if len(parts["train"]) >= RARE else 1
    vectorizer = TfidfVectorizer(analyzer=_terms, min_df=least, sublinear_tf=True)
    rows = vectorizer.fit_transform(_tokens(parts["train"]))
    several = data.texts.several
    predict = _one_for_each_label(rows, labels["train"]) if several else _one(rows, labels["train"])
    metrics: dict[str, float] = {}
    for part, prefix in (("valid", ""), ("test", "test_")):
        if len(parts[part]):
            found, truth = predict(vectorizer.transform(_tokens(parts[part]))), labels[part]
            made = (
                label_scores(found, truth, choose(found, truth, threshold))
                if several
                else scores(found, truth)
            )
            metrics |= {f"{prefix}{name}": value for name, value in made.items()}
    one_each = " for each label" if several else ""
    return Baseline(f"TF-IDF with logistic regression{one_each}", metrics)


def _one(rows: Any, truth: Labels) -> Callable[[Any], Floats]:  # noqa: ANN401 (sparse rows)
    """What predicts the probabilities of the classes (rows, classes)."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=10, max_iter=1000).fit(rows, truth)
    return lambda others: np.asarray(model.predict_proba(others), dtype=np.float32)


def _one_for_each_label(rows: Any, truth: Labels) -> Callable[[Any], Floats]:  # noqa: ANN401
    """Likewise of the labels, of which one that all rows have, or none, is always as it was."""
    shares = truth.mean(0)
    models = [
        _one(rows, column) if 0 < share < 1 else None
        for column, share in zip(truth.T, shares, strict=True)
    ]

    def predict(others: Any) -> Floats:  # noqa: ANN401
        found = np.empty((others.shape[0], len(models)), dtype=np.float32)
        for k, model in enumerate(models):
            found[:, k] = shares[k] if model is None else model(others)[:, 1]
        return found

    return predict


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

    judged = (
        _assess_labels(probabilities, truth, saved, show)
        if texts.several
        else assess_classes(probabilities, truth, texts.classes, show)
    )
    found = Assessment(
        "texts",
        {
            "training": len(texts.parts["train"]), "held-out": len(texts.parts["valid"]),
            "test": len(texts.parts["test"]), "all": texts.total,
        },
        "test" if test else "held-out",
        **judged,
    )  # fmt: skip
    if test:
        note_test_metrics(folder / CONTENT, "texts", found)
    return found


def _assess_labels(
    probabilities: Floats,
    truth: Labels,
    saved: SavedClassifier,
    show: Callable[[int], tuple[str, str]],
) -> dict[str, Any]:
    """The fields of an Assessment of several labels a text; see `assess_classes`. The most wrong
    texts are those with the label whose probability is furthest from the truth."""
    chosen = choose(probabilities, truth, saved.config.threshold)
    precisions = average_precisions(probabilities, truth)
    off = np.abs(probabilities - truth)
    order = np.argsort(np.where((chosen == truth).all(1), 0, off.max(1)), kind="stable")[::-1]
    worst = [int(row) for row in order[:SHOWN] if (chosen[row] != truth[row]).any()]

    def named(row: int) -> str:
        which = np.flatnonzero(chosen[row] | (off[row] == off[row].max()))
        return ", ".join(f"{saved.classes[k]} ({probabilities[row, k]:.2f})" for k in which)

    return {
        "metrics": label_scores(probabilities, truth, chosen),
        "intervals": label_intervals(probabilities, truth, chosen),
        "labels": [
            LabelCounts(
                name,
                truly=int(truth[:, k].sum()),
                given=int(chosen[:, k].sum()),
                hits=int((chosen[:, k] & (truth[:, k] > 0)).sum()),
                average_precision=None if np.isnan(precisions[k]) else float(precisions[k]),
            )
            for k, name in enumerate(saved.classes)
        ],
        "threshold": saved.thresholds[0],
        "wrong": [
            Wrong(
                *show(row),
                ", ".join(saved.classes[k] for k in np.flatnonzero(truth[row])) or NONE,
                named(row),
            )
            for row in worst
        ],
    }
