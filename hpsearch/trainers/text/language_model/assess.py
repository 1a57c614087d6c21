"""What a language model is worth: how common each word is, beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpsearch.core.console import Progress
from hpsearch.trainers.shared.assessment import Assessment, Baseline
from hpsearch.trainers.text.language_model.prepared_texts import PreparedTexts, count_words


def is_cheap(data: PreparedTexts) -> bool:
    """Counts take no time."""
    return True


def baseline(settings: Mapping[str, Any], data: PreparedTexts) -> Baseline:
    """A model without context: see `count_words`."""
    texts = data.texts
    counted = count_words(texts.parts["read"], texts.parts["valid"], len(texts.vocab))
    return Baseline("word counts", counted)


def assess(
    folder: Path,
    data: PreparedTexts,
    *,
    test: bool,
    metric: str,
    device: str,
    progress: Progress,
) -> Assessment:
    """How many texts there are; its training measured all else."""
    parts = data.texts.parts
    counts = {
        "training": len(parts["read"]),
        "held-out": len(parts["valid"]),
        "all": data.texts.total,
    }
    return Assessment("texts", counts, "held-out", {}, {})
