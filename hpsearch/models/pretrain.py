"""`pretrain`: a language model from scratch on any texts, kept in the cache under a name."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from rich.console import Console

from hpsearch.core import own_code
from hpsearch.core.console import Progress, say, shown_progress
from hpsearch.core.environment import default_device, versions
from hpsearch.core.files import atomic_folder
from hpsearch.core.home import CHECKPOINTS, LANGUAGE_MODELS, below, is_plain, is_writable, remove
from hpsearch.core.terminal import new_console
from hpsearch.core.words import first_problem
from hpsearch.data import ensure_home
from hpsearch.data.corpus import Corpus, read_corpus
from hpsearch.errors import HpsearchError, InputError
from hpsearch.models.train import describe_epoch
from hpsearch.search.speed.estimate import WORTH_SAYING_S, training_sentence
from hpsearch.study.settings import merge_settings, parse_set
from hpsearch.trainers.contract import EpochRecord, TrialSetup
from hpsearch.trainers.shared import speed
from hpsearch.trainers.shared.config_fields import parse_config
from hpsearch.trainers.text.batches import Documents
from hpsearch.trainers.text.config import LanguageModelConfig
from hpsearch.trainers.text.language_model import files as lm
from hpsearch.trainers.text.language_model.fit import train_language_model
from hpsearch.trainers.text.language_model.speed import language_model_parts, work_of
from hpsearch.trainers.text.networks.awd_lstm import LanguageModel
from hpsearch.trainers.text.tokens.tokenizer import Tokenizer
from hpsearch.trainers.text.tokens.vocab import Vocab

DEFAULTS = {
    "emb": 160, "hidden": 400, "layers": 2, "max_vocab": 10_000, "epochs": 3, "lr": 7e-3,
    "drop_mult": 0.1, "clip": 0.5,
}  # fmt: skip
"""A model that a processor trains in an hour on fifteen million tokens."""
MAX_HELD_OUT = 500


@dataclass(frozen=True)
class PretrainOptions:
    """What a model is to be: `sets` are "key=value" of the LanguageModelConfig; a `tokenizer` of
    one's own is looked for in the current folder, too; `half` keeps 16-bit weights."""

    tokenizer: str = "en"
    sets: Sequence[str] = ()
    half: bool = False


def pretrain(
    corpus: str,
    name: str,
    options: PretrainOptions,
    *,
    text_columns: tuple[str, ...] = (),
    split: str | None = None,
    console: Console | None = None,
) -> Path:
    """Train on the texts of `corpus` (see `read_corpus`) and return the model's folder.

    Two texts in a hundred are held out, at most 500. Called again after an interruption, it goes on
    after the last finished epoch. Raises InputError for a name that is taken or not a name, and for
    a corpus with too few texts or words.
    """
    console = console or new_console()
    config, tokenizer = _config(options.sets), options.tokenizer
    folder = _model_folder(name, config.backward)
    own_code.allow(tokenizer, Path.cwd())
    Tokenizer(tokenizer)  # raises InputError now rather than after reading gigabytes
    with shown_progress(console) as progress:
        texts = read_corpus(
            corpus, text_columns=text_columns, split=split, progress=progress,
            say=lambda sentence: say(console, sentence),
        )  # fmt: skip
        vocab, train, valid = _numericalise(texts, config, tokenizer, progress)
    facts = {
        "name": name, "source": texts.source, "corpus": corpus, "split": split,
        "texts": len(train), "tokens": len(train.ids), "unknown": float((train.ids == 0).mean()),
        "held_out_texts": len(valid), "held_out_tokens": len(valid.ids),
    }  # fmt: skip
    line = (
        f"{len(train):,} texts of {len(train.ids):,} tokens and {len(valid):,} held-out texts; "
        f"{len(vocab):,} tokens in the vocabulary, {facts['unknown']:.1%} of the text is outside it"
    )
    say(console, line)
    started = time.perf_counter()
    model = lm.new_language_model(config, len(vocab))
    checkpoint = _checkpoint(texts, config, tokenizer)
    _say_speed(config, model, train, valid, console)
    kept = checkpoint if is_writable(checkpoint) else None
    records = _train(config, model, train, valid, kept, console)
    card = {
        **facts, "seconds": time.perf_counter() - started, "command": sys.argv[1:],
        "versions": versions(), "records": [asdict(record) for record in records],
    }  # fmt: skip
    saved = lm.SavedLanguageModel(model, vocab, config, tokenizer)
    _save(folder, saved, card, torch.float16 if options.half else torch.float32)
    remove(checkpoint)
    perplexity = records[-1].metrics["perplexity"]
    say(console, f"perplexity {perplexity:.4g}; {name} is kept in {folder}")
    return folder


