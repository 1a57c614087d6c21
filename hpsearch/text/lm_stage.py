"""The language model that a classifier starts from: trained once per configuration, then cached."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hpsearch.data import home
from hpsearch.errors import HpsearchError, InputError
from hpsearch.text import language_model as lm
from hpsearch.text.awd_lstm import LanguageModel
from hpsearch.text.config import LanguageModelConfig
from hpsearch.text.language_model_run import train_language_model
from hpsearch.text.pretrained import find_pretrained, load_pretrained, remap
from hpsearch.text.texts import Texts
from hpsearch.training.contract import EpochRecord, Progress, Say
from hpsearch.training.device import resolve_precision
from hpsearch.training.stage_cache import cached_stage, reading, stage_folder

_VERSION = 4
"""Raise it when the language model's training changes: models of the old one are not its results.
(2: weight decay reaches the biases of the LSTM. 3: pretrained models. 4: masks of
random bits, our own gradient of large layers.)"""


@dataclass(frozen=True)
class LanguageModelStage:
    """A cached language model, what its epochs gave, and how good it is on held-out texts.

    `name` is the stage's among the cached ones, on whatever machine. `known` is the share of the
    vocabulary that the pretrained model had, 0 without one.
    """

    name: str
    records: tuple[EpochRecord, ...]
    perplexity: float
    accuracy: float
    known: float

    @property
    def folder(self) -> Path:
        return stage_folder(self.name)


def language_model_stage(
    texts: Texts,
    config: LanguageModelConfig,
    *,
    n_valid: int,
    device: str,
    precision: str,
    progress: Progress,
    say: Say = lambda _: None,
    report: Callable[[EpochRecord], None] = lambda _: None,
    kind: str = "language-model",
) -> LanguageModelStage:
    """Train the config's language model on the part "read" of `texts`, or take it from the cache.

    It is measured on the first `n_valid` held-out texts. A training that was killed goes on after
    the last epoch that it finished; `report` hears of every epoch, cached ones too. Raises
    InputError if the pretrained model does not fit, DivergedError if the training does not hold.
    """
    key = {
        "texts": texts.fingerprint,
        "n_valid": n_valid,
        "training": _VERSION,
        "config": {**asdict(config), "pretrained": _digest(config, progress, say)},
        "device": device.split(":")[0],
        "precision": str(resolve_precision(precision, device)),
    }
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:20]
    checkpoint = home() / "checkpoints" / f"{kind}-{name}"
    heard: list[EpochRecord] = []

    def hear(record: EpochRecord) -> None:
        heard.append(record)
        report(record)

    def build(folder: Path) -> None:
        build_language_model(
            folder, texts, config, n_valid=n_valid, device=device, precision=precision,
            progress=progress, say=say, report=hear, checkpoint=checkpoint,
        )  # fmt: skip

    try:
        stage = read_stage(cached_stage(kind, key, build))
    except HpsearchError as error:
        if isinstance(error, InputError):
            raise
        raise type(error)(f"The language model could not be trained: {error}") from error
    for record in stage.records[len(heard) :]:
        report(record)
    shutil.rmtree(checkpoint, ignore_errors=True)
    return stage


def build_language_model(
    folder: Path | None,
    texts: Texts,
    config: LanguageModelConfig,
    *,
    n_valid: int,
    device: str,
    precision: str,
    progress: Progress,
    say: Say = lambda _: None,
    report: Callable[[EpochRecord], None],
    checkpoint: Path | None,
) -> dict[str, float]:
    """Make, train and measure the model, and write it to `folder`. Returns how good it is."""
    model, config, known = start_model(texts, config, progress, say)
    valid = texts.parts["valid"]
    valid = valid.take(np.arange(min(n_valid, len(valid))))
    read = texts.parts["read"]
    if config.backward:
        read, valid = read.reversed(), valid.reversed()
    records: list[EpochRecord] = []

    def keep(record: EpochRecord) -> None:
        records.append(record)
        report(record)

    if config.epochs + config.frozen_epochs:
        train_language_model(
            config, model, read, valid, device=device, precision=precision, report=keep,
            progress=lambda done, total: progress("language model", done, total),
            checkpoint=checkpoint,
        )  # fmt: skip
        facts = dict(records[-1].metrics)
    else:
        dtype = resolve_precision(precision, device)
        loss, accuracy = lm.evaluate_language_model(model.to(device), valid, config, device, dtype)
        facts = {"perplexity": float(np.exp(loss)), "accuracy": accuracy}
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        saved = lm.SavedLanguageModel(model, texts.vocab, config, texts.tokenizer)
        lm.save_language_model(folder, saved)
        content = {**facts, "known": known, "records": [asdict(record) for record in records]}
        (folder / "records.json").write_text(json.dumps(content), encoding="utf-8")
    return facts


def start_model(
    texts: Texts, config: LanguageModelConfig, progress: Progress, say: Say
) -> tuple[LanguageModel, LanguageModelConfig, float]:
    """The model before its training, the config with its sizes, and the share of the vocabulary
    that a pretrained model brought along (0 without one)."""
    if config.pretrained is None:
        return lm.new_language_model(config, len(texts.vocab)), config, 0.0
    pretrained = load_pretrained(
        config.pretrained, backward=config.backward, progress=progress, say=say
    )
    for name, size in zip(("emb", "hidden", "layers"), pretrained.sizes, strict=True):
        wanted = getattr(config, name)
        if wanted not in (None, size):
            raise InputError(
                f"The pretrained language model {pretrained.name} has {name} = {size}, but the "
                f"settings ask for {wanted}; drop {name} from the settings."
            )
    if pretrained.tokenizer != texts.tokenizer:
        raise InputError(
            f"The pretrained language model {pretrained.name} was made with the tokenizer "
            f"{pretrained.tokenizer!r}, but the data asks for {texts.tokenizer!r}; "
            "use the same one, or another model."
        )
    emb, hidden, layers = pretrained.sizes
    config = replace(config, emb=emb, hidden=hidden, layers=layers)
    model = lm.new_language_model(config, len(texts.vocab))
    same = pretrained.vocab.fingerprint == texts.vocab.fingerprint
    model.load_state_dict(pretrained.weights if same else remap(pretrained, texts.vocab))
    known = sum(token in pretrained.vocab.ids for token in texts.vocab.tokens)
    return model, config, known / len(texts.vocab)


def open_language_model(name: str, progress: Progress, say: Say) -> lm.SavedLanguageModel:
    """The language model of that name or in that folder, with its own vocabulary."""
    try:
        found = load_pretrained(name, backward=False, progress=progress, say=say)
    except InputError as error:
        try:
            found = load_pretrained(name, backward=True, progress=progress, say=say)
        except HpsearchError:
            raise error from None
    emb, hidden, layers = found.sizes
    config = LanguageModelConfig(emb=emb, hidden=hidden, layers=layers, backward=found.backward)
    model = lm.new_language_model(config, len(found.vocab))
    model.load_state_dict(found.weights)
    return lm.SavedLanguageModel(model, found.vocab, config, found.tokenizer)


def read_stage(folder: Path) -> LanguageModelStage:
    """The stage in its folder. Raises HpsearchError if its files are damaged."""
    with reading(folder):
        content: dict[str, Any] = json.loads((folder / "records.json").read_text("utf-8"))
        records = tuple(EpochRecord(**{**r, "lrs": tuple(r["lrs"])}) for r in content["records"])
        return LanguageModelStage(
            folder.name, records, content["perplexity"], content["accuracy"], content["known"]
        )


def _digest(config: LanguageModelConfig, progress: Progress, say: Say) -> str | None:
    """A hash of the pretrained model's files, so that another model under the name is another."""
    if config.pretrained is None:
        return None
    place = find_pretrained(config.pretrained, backward=config.backward, progress=progress, say=say)
    files = sorted(place.glob("*.*")) if place.is_dir() else [place]
    digest = hashlib.sha256()
    for file in files:
        if file.suffix in (".safetensors", ".json", ".pth", ".pkl", ".tgz"):
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()
