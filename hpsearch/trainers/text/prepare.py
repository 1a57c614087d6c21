"""Prepare what all trials of a text classifier share: numbered texts and language models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from hpsearch.core.console import Progress, Say, silent
from hpsearch.data import TextDataset, load_text
from hpsearch.trainers.contract import PrepareSetup, TrialSetup
from hpsearch.trainers.shared.config_fields import parse_config
from hpsearch.trainers.shared.device import resolve_precision
from hpsearch.trainers.text.config import ClassifierConfig, LanguageModelConfig
from hpsearch.trainers.text.language_model.prepared_texts import PreparedTexts, misfit
from hpsearch.trainers.text.language_model.pretrained import (
    find_pretrained,
    untrained_vocab,
)
from hpsearch.trainers.text.language_model.stage import LanguageModelStage, language_model_stage
from hpsearch.trainers.text.numbered_texts import Texts, codes, number_texts
from hpsearch.trainers.text.split_texts import classifier_rows
from hpsearch.trainers.text.tokens.tokenizer import Tokenizer

LM_VALID_TEXTS = 300
"""On how many of a classifier's held-out texts its language model is measured."""


def prepare_texts(
    kind: type[ClassifierConfig],
    data: Mapping[str, Any],
    settings: Mapping[str, Any],
    setup: PrepareSetup,
) -> PreparedTexts:
    """Find, split, tokenise and number the texts, and train the language models that trials share.

    All of it is cached.

    Args:
        kind: The config class of the trainer.

    Raises:
        InputError: There are too few labelled texts, or only one class.
    """
    config = parse_config(kind, settings)
    # A wrong name, a precision or a model that cannot be had, fails before anything is read.
    progress, say = setup.progress, setup.say
    precision = str(resolve_precision(config.precision, setup.device)).removeprefix("torch.")
    Tokenizer(str(data.get("tokenizer", "en")))
    for model in config.directions:
        if model.pretrained:
            find_pretrained(model.pretrained, backward=model.backward, progress=progress, say=say)
    dataset = load_text(data, path=setup.data_path, progress=progress, say=say)
    texts = _number(data, dataset, config, progress, say)
    training = TrialSetup(seed=0, device=setup.device, report=silent, progress=progress)
    stages = language_models(config.shared_models, texts, config, training, say)
    for stage in stages:
        if (sentence := misfit(stage, texts, LM_VALID_TEXTS)) is not None:
            say(sentence)
    read = texts.last(config.max_tokens) if config.max_tokens else texts
    reread = partial(load_text, data, path=setup.data_path, progress=silent)
    return PreparedTexts(read, precision, stages, reread)


def language_models(
    models: Sequence[LanguageModelConfig],
    texts: Texts,
    config: ClassifierConfig,
    setup: TrialSetup,
    say: Say = silent,
) -> tuple[LanguageModelStage, ...]:
    """The `models` of a classifier, trained on its texts or found in the cache.

    Each model has the seed of its own config, not that of `setup`.
    """
    return tuple(
        language_model_stage(
            texts, model, setup, n_valid=LM_VALID_TEXTS, precision=config.precision, say=say
        )
        for model in models
    )


def _number(
    data: Mapping[str, Any],
    dataset: TextDataset,
    config: ClassifierConfig,
    progress: Progress,
    say: Say,
) -> Texts:
    is_test = (dataset.table["split"] == "test").to_numpy()
    rows = classifier_rows(codes(dataset), is_test, config)
    vocab = untrained_vocab(config.shared_models, progress, say)
    if vocab is not None:
        rows["read"] = rows["read"][:0]  # nobody reads them
    return number_texts(
        dataset,
        rows,
        data,
        vocab=vocab,
        max_vocab=config.language_model.max_vocab,
        min_freq=config.language_model.min_freq,
        progress=progress,
    )