def _train(
    config: LanguageModelConfig,
    model: LanguageModel,
    train: Documents,
    valid: Documents,
    checkpoint: Path | None,
    console: Console,
) -> list[EpochRecord]:
    """Train with everything shown; what the epochs gave."""
    records: list[EpochRecord] = []

    def report(record: EpochRecord) -> None:
        records.append(record)
        say(console, describe_epoch(record))

    with shown_progress(console) as progress:
        setup = TrialSetup(config.seed, default_device(), report, checkpoint, progress=progress)
        train_language_model(config, model, train, valid, setup)
    return records


def _say_speed(
    config: LanguageModelConfig,
    model: LanguageModel,
    train: Documents,
    valid: Documents,
    console: Console,
) -> None:
    """Say how long the training is going to take, if it is long."""
    device, copied = default_device(), deepcopy(model)
    found = speed.measure_work(
        work_of(config, train),
        lambda: language_model_parts(config, copied, train, valid, device),
        device=device,
        enough=WORTH_SAYING_S,
    )
    if (line := training_sentence(found, device)) is not None:
        say(console, line)


def _config(sets: Sequence[str]) -> LanguageModelConfig:
    content: dict[str, Any] = dict(DEFAULTS)
    for text in sets:
        content = merge_settings(content, parse_set(text))
    try:
        return parse_config(LanguageModelConfig, content)
    except ValidationError as error:
        raise InputError(f"--set cannot be used: {first_problem(error)}.") from error


def _model_folder(name: str, backward: bool) -> Path:
    """Where the model of this name goes. Raises InputError if it is taken or not a name."""
    if not is_plain(name):
        raise InputError(
            f"--name {name!r} is not a name: use letters, digits, dots, dashes and underscores."
        )
    folder = below(LANGUAGE_MODELS, f"{name}-backward" if backward else name)
    if folder.exists():
        raise InputError(f"There is a model {name} already ({folder}): choose another --name.")
    ensure_home(LANGUAGE_MODELS)  # rather than after hours of training
    return folder


def _numericalise(
    corpus: Corpus, config: LanguageModelConfig, tokenizer: str, progress: Progress
) -> tuple[Vocab, Documents, Documents]:
    """Vocabulary, training and held-out documents; the vocabulary is of the training texts only."""
    order = np.random.default_rng(config.seed).permutation(len(corpus.texts))
    n_valid = max(1, min(MAX_HELD_OUT, len(order) // 50))
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
    return below(CHECKPOINTS, f"pretrain-{hashlib.sha256(key.encode()).hexdigest()[:20]}")


def _save(
    folder: Path, saved: lm.SavedLanguageModel, card: dict[str, Any], dtype: torch.dtype
) -> None:
    """The whole model or nothing of it."""
    try:
        ensure_home(LANGUAGE_MODELS)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with atomic_folder(folder) as unfinished:
            lm.save_language_model(unfinished, saved, dtype)
            (unfinished / "card.json").write_text(json.dumps(card, indent=1), encoding="utf-8")
    except OSError as error:
        raise HpsearchError(
            f"{folder} cannot be written: {error.strerror or error}; free some space and run the "
            "command again, it goes on where it was."
        ) from error
