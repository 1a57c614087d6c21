"""`pretrain`: a language model from scratch on any texts, kept in the cache under a name."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from hpsearch.data import ensure_home, home
from hpsearch.data.corpus import Corpus, read_corpus
from hpsearch.errors import HpsearchError, InputError
from hpsearch.final import describe_epoch, parse_set
from hpsearch.search.circumstances import default_device, versions
from hpsearch.search.progress import shown_progress
from hpsearch.studies import merge_settings
from hpsearch.text import language_model as lm
from hpsearch.text.awd_lstm import LanguageModel
from hpsearch.text.batches import Documents
from hpsearch.text.config import LanguageModelConfig
from hpsearch.text.language_model_run import train_language_model
from hpsearch.text.tokenize import Tokenizer
from hpsearch.text.vocab import Vocab
from hpsearch.training.contract import EpochRecord, Progress
from hpsearch.training.fields import parse_config
from hpsearch.wording import first_problem

DEFAULTS = {
    "emb": 160, "hidden": 400, "layers": 2, "max_vocab": 10_000, "epochs": 3, "lr": 7e-3,
    "drop_mult": 0.1, "clip": 0.5,
}  # fmt: skip
"""A model that a processor trains in an hour on fifteen million tokens."""
MOST_HELD_OUT = 500


def pretrain(
    corpus: str,
    name: str,
    *,
    text_columns: tuple[str, ...] = (),
    split: str | None = None,
    tokenizer: str = "en",
    sets: Sequence[str] = (),
    half: bool = False,
    output: Path | None = None,
    console: Console | None = None,
) -> Path:
    """Train on the texts of `corpus` (see `read_corpus`) and return the model's folder.

    Two texts in a hundred are held out, at most 500. `sets` are "key=value" of the
    LanguageModelConfig; `half` keeps 16-bit weights. Called again after an interruption, it goes on
    after the last finished epoch. Raises InputError for a name that is taken or not a name, and for
    a corpus with too few texts or words.
    """
    console = console or Console()
    config = _config(sets)
    folder = output or _folder(name, config.backward)
    Tokenizer(tokenizer)  # raises InputError now rather than after reading gigabytes
    with shown_progress(console) as progress:
        texts = read_corpus(
            corpus, text_columns=text_columns, split=split, progress=progress,
            say=lambda sentence: console.print(Text(sentence), soft_wrap=True),
        )  # fmt: skip
        vocab, train, valid = _number(texts, config, tokenizer, progress)
    facts = {
        "name": name, "source": texts.source, "corpus": corpus, "split": split,
        "texts": len(train), "tokens": len(train.ids), "unknown": float((train.ids == 0).mean()),
        "held_out_texts": len(valid), "held_out_tokens": len(valid.ids),
    }  # fmt: skip
    line = (
        f"{len(train):,} texts of {len(train.ids):,} tokens and {len(valid):,} held-out texts; "
        f"{len(vocab):,} tokens in the vocabulary, {facts['unknown']:.1%} of the text is outside it"
    )
    console.print(Text(line), soft_wrap=True)
    started = time.perf_counter()
    model = lm.new_language_model(config, len(vocab))
    checkpoint = _checkpoint(texts, config, tokenizer)
    records = _train(config, model, train, valid, checkpoint, console)
    card = {
        **facts, "seconds": time.perf_counter() - started, "command": sys.argv[1:],
        "versions": versions(), "records": [asdict(record) for record in records],
    }  # fmt: skip
    saved = lm.SavedLanguageModel(model, vocab, config, tokenizer)
    _save(folder, saved, card, torch.float16 if half else torch.float32)
    shutil.rmtree(checkpoint, ignore_errors=True)
    perplexity = records[-1].metrics["perplexity"]
    console.print(Text(f"perplexity {perplexity:.4g}; {name} is kept in {folder}"), soft_wrap=True)
    return folder


def _train(
    config: LanguageModelConfig,
    model: LanguageModel,
    train: Documents,
    valid: Documents,
    checkpoint: Path,
    console: Console,
) -> list[EpochRecord]:
    """Train with everything shown; what the epochs gave."""
    records: list[EpochRecord] = []

    def report(record: EpochRecord) -> None:
        records.append(record)
        console.print(Text(describe_epoch(record)), soft_wrap=True)

    with shown_progress(console) as progress:
        train_language_model(
            config, model, train, valid, device=default_device(), report=report,
            progress=lambda done, total: progress("language model", done, total),
            checkpoint=checkpoint,
        )  # fmt: skip
    return records


def _config(sets: Sequence[str]) -> LanguageModelConfig:
    content: dict[str, Any] = dict(DEFAULTS)
    for text in sets:
        content = merge_settings(content, parse_set(text))
    try:
        return parse_config(LanguageModelConfig, content)
    except ValidationError as error:
        raise InputError(f"--set cannot be used: {first_problem(error)}.") from error


def _folder(name: str, backward: bool) -> Path:
    """Where the model of this name goes. Raises InputError if it is taken or not a name."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise InputError(
            f"--name {name!r} is not a name: use letters, digits, dots, dashes and underscores."
        )
    folder = home() / "models" / (f"{name}-backward" if backward else name)
    if folder.exists():
        raise InputError(f"There is a model {name} already ({folder}): choose another --name.")
    return folder


def _number(
    corpus: Corpus, config: LanguageModelConfig, tokenizer: str, progress: Progress
) -> tuple[Vocab, Documents, Documents]:
    """Vocabulary, training and held-out documents; the vocabulary is of the training texts only."""
    order = np.random.default_rng(config.seed).permutation(len(corpus.texts))
    n_valid = max(1, min(MOST_HELD_OUT, len(order) // 50))
    if len(order) <= n_valid:
        raise InputError("The corpus has only one text: give at least two, one is held out.")
    tokenised = Tokenizer(tokenizer).encode(
        corpus.texts, lambda done, total: progress("tokenise", done, total)
    )
    provisional = Documents(tokenised.ids, tokenised.offsets)
    vocab = Vocab.build(
        provisional.take(order[n_valid:]).ids, tokenised.strings,
        max_vocab=config.max_vocab, min_freq=config.min_freq,
    )  # fmt: skip
    docs = Documents(vocab.numericalise(tokenised), tokenised.offsets)
    train, valid = docs.take(order[n_valid:]), docs.take(order[:n_valid])
    if config.backward:
        train, valid = train.reversed(), valid.reversed()
    return vocab, train, valid


def _checkpoint(corpus: Corpus, config: LanguageModelConfig, tokenizer: str) -> Path:
    key = json.dumps([corpus.fingerprint, asdict(config), tokenizer], sort_keys=True)
    return home() / "checkpoints" / f"pretrain-{hashlib.sha256(key.encode()).hexdigest()[:20]}"


def _save(
    folder: Path, saved: lm.SavedLanguageModel, card: dict[str, Any], dtype: torch.dtype
) -> None:
    """The whole model or nothing of it."""
    try:
        ensure_home("models")
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = folder.with_name(f".{folder.name}.part")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        lm.save_language_model(unfinished, saved, dtype)
        (unfinished / "card.json").write_text(json.dumps(card, indent=1), encoding="utf-8")
        unfinished.replace(folder)
    except OSError as error:
        raise HpsearchError(
            f"{folder} cannot be written: {error.strerror or error}; free some space and run the "
            "command again, it goes on where it was."
        ) from error
