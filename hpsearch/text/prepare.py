"""What all trials of a text study share: numericalised reviews and the language model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hpsearch.data import load_text
from hpsearch.errors import HpsearchError, InputError
from hpsearch.text import language_model as lm
from hpsearch.text.batches import Documents
from hpsearch.text.config import ClassifierConfig
from hpsearch.text.tokenize import Tokenizer
from hpsearch.text.vocab import Vocab
from hpsearch.training.contract import EpochRecord, Progress, Say
from hpsearch.training.device import resolve_precision
from hpsearch.training.stage_cache import cached_stage, reading

if TYPE_CHECKING:
    import pandas as pd

_VERSION = 1
"""Raise it when tokens or splits change, so that cached stages are made anew."""
_LM_VERSION = 2
"""Raise it when the language model's training changes: models of the old one are not its results.
(2: weight decay reaches the biases of the LSTM.)"""
_LM_VALID_REVIEWS = 300
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PreparedTexts:
    """The data of a text study, read-only and memory-mapped.

    `lm_texts` holds no held-out review. `language_model` is the folder of the fine-tuned model,
    `lm_records` what its epochs gave. Labels index into `classes`.
    """

    source: str
    fingerprint: str
    precision: str
    note: str | None
    vocab: Vocab
    classes: tuple[str, ...]
    train: Documents
    train_labels: Labels
    valid: Documents
    valid_labels: Labels
    lm_texts: Documents
    language_model: Path
    lm_records: tuple[EpochRecord, ...]

    @property
    def summary(self) -> str:
        """Sizes, how good the language model is, and what is special about the data."""
        perplexity = self.lm_records[-1].metrics["perplexity"]
        text = (
            f"{len(self.train):,} training and {len(self.valid):,} held-out texts, "
            f"{len(self.vocab):,} tokens in the vocabulary; the language model read "
            f"{len(self.lm_texts):,} texts, perplexity {perplexity:.0f}"
        )
        return f"{text}; {self.note}" if self.note else text


def prepare_texts(
    data: Mapping[str, Any],
    config: ClassifierConfig,
    *,
    data_path: Path | None,
    device: str,
    progress: Progress,
    say: Say = lambda _: None,
) -> PreparedTexts:
    """Find the reviews, split, tokenise and number them, train the language model; all cached.

    Raises InputError if there are too few labelled texts, or only one class.
    """
    dataset = load_text(data, path=data_path, progress=progress, say=say)
    model_config = config.language_model
    key = {
        "version": _VERSION,
        "data": dataset.fingerprint,
        "train_reviews": config.train_reviews,
        "valid_reviews": config.valid_reviews,
        "n_reviews": model_config.n_reviews,
        "max_vocab": model_config.max_vocab,
        "min_freq": model_config.min_freq,
    }
    texts = cached_stage(
        "texts",
        key,
        lambda folder: _build_texts(folder, dataset.table, dataset.classes, config, progress),
    )
    with reading(texts):
        vocab = Vocab.load(texts / "vocab.json")
        documents = {name: _load_documents(texts, name) for name in ("train", "valid", "lm")}
        labels = {name: np.load(texts / f"{name}_labels.npy") for name in ("train", "valid")}
    model = _language_model_stage(texts, key, config, device, progress)
    with reading(model):
        records = json.loads((model / "records.json").read_text(encoding="utf-8"))
        lm_records = tuple(EpochRecord(**{**r, "lrs": tuple(r["lrs"])}) for r in records)
    return PreparedTexts(
        source=dataset.source,
        fingerprint=texts.name.removeprefix("texts-"),
        precision=str(resolve_precision(config.precision, device)).removeprefix("torch."),
        note=dataset.note,
        vocab=vocab,
        classes=dataset.classes,
        train=documents["train"],
        train_labels=labels["train"],
        valid=documents["valid"],
        valid_labels=labels["valid"],
        lm_texts=documents["lm"],
        language_model=model,
        lm_records=lm_records,
    )


def split_rows(
    labels: npt.NDArray[np.int64], trainable: npt.NDArray[np.bool_], config: ClassifierConfig
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Row numbers (train, valid, language model) for `labels` (rows,), -1 where there is none.

    Validation rows are drawn from the trainable labelled ones, each class in its share, at most a
    fifth of them; the language model reads the classifier's training texts first, then others of
    the trainable rows, never a validation text. The same rows whatever the trial's seed.
    """
    rng = np.random.default_rng(0)
    labelled = rng.permutation(np.flatnonzero(trainable & (labels >= 0)))
    n_valid = min(config.valid_reviews, len(labelled) // 5)
    if n_valid < 1:
        raise InputError(
            f"There are only {len(labelled)} labelled training texts; at least 5 are needed."
        )
    labelled = _interleave_classes(labels, labelled)
    valid, rest = labelled[:n_valid], labelled[n_valid:]
    train = rest[: config.train_reviews or None]
    if len(np.unique(labels[train])) < len(np.unique(labels[labelled])):
        raise InputError(
            f"{len(train)} training texts do not hold every class; raise train_reviews."
        )
    others = rng.permutation(
        np.setdiff1d(np.flatnonzero(trainable), labelled[: n_valid + len(train)])
    )
    read = np.concatenate([train, others])[: config.language_model.n_reviews or None]
    return train, valid, read


def _interleave_classes(
    labels: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """The rows in an order whose every beginning holds each class in about its overall share."""
    position = np.empty(len(rows))
    for label in np.unique(labels[rows]):
        of_label = np.flatnonzero(labels[rows] == label)
        position[of_label] = (np.arange(len(of_label)) + 0.5) / len(of_label)
    return rows[np.argsort(position, kind="stable")]


def _build_texts(
    folder: Path,
    table: pd.DataFrame,
    classes: tuple[str, ...],
    config: ClassifierConfig,
    progress: Progress,
) -> None:
    """Tokenise the rows that are needed, each once, and write arrays and vocabulary to `folder`."""
    code = {name: i for i, name in enumerate(classes)}
    labels = np.array([code.get(label, -1) for label in table["label"]], dtype=np.int64)
    trainable = (table["split"] != "test").to_numpy()
    train, valid, read = split_rows(labels, trainable, config)
    rows = np.unique(np.concatenate([train, valid, read]))
    texts = table["text"].iloc[rows].tolist()
    tokenised = Tokenizer().encode(texts, lambda done, total: progress("tokenise", done, total))
    provisional = Documents(tokenised.ids, tokenised.offsets)
    read_docs = provisional.take(np.searchsorted(rows, read))
    model_config = config.language_model
    vocab = Vocab.build(
        read_docs.ids,
        tokenised.strings,
        max_vocab=model_config.max_vocab,
        min_freq=model_config.min_freq,
    )
    docs = Documents(vocab.numericalise(tokenised), tokenised.offsets)
    for name, which in (("train", train), ("valid", valid), ("lm", read)):
        part = docs.take(np.searchsorted(rows, which))
        np.save(folder / f"{name}_ids.npy", part.ids)
        np.save(folder / f"{name}_offsets.npy", part.offsets)
    np.save(folder / "train_labels.npy", labels[train])
    np.save(folder / "valid_labels.npy", labels[valid])
    vocab.save(folder / "vocab.json")


def _load_documents(folder: Path, name: str) -> Documents:
    return Documents(
        np.load(folder / f"{name}_ids.npy", mmap_mode="r"),
        np.load(folder / f"{name}_offsets.npy"),
    )


def _language_model_stage(
    texts: Path, key: Mapping[str, Any], config: ClassifierConfig, device: str, progress: Progress
) -> Path:
    """The folder of the language model fine-tuned on the texts in `texts`."""
    full_key = {
        **key,
        "training": _LM_VERSION,
        "config": asdict(config.language_model),
        "device": device.split(":")[0],
        "precision": str(resolve_precision(config.precision, device)),
    }

    def build(folder: Path) -> None:
        vocab = Vocab.load(texts / "vocab.json")
        valid = _load_documents(texts, "valid")
        records: list[EpochRecord] = []
        model = lm.train_language_model(
            config.language_model,
            lm.new_language_model(config.language_model, len(vocab)),
            _load_documents(texts, "lm"),
            valid.take(np.arange(min(_LM_VALID_REVIEWS, len(valid)))),
            device=device,
            precision=config.precision,
            report=records.append,
            progress=lambda done, total: progress("language model", done, total),
        )
        lm.save_language_model(folder, model, vocab, config.language_model)
        content = json.dumps([asdict(record) for record in records])
        (folder / "records.json").write_text(content, encoding="utf-8")

    try:
        return cached_stage("language-model", full_key, build)
    except HpsearchError as error:
        raise type(error)(f"The language model could not be trained: {error}") from error
