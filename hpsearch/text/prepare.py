"""What all trials of a text classifier share: numericalised texts and the language models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpsearch.data import TextDataset, load_text
from hpsearch.errors import HpsearchError
from hpsearch.text.config import ClassifierConfig, LanguageModelConfig
from hpsearch.text.lm_stage import LanguageModelStage, language_model_stage
from hpsearch.text.pretrained import find_pretrained, load_pretrained
from hpsearch.text.splits import classifier_rows
from hpsearch.text.texts import Texts, codes, number_texts
from hpsearch.text.tokenize import Tokenizer
from hpsearch.text.vocab import Vocab
from hpsearch.training.contract import Progress, Report, Say
from hpsearch.training.device import resolve_precision
from hpsearch.training.fields import parse_config

LM_VALID_TEXTS = 300
"""On how many of a classifier's held-out texts its language model is measured."""


@dataclass(frozen=True)
class PreparedTexts:
    """The data of a text study, read-only and memory-mapped.

    `language_models` holds one stage for each direction that the classifier reads in, or nothing
    where every trial trains its own.
    """

    texts: Texts
    precision: str
    language_models: tuple[LanguageModelStage, ...]

    @property
    def source(self) -> str:
        return self.texts.source

    @property
    def fingerprint(self) -> str:
        return self.texts.fingerprint

    @property
    def stages(self) -> tuple[str, ...]:
        return tuple(stage.name for stage in self.language_models)

    @property
    def summary(self) -> str:
        """Sizes, how common each class is, how good the language model is, what is special."""
        sentences = [describe_texts(self.texts)]
        for stage in self.language_models:
            sentences.append(_describe_model(stage, len(self.texts.parts["read"])))
        if self.texts.note:
            sentences.append(self.texts.note)
        return "; ".join(sentences)


def describe_texts(texts: Texts) -> str:
    """How many texts of which classes there are, and how many tokens are known."""
    parts = [f"{len(texts.parts['valid']):,} held-out"]
    training = texts.parts["train" if "train" in texts.parts else "read"]
    parts.insert(0, f"{len(training):,} training")
    sentence = f"{' and '.join(parts)} texts"
    if "train" in texts.labels and texts.classes:
        sentence += f" ({_class_shares(texts.labels['train'], texts.classes)})"
    return f"{sentence}, {len(texts.vocab):,} tokens in the vocabulary"


def _class_shares(labels: npt.NDArray[np.int64], classes: tuple[str, ...]) -> str:
    """'neg 50%, pos 50%', the most common classes first, at most five of them."""
    shares = np.bincount(labels, minlength=len(classes)) / max(1, len(labels))
    order = np.argsort(-shares, kind="stable")
    named = [f"{classes[i]} {shares[i]:.0%}" for i in order[:5]]
    if len(order) > 5:
        named.append(f"{len(order) - 5} more down to {shares[order[-1]]:.1%}")
    return ", ".join(named)


def _describe_model(stage: LanguageModelStage, n_read: int) -> str:
    read = f"read {n_read:,} texts, " if stage.records else ""
    known = f", knew {stage.known:.0%} of the vocabulary before" if 0 < stage.known < 1 else ""
    return f"the language model {read}perplexity {stage.perplexity:.0f}{known}"


def prepare_texts(
    kind: type[ClassifierConfig],
    data: Mapping[str, Any],
    settings: Mapping[str, Any],
    *,
    data_path: Path | None,
    device: str,
    progress: Progress,
    say: Say = lambda _: None,
) -> PreparedTexts:
    """Find the texts, split, tokenise and number them, train the language models that trials
    share; all cached.

    Raises InputError if there are too few labelled texts, or only one class.
    """
    config = parse_config(kind, settings)
    # A wrong name, or a model that cannot be had, fails before anything is read.
    Tokenizer(str(data.get("tokenizer", "en")))
    for model in config.directions:
        if model.pretrained:
            find_pretrained(model.pretrained, backward=model.backward, progress=progress, say=say)
    dataset = load_text(data, path=data_path, progress=progress, say=say)
    texts = _number(data, dataset, config, progress, say)
    stages = language_models(
        config.shared_models, texts, config, device=device, progress=progress, say=say
    )
    precision = str(resolve_precision(config.precision, device)).removeprefix("torch.")
    return PreparedTexts(texts, precision, stages)


def language_models(
    models: Sequence[LanguageModelConfig],
    texts: Texts,
    config: ClassifierConfig,
    *,
    device: str,
    progress: Progress,
    say: Say = lambda _: None,
    report: Report = lambda _: None,
) -> tuple[LanguageModelStage, ...]:
    """The `models` of a classifier, trained on its texts or found in the cache."""
    return tuple(
        language_model_stage(
            texts, model, n_valid=LM_VALID_TEXTS, device=device, precision=config.precision,
            progress=progress, say=say, report=report,
        )
        for model in models
    )  # fmt: skip


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


def untrained_vocab(
    models: Sequence[LanguageModelConfig], progress: Progress, say: Say
) -> Vocab | None:
    """The vocabulary of pretrained models that are taken as they are; None if any is trained.

    Raises HpsearchError if two of them know different tokens.
    """
    vocab: Vocab | None = None
    name = ""
    for model in models:
        if model.pretrained is None or model.epochs + model.frozen_epochs:
            return None
        found = load_pretrained(
            model.pretrained, backward=model.backward, progress=progress, say=say
        )
        if vocab is not None and found.vocab.fingerprint != vocab.fingerprint:
            raise HpsearchError(
                f"The language models {name} ({len(vocab):,} tokens) and {found.name} "
                f"({len(found.vocab):,} tokens) know different words; fine-tune both with epochs "
                "above 0, or give a pair that was trained with one vocabulary."
            )
        vocab, name = found.vocab, found.name
    return vocab
