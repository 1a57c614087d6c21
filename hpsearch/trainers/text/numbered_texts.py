"""The texts of a study as numbers: tokenised once, kept on disk, memory-mapped by every trial."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpsearch.core.console import Progress
from hpsearch.data import TextDataset
from hpsearch.data.cache.stages import cached_stage, reading
from hpsearch.data.text_dataset import set_of
from hpsearch.trainers.text.batches import Documents
from hpsearch.trainers.text.split_texts import Rows
from hpsearch.trainers.text.tokens.tokenizer import TokenisedTexts, Tokenizer
from hpsearch.trainers.text.tokens.vocab import Vocab

_VERSION = 3
"""Raise it when tokens change, so that cached stages are made anew."""
Labels = npt.NDArray[Any]
"""Whole numbers: (texts,) of classes, -1 where there is none; or, where a text may have several
labels, (texts, labels) of 1 and 0, and -1 in the whole row of a text that nobody has labelled."""


@dataclass(frozen=True)
class Texts:
    """Numericalised texts by part (train, valid, test, read). Labels index into `classes`;
    `columns` are those that the texts stand in, in a file of one's own.

    "read" is what a language model reads; it may be empty. `fingerprint` names content, split,
    tokenizer and vocabulary together. `total` counts the texts that there are, of which the parts
    may be some: with labels where the parts have them. `rows` are the numbers of a part's texts
    among those that were read.
    """

    source: str
    note: str | None
    tokenizer: str
    columns: tuple[str, ...]
    vocab: Vocab
    classes: tuple[str, ...]
    parts: Mapping[str, Documents]
    labels: Mapping[str, Labels]
    fingerprint: str
    total: int
    rows: Mapping[str, Rows] = field(default_factory=dict)

    @property
    def several(self) -> bool:
        """Whether a text may have several labels."""
        return any(labels.ndim == 2 for labels in self.labels.values())

    def last(self, n: int) -> Texts:
        """The same texts, of which a classifier sees only the last `n` tokens; what a language
        model reads stays whole."""
        cut = {name: one if name == "read" else one.last(n) for name, one in self.parts.items()}
        name = hashlib.sha256(f"{self.fingerprint} last {n}".encode()).hexdigest()
        return replace(self, parts=cut, fingerprint=name[: len(self.fingerprint)])


def codes(dataset: TextDataset) -> Labels:
    """Every row's class number or set, see `Labels`."""
    code = {name: i for i, name in enumerate(dataset.classes)}
    if dataset.several:
        return _sets(dataset, code)
    return np.array([code.get(label, -1) for label in dataset.table["label"]], dtype=np.int64)


def _sets(dataset: TextDataset, code: Mapping[str, int]) -> Labels:
    cells = dataset.table["label"]
    places = {cell: [code[name] for name in set_of(cell)] for cell in cells.dropna().unique()}
    found = np.zeros((len(cells), len(code)), dtype=np.int8)
    for row, cell in enumerate(cells):
        found[row, places.get(cell, slice(None))] = 1 if cell in places else -1
    return found


def are_labelled(labels: Labels) -> npt.NDArray[np.bool_]:
    """Which texts somebody has labelled (texts,)."""
    flags: npt.NDArray[np.bool_] = (labels if labels.ndim == 1 else labels[:, 0]) >= 0
    return flags


def number_texts(
    dataset: TextDataset,
    rows: Mapping[str, Rows],
    data: Mapping[str, Any],
    *,
    vocab: Vocab | None,
    max_vocab: int,
    min_freq: int,
    progress: Progress,
) -> Texts:
    """Tokenise and number the `rows` of each part, from the cache if it was done before.

    `data` is the study's [data] (hpsearch.trainers.text.config.TextData): it names the tokenizer.

    The vocabulary is `vocab`, or the most common tokens of the part "read".
    Raises HpsearchError when no token of "read" is common enough.
    """
    tokenizer, columns = str(data.get("tokenizer", "en")), data.get("text", "text")
    tokeniser, labels = Tokenizer(tokenizer), codes(dataset)
    key = {
        "version": _VERSION,
        "data": dataset.fingerprint,
        "tokenizer": tokeniser.cache_key,
        "rows": {name: hashlib.sha256(part.tobytes()).hexdigest() for name, part in rows.items()},
        "vocab": vocab.fingerprint if vocab else [max_vocab, min_freq],
        **({"several": True} if dataset.several else {}),
    }

    def build(folder: Path) -> None:
        wanted = np.unique(np.concatenate(list(rows.values())))
        tokenised = tokeniser.encode(
            dataset.table["text"].iloc[wanted].tolist(),
            lambda done, total: progress("tokenise", done, total),
        )
        where = {name: np.searchsorted(wanted, part) for name, part in rows.items()}
        made = vocab or _common_tokens(tokenised, where["read"], max_vocab, min_freq)
        docs = Documents(made.numericalise(tokenised), tokenised.offsets)
        for name, which in rows.items():
            _save(folder, name, docs.take(where[name]), labels[which])
        made.save(folder / "vocab.json")

    folder = cached_stage("texts", key, build)
    with reading(folder):
        return Texts(
            source=dataset.source,
            note=dataset.note,
            tokenizer=tokenizer,
            columns=(columns,) if isinstance(columns, str) else tuple(columns),
            vocab=Vocab.load(folder / "vocab.json"),
            classes=dataset.classes,
            parts={name: _load(folder, name) for name in rows},
            labels={name: np.load(folder / f"{name}_labels.npy") for name in rows},
            fingerprint=folder.name.removeprefix("texts-"),
            total=int(are_labelled(labels).sum()) if "train" in rows else len(labels),
            rows=rows,
        )


def _common_tokens(texts: TokenisedTexts, read: Rows, max_vocab: int, min_freq: int) -> Vocab:
    """The vocabulary of the texts number `read`."""
    provisional = Documents(texts.ids, texts.offsets).take(read)
    return Vocab.build(provisional.ids, texts.strings, max_vocab=max_vocab, min_freq=min_freq)


def _save(folder: Path, name: str, docs: Documents, labels: Labels) -> None:
    np.save(folder / f"{name}_ids.npy", docs.ids)
    np.save(folder / f"{name}_offsets.npy", docs.offsets)
    np.save(folder / f"{name}_labels.npy", labels)


def _load(folder: Path, name: str) -> Documents:
    ids = np.load(folder / f"{name}_ids.npy", mmap_mode="r")
    return Documents(ids, np.load(folder / f"{name}_offsets.npy"))
