"""The work of a trial of the whole pipeline in pieces, for `hpsearch.trainers.shared.speed`."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hpsearch.core.console import silent
from hpsearch.trainers.shared.config_fields import parse_config
from hpsearch.trainers.shared.device import keep_freed_memory
from hpsearch.trainers.shared.speed import Part, Work
from hpsearch.trainers.text.classifier.speed import classifier_parts, count_epochs
from hpsearch.trainers.text.config import UlmfitConfig
from hpsearch.trainers.text.language_model.files import SavedLanguageModel, save_language_model
from hpsearch.trainers.text.language_model.prepared_texts import PreparedTexts
from hpsearch.trainers.text.language_model.speed import language_model_parts, work_of
from hpsearch.trainers.text.language_model.stage import start_model
from hpsearch.trainers.text.prepare import LM_VALID_TEXTS

UNIT = "tokens"


def work(settings: Mapping[str, Any], params: Mapping[str, Any], data: PreparedTexts) -> Work:
    """Tokens that the language models and the classifiers read in training, as if no other trial
    had trained a language model with these settings before."""
    config = parse_config(UlmfitConfig, settings, params)
    epochs, models = count_epochs(config), config.directions
    of_models = [work_of(one, data.texts.parts["read"]) for one in models]
    read = float(epochs * data.texts.parts["train"].lengths.sum() * len(models))
    units = read + sum(one.units for one in of_models)
    return Work(UNIT, units, epochs + sum(one.epochs for one in of_models))


def parts(
    settings: Mapping[str, Any], params: Mapping[str, Any], data: PreparedTexts, *, device: str
) -> list[Part]:
    """The parts of the language model and those of a classifier on it, still untrained."""
    keep_freed_memory()
    config = parse_config(UlmfitConfig, settings, params)
    texts, model = data.texts, config.directions[0]
    directions = len(config.directions)
    untrained, sized, _ = start_model(texts, model, silent, silent)
    held_out = texts.parts["valid"]
    held_out = held_out.take(np.arange(min(LM_VALID_TEXTS, len(held_out))))
    read = texts.parts["read"]
    with tempfile.TemporaryDirectory(prefix="hpsearch-speed-") as folder:
        saved = SavedLanguageModel(untrained, texts.vocab, sized, texts.tokenizer)
        save_language_model(Path(folder), saved)
        of_one_classifier = classifier_parts(config, texts, Path(folder), device)
    of_model = language_model_parts(sized, untrained, read, held_out, device, config.precision)
    twice = [replace(part, total=part.total * directions) for part in of_model]
    return [*of_one_classifier, *twice]
