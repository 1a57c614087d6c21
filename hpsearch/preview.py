"""What a model sees of a text data set: documents as tokens, classes, lengths, vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpsearch.data import TextDataset, load_text
from hpsearch.data.dataset import Progress, Say
from hpsearch.errors import InputError
from hpsearch.studies import TRAINERS, StudySpec
from hpsearch.text.config import LanguageModelConfig, TextData
from hpsearch.text.tokenize import Tokenizer
from hpsearch.text.vocab import UNK_ID, Vocab

SAMPLE = 3000
"""Texts that are tokenised: some seconds' work, and enough for lengths and shares."""


@dataclass(frozen=True)
class Document:
    """A text as the model reads it; `label` is None where there is none."""

    label: str | None
    tokens: list[str]


@dataclass(frozen=True)
class TextPreview:
    """`classes` maps each class to its rows in the splits train and test. `lengths` (texts,) are
    in tokens; they, the vocabulary and `unknown`, the share of tokens that are not in it, are of
    the sampled texts alone."""

    dataset: TextDataset
    tokenizer: str
    min_freq: int
    documents: list[Document]
    classes: Mapping[str, tuple[int, int]]
    lengths: npt.NDArray[np.int64]
    vocab: Vocab
    unknown: float


def preview_texts(
    spec: StudySpec, *, path: Path | None, rows: int, progress: Progress, say: Say
) -> TextPreview:
    """Load the data of a study about texts and tokenise a sample of what is trained on.

    Raises InputError if the study's data is no text.
    """
    if TRAINERS[spec.trainer][1] != "hpsearch.text.config:TextData":
        raise InputError(f"The data of {spec.name} is no text: there are no tokens to show.")
    tokenizer = Tokenizer(spec.data.get("tokenizer", TextData.tokenizer))
    dataset = load_text(spec.data, path=path, progress=progress, say=say)
    chosen = _sample(dataset, rows)
    sample = dataset.table["text"].iloc[chosen].tolist()
    encoded = tokenizer.encode(sample, lambda done, total: progress("tokenise", done, total))
    settings = _vocabulary_settings(spec)
    vocab = Vocab.build(encoded.ids, encoded.strings, **settings)
    numbers = vocab.numericalise(encoded)
    labels = dataset.table["label"].astype(object).where(dataset.table["label"].notna(), None)
    counted = dataset.table.groupby(["label", "split"]).size()
    return TextPreview(
        dataset=dataset,
        tokenizer=tokenizer.name,
        min_freq=settings["min_freq"],
        documents=[
            Document(labels.iloc[row], [vocab.tokens[n] for n in numbers[start:end]])
            for row, start, end in zip(
                chosen[:rows], encoded.offsets, encoded.offsets[1:], strict=False
            )
        ],
        classes={
            name: (int(counted.get((name, "train"), 0)), int(counted.get((name, "test"), 0)))
            for name in dataset.classes
        },
        lengths=np.diff(encoded.offsets),
        vocab=vocab,
        unknown=float(np.mean(numbers == UNK_ID)),
    )


def _sample(dataset: TextDataset, rows: int) -> npt.NDArray[np.int64]:
    """Row numbers, the same at every call: first `rows` labelled ones, as far as there are, then
    any that are trained on."""
    rng = np.random.default_rng(0)
    splits = dataset.table["split"].to_numpy()
    labelled = rng.permutation(np.flatnonzero(splits == "train"))[:rows]
    others = rng.permutation(np.setdiff1d(np.flatnonzero(splits != "test"), labelled))
    chosen: npt.NDArray[np.int64] = np.concatenate([labelled, others])[: max(SAMPLE, rows)]
    return chosen


def _vocabulary_settings(spec: StudySpec) -> dict[str, Any]:
    """max_vocab and min_freq as the study sets them, before any preset's changes."""
    given = spec.settings.get("language_model", spec.settings)
    return {
        name: given.get(name, getattr(LanguageModelConfig, name))
        for name in ("max_vocab", "min_freq")
    }
