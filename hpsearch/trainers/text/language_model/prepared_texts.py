"""What all trials of a text study share: numbered texts, and the language models of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpsearch.data import TextDataset
from hpsearch.errors import InputError
from hpsearch.trainers.text.batches import Documents
from hpsearch.trainers.text.language_model.stage import LanguageModelStage
from hpsearch.trainers.text.numbered_texts import Labels, Texts

SEVERAL = ("f1_micro", "f1_macro", "average_precision", "subset_accuracy")
"""What is measured where a text may have several labels."""


@dataclass(frozen=True)
class PreparedTexts:
    """The data of a text study, read-only and memory-mapped.

    `language_models` holds one stage for each direction that the classifier reads in, or nothing
    where every trial trains its own. `reread` reads the texts once more, as they were written.
    """

    texts: Texts
    precision: str
    language_models: tuple[LanguageModelStage, ...]
    reread: Callable[[], TextDataset] | None = None

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
    def facts(self) -> dict[str, float]:
        """How many texts are trained on, read by a language model alone, and the perplexity of the
        classifier's language model; of two that of the one that reads forwards."""
        parts = self.texts.parts
        found: dict[str, float] = {"training_rows": len(parts.get("train", parts["read"]))}
        if self.language_models:
            found["perplexity"] = self.language_models[0].perplexity
        return found

    @property
    def metrics(self) -> tuple[str, ...]:
        if "train" not in self.texts.labels:
            return ("perplexity", "accuracy")
        own = SEVERAL if self.texts.several else ("accuracy", "f1")
        return (*own, *(() if self.language_models else ("lm_perplexity",)))

    def check(self, settings: Mapping[str, Any]) -> None:
        """All that depends on the texts was checked while they were prepared."""
        if settings.get("threshold", "auto") != "auto" and not self.texts.several:
            raise InputError(
                "threshold is for texts of several labels, and each of these has one: drop it, or "
                "name the labels as labels in [data]."
            )

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
    sentence = f"{' and '.join(parts)} texts of {texts.total:,}"
    if "train" in texts.labels and texts.classes:
        sentence += f" ({_class_shares(texts.labels['train'], texts.classes)})"
    return f"{sentence}, {len(texts.vocab):,} tokens in the vocabulary"


def _class_shares(labels: Labels, classes: tuple[str, ...]) -> str:
    """'neg 50%, pos 50%', the most common classes first, at most five of them."""
    counts = np.bincount(labels, minlength=len(classes)) if labels.ndim == 1 else labels.sum(0)
    shares = counts / max(1, len(labels))
    order = np.argsort(-shares, kind="stable")
    named = [f"{classes[i]} {shares[i]:.0%}" for i in order[:5]]
    if len(order) > 5:
        named.append(f"{len(order) - 5} more down to {shares[order[-1]]:.1%}")
    if labels.ndim == 2:
        named.append(f"none of them {np.mean(labels.sum(1) == 0):.0%}")
    return ", ".join(named)


def _describe_model(stage: LanguageModelStage, n_read: int) -> str:
    read = f"read {n_read:,} texts, " if stage.records else ""
    known = f", knew {stage.known:.0%} of the vocabulary before" if 0 < stage.known < 1 else ""
    return f"the language model {read}perplexity {stage.perplexity:,.0f}{known}"


def count_words(read: Documents, valid: Documents, n_tokens: int) -> dict[str, float]:
    """Perplexity and accuracy on `valid` of a model without context, which has counted the tokens
    of `read`, each once more than it stands there."""
    counts = np.bincount(read.ids, minlength=n_tokens) + 1
    loss = -float(np.log(counts[valid.ids] / counts.sum()).mean())
    hits = float((valid.ids == counts.argmax()).mean())
    return {"perplexity": float(np.exp(loss)), "accuracy": hits}


WORSE = 1.2
"""So many times the perplexity of word counts is no chance of a few held-out texts."""


def misfit(stage: LanguageModelStage, texts: Texts, n_valid: int) -> str | None:
    """Say so if the language model knows less of the held-out texts than how common words are."""
    read = texts.parts["read"]
    read = read if len(read) else texts.parts["train"]
    valid = texts.parts["valid"].take(np.arange(min(n_valid, len(texts.parts["valid"]))))
    of_counts = count_words(read, valid, len(texts.vocab))["perplexity"]
    if stage.perplexity <= WORSE * of_counts:
        return None
    way = (
        "train it longer or on more texts (epochs and n_reviews of its settings)"
        if stage.records
        else "let it read them first (epochs above 0 in the settings of language_model), or make "
        "one of texts like these with `hpsearch pretrain`"
    )
    return (
        f"The language model does not fit these texts: its perplexity is {stage.perplexity:,.0f}, "
        f"where knowing only how common each word is gives {of_counts:,.0f}; {way}."
    )
