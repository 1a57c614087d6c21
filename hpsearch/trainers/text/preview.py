"""What a model sees of a text data set: documents as tokens, classes, lengths, vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hpsearch.core.console import new_table
from hpsearch.core.terminal import one_line
from hpsearch.data import TextDataset, load_text
from hpsearch.data.text_dataset import set_of
from hpsearch.trainers.contract import PrepareSetup
from hpsearch.trainers.text.config import LanguageModelConfig, TextData
from hpsearch.trainers.text.tokens.tokenizer import SPECIALS, Tokenizer
from hpsearch.trainers.text.tokens.vocab import UNK_ID, Vocab

SAMPLE = 3000
"""Texts that are tokenised: some seconds' work, and enough for lengths and shares."""
SHOWN_TOKENS = 80  # of a document


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


def preview(
    data: Mapping[str, Any],
    settings: Mapping[str, Any],
    setup: PrepareSetup,
    rows: int,
) -> list[RenderableType]:
    """Documents as the model reads them, classes, lengths and vocabulary, to be printed."""
    seen = preview_texts(data, settings, setup, rows)
    parts: list[RenderableType] = []
    for document in seen.documents:
        parts += [_document(document), ""]
    return [*parts, _classes(seen), "", *map(Text, _numbers(seen))]


def preview_texts(
    data: Mapping[str, Any],
    settings: Mapping[str, Any],
    setup: PrepareSetup,
    rows: int,
) -> TextPreview:
    """Load the data of a study about texts and tokenise a sample of what is trained on."""
    tokenizer = Tokenizer(data.get("tokenizer", TextData.tokenizer))
    dataset = load_text(data, path=setup.data_path, progress=setup.progress, say=setup.say)
    chosen = _sample(dataset, rows)
    sample = dataset.table["text"].iloc[chosen].tolist()
    encoded = tokenizer.encode(sample, lambda done, total: setup.progress("tokenise", done, total))
    sizes = _vocabulary_settings(settings)
    vocab = Vocab.build(encoded.ids, encoded.strings, **sizes)
    numbers = vocab.numericalise(encoded)
    labels = dataset.table["label"].astype(object).where(dataset.table["label"].notna(), None)
    table = dataset.table[["label", "split"]].dropna()
    if dataset.several:
        labels = labels.map(lambda one: one and (", ".join(set_of(one)) or "(none of the labels)"))
        table = table.assign(label=table["label"].map(set_of)).explode("label")
    counted = table.groupby(["label", "split"]).size()
    return TextPreview(
        dataset=dataset,
        tokenizer=tokenizer.name,
        min_freq=sizes["min_freq"],
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


def _vocabulary_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """max_vocab and min_freq as the study sets them."""
    given = settings.get("language_model", settings)
    return {
        name: given.get(name, getattr(LanguageModelConfig, name))
        for name in ("max_vocab", "min_freq")
    }


def _document(document: Document) -> Text:
    """The label, then the tokens; special ones in colour, line ends and the like written out."""
    label = "(no label)" if document.label is None else document.label
    text = Text.assemble((one_line(label), "bold cyan"), ": ")
    for token in document.tokens[:SHOWN_TOKENS]:
        style = "red" if token == SPECIALS[0] else "magenta" if token in SPECIALS else ""
        text.append("".join(c if c.isprintable() else ascii(c)[1:-1] for c in token), style)
        text.append(" ")
    if (left := len(document.tokens) - SHOWN_TOKENS) > 0:
        text.append(f"... {left:,} more tokens", "dim")
    return text


def _classes(preview: TextPreview) -> Table:
    several = preview.dataset.several
    names = (
        ("Labels, of which a text may have several", "label") if several else ("Classes", "class")
    )
    table = new_table(*names, "training texts", "share", "test texts", wrap=True)
    total = int((preview.dataset.table["split"] == "train").sum())
    for name, (train, test) in preview.classes.items():
        table.add_row(escape(name), f"{train:,}", f"{train / total:.1%}", f"{test:,}")
    return table


def _numbers(preview: TextPreview) -> list[str]:
    lengths = preview.lengths
    low, median, high = np.percentile(lengths, [5, 50, 95])
    dataset = preview.dataset
    unlabelled = int((dataset.table["split"] == "unsup").sum())
    lines = [
        f"data: {len(dataset.table):,} texts, {unlabelled:,} of them without a label, from "
        f"{dataset.source}",
        f"tokens a text: median {median:,.0f}, mean {lengths.mean():,.0f}, 5% have at most "
        f"{low:,.0f}, 5% at least {high:,.0f}, the longest {lengths.max():,}",
        f"vocabulary: {len(preview.vocab):,} tokens that occur {preview.min_freq} times or more; "
        f"{preview.unknown:.1%} of all tokens are not in it and become xxunk",
        f"tokenizer: {preview.tokenizer}; lengths and vocabulary are those of {len(lengths):,} "
        "texts that are trained on",
    ]
    return lines + ([f"note: {dataset.note}"] if dataset.note else [])
